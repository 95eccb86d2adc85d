package sim

import (
	"bytes"
	"slices"
	"time"

	"github.com/gobwas/ws"
)

// arm makes a fault happen to the session: at once, or to the next frame that
// it fits.
func (s *session) arm(f Fault, lasting time.Duration) {
	switch f {
	case FaultGarbage:
		s.enqueue(outgoing{frame: newFrame(ws.OpText, s.garbage())})
	case FaultHugeFrame:
		s.enqueue(outgoing{frame: hugeFrame()})
	case FaultStall:
		s.enqueue(outgoing{stall: lasting})
	case FaultSlowDrip:
		s.enqueue(outgoing{drip: lasting})
	case FaultSilent:
		s.silent = true
	case FaultMute:
		s.mute = true
	case FaultGoingAway:
		s.enqueue(closing(ws.StatusGoingAway, "", 0))
	case FaultNotice:
		if notice := s.srv.dialect.notice(); notice != nil {
			s.reply(notice)
		}
		s.enqueue(closing(ws.StatusGoingAway, "service upgrade", lasting))
	default:
		s.armed[f]++
	}
}

// meets says whether the next frame meets f, and uses that up.
func (s *session) meets(f Fault) bool {
	if s.armed[f] == 0 {
		return false
	}
	s.armed[f]--
	return true
}

// data sends market data of the stream named key, with the faults armed.
func (s *session) data(key string, kind frameKind, frame wireFrame) {
	for _, o := range s.afflict(key, kind, frame) {
		s.enqueue(o)
	}
}

// afflict is what is really sent where frame should be.
func (s *session) afflict(key string, kind frameKind, frame wireFrame) []outgoing {
	if s.silent || s.hush || s.mute {
		return nil
	}
	if s.meets(FaultCutMidFrame) {
		return []outgoing{{frame: frame, cut: true}}
	}
	switch {
	case s.meets(FaultLose):
		return nil
	case s.meets(FaultTruncate):
		op, payload := frame.parts()
		frame = newFrame(op, payload[:len(payload)/2])
	case s.meets(FaultCorrupt):
		op, payload := frame.parts()
		bad := bytes.Clone(payload)
		bad[len(bad)/2] = 0
		frame = newFrame(op, bad)
	}
	if kind == kindBook {
		if s.armed[FaultBadChecksum] > 0 {
			if bad, ok := falsify(frame); ok {
				s.armed[FaultBadChecksum]--
				frame = bad
			}
		}
		if s.meets(FaultMissingSeq) {
			return nil
		}
		if i := slices.IndexFunc(s.held, func(h heldFrame) bool { return h.key == key }); i >= 0 {
			before := s.held[i].frame
			s.held = slices.Delete(s.held, i, i+1)
			return []outgoing{{frame: frame}, {frame: before}}
		}
		if s.meets(FaultReorder) {
			s.held = append(s.held, heldFrame{key, frame})
			return nil
		}
	}
	if s.meets(FaultDuplicate) {
		return []outgoing{{frame: frame}, {frame: frame}}
	}
	return []outgoing{{frame: frame}}
}

// release sends the frames that wait for a successor to change places with.
func (s *session) release() {
	for _, h := range s.held {
		s.enqueue(outgoing{frame: h.frame})
	}
	s.held = nil
}

// garbage is text that is no JSON document, of a seeded kind and length.
func (s *session) garbage() []byte {
	switch s.rng.IntN(4) {
	case 0:
		return nil
	case 1:
		return []byte(`{"e":"depthUpdate","E":17`)
	case 2:
		return bytes.Repeat([]byte("["), 1+s.rng.IntN(20_000))
	}
	b := make([]byte, 1+s.rng.IntN(4096))
	for i := range b {
		b[i] = byte(s.rng.UintN(256))
	}
	return b
}

// hugeFrame is a well-formed JSON text of HugeFrameSize bytes.
func hugeFrame() wireFrame {
	b := bytes.Repeat([]byte("x"), HugeFrameSize)
	copy(b, `{"event":"`)
	copy(b[len(b)-2:], `"}`)
	return newFrame(ws.OpText, b)
}

// falsify returns the frame with another checksum; false if it has none.
func falsify(frame wireFrame) (wireFrame, bool) {
	i := -1
	for _, name := range []string{`"checksum":`, `"cs",`} {
		if k := bytes.Index(frame, []byte(name)); k >= 0 {
			i = k + len(name)
		}
	}
	if i < 0 {
		return nil, false
	}
	for i < len(frame) && (frame[i] == '-' || frame[i] == '"') {
		i++
	}
	j := i
	for j < len(frame) && frame[j] >= '0' && frame[j] <= '9' {
		j++
	}
	if j == i || j == i+1 && frame[i] == '0' {
		return nil, false // 0 is "not provided"
	}
	bad := bytes.Clone(frame)
	// The last digit is moved by 1, within 32 bits and never to a lone 0.
	if bad[j-1] >= '2' {
		bad[j-1]--
	} else {
		bad[j-1]++
	}
	return bad, true
}
