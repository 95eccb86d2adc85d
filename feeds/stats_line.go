package feeds

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tickrelay/nettune"
)

// lineStats is what a session tells about itself. The loop writes; the mutex
// guards only what changes with the line's state, never per message.
type lineStats struct {
	attempts, connects, sent atomic.Uint64
	frames, bytes            atomic.Uint64
	lastFrame                atomic.Int64
	faults                   [faultCount]atomic.Uint64

	mu        sync.Mutex
	current   LineState
	since     int64
	remote    netip.AddrPort
	granted   []string
	lastError string
	lastFault Fault
	lastAt    int64
	delay     time.Duration
}

func (s *lineStats) state(state LineState, wall int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.since = state, wall
	if state != LineBackoff {
		s.delay = 0
	}
}

func (s *lineStats) dialled(addr netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remote = addr
}

func (s *lineStats) connected(granted []string) {
	s.connects.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.granted = granted
}

func (s *lineStats) fault(f Fault, err error, wall int64) {
	s.faults[f].Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastFault, s.lastError, s.lastAt = f, err.Error(), wall
}

func (s *lineStats) retry(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

// read counts a burst of messages: once per burst, because each atomic write
// costs as much as decoding a small number.
func (s *lineStats) read(frames, bytes uint64, lastRecv int64) {
	if frames > 0 {
		s.frames.Add(frames)
		s.bytes.Add(bytes)
	}
	s.lastFrame.Store(lastRecv)
}

// absorb adds the counters of the connection that this one took over from.
func (s *lineStats) absorb(old *lineStats) {
	s.attempts.Add(old.attempts.Load())
	s.connects.Add(old.connects.Load())
	s.sent.Add(old.sent.Load())
	s.frames.Add(old.frames.Load())
	s.bytes.Add(old.bytes.Load())
	for f := range s.faults {
		s.faults[f].Add(old.faults[f].Load())
	}
	old.mu.Lock()
	fault, text, at := old.lastFault, old.lastError, old.lastAt
	old.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastFault == FaultNone {
		s.lastFault, s.lastError, s.lastAt = fault, text, at
	}
}

func (s *lineStats) health(line, part int) LineHealth {
	h := LineHealth{
		Line: line, Part: part, Attempts: s.attempts.Load(), Connects: s.connects.Load(), Sent: s.sent.Load(),
		Frames: s.frames.Load(), Bytes: s.bytes.Load(), LastFrame: s.lastFrame.Load(),
		Faults: make(map[string]uint64, faultCount),
	}
	for f := FaultNone + 1; f < faultCount; f++ {
		h.Faults[f.String()] = s.faults[f].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.State, h.Since, h.LastError, h.LastAt, h.Retry = s.current, s.since, s.lastError, s.lastAt, s.delay
	h.Options = append([]string(nil), s.granted...)
	if s.lastFault != FaultNone {
		h.LastFault = s.lastFault.String()
	}
	if s.remote.IsValid() {
		h.Remote = s.remote.String()
	}
	return h
}

// optionList names the options in force, in a fixed order.
func optionList(o nettune.Options) []string {
	list := []string{onOff("nodelay", o.NoDelay), onOff("fastopen", o.FastOpen), onOff("quickack", o.QuickAck),
		onOff("timestamps", o.Timestamps)}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"busy_poll", o.BusyPoll}, {"user_timeout", o.UserTimeout}, {"keepalive", o.KeepAlive}} {
		list = append(list, fmt.Sprintf("%s=%s", d.name, d.v))
	}
	return append(list, fmt.Sprintf("rcvbuf=%d", o.RcvBuf), fmt.Sprintf("sndbuf=%d", o.SndBuf))
}

func onOff(name string, on bool) string {
	if on {
		return name + "=1"
	}
	return name + "=0"
}
