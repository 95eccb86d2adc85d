package relay

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// format is how a connection wants its events.
type format uint8

const (
	formatJSON format = iota
	formatBinary
	formatJSONDeflate   // compressed where it pays
	formatBinaryDeflate //
	numFormats
)

// plain is the format without compression.
func (f format) plain() format { return f & formatBinary }

// deflates reports whether the connection takes compressed messages.
func (f format) deflates() bool { return f >= formatJSONDeflate }

func (f format) deflated() format { return f.plain() + formatJSONDeflate }

// Subprotocols of /ws. The first is used when a client names none.
const (
	ProtocolJSON   = "tickrelay.v1.json"
	ProtocolBinary = "tickrelay.v1.binary"
)

// frame is one WebSocket frame, header included, ready for the socket. It is
// immutable once made and shared by every queue that holds it.
type frame struct {
	data []byte
	// prev and seq delimit the numbers of its topic that it stands for:
	// prev+1 … seq. Zero for frames that are no event.
	prev, seq uint64
	// keep marks what must not be shed with its stream's events: instrument entries.
	keep bool
	// own marks a gap message for what was left out: left out itself, it is merged
	// into the next and not counted again.
	own bool
	// delta marks what only changes the state that its reader has.
	delta bool
	// hidden is how much more a gap message counts than its own numbers;
	// md.UnknownMissing: it does not know.
	hidden uint32
	// plain is the frame that this one is made of by compression, else nil.
	plain *frame
}

// saved is what compression takes off the wire, in bytes.
func (f *frame) saved() uint64 {
	if f.plain == nil {
		return 0
	}
	return uint64(len(f.plain.data) - len(f.data))
}

// headerRoom is what newFrame leaves before the payload for the header: the
// largest that a server sends (no mask).
const headerRoom = 10

// newFrame makes a frame of buf, whose first headerRoom bytes are free and whose
// rest is the payload. It keeps buf.
func newFrame(op ws.OpCode, buf []byte) *frame {
	return &frame{data: putHeader(op, buf)}
}

// putHeader writes the shortest header right before the payload (RFC 6455,
// section 5.2: the minimal number of bytes must be used).
func putHeader(op ws.OpCode, buf []byte) []byte {
	n := len(buf) - headerRoom
	b := buf[headerRoom-ws.HeaderSize(ws.Header{Fin: true, OpCode: op, Length: int64(n)}):]
	appendHeader(b[:0], op, n)
	return b
}

// appendHeader appends the header of a frame with n bytes of payload.
func appendHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// textFrame makes a frame of a copy of payload.
func textFrame(payload []byte) *frame {
	buf := make([]byte, headerRoom, headerRoom+len(payload))
	return newFrame(ws.OpText, append(buf, payload...))
}

// controlFrame makes a ping, pong or close frame; the payload is at most 125 bytes.
func controlFrame(op ws.OpCode, payload []byte) *frame {
	buf := make([]byte, headerRoom, headerRoom+len(payload))
	return newFrame(op, append(buf, payload...))
}

// closeFrame makes a close frame; a reason beyond 123 bytes is cut.
func closeFrame(code ws.StatusCode, reason string) *frame {
	if len(reason) > 123 {
		reason = reason[:123]
	}
	return controlFrame(ws.OpClose, ws.NewCloseFrameBody(code, reason))
}

// queued is a frame that waits in a connection's queue. sub is nil for answers and
// control frames, which are never shed.
type queued struct {
	f   *frame
	sub *sub
}
