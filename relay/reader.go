package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// protocolError is a violation of RFC 6455 by the client: the connection fails with
// code (section 7.4.1).
type protocolError struct {
	code ws.StatusCode
	text string
}

func (e *protocolError) Error() string { return e.text }

func violation(code ws.StatusCode, text string) error { return &protocolError{code, text} }

// errIncomplete says that more bytes are needed.
var errIncomplete = errors.New("incomplete frame")

// message is one complete frame of a client after unmasking, or one complete text
// message. payload is valid until the next call of next.
type message struct {
	op      ws.OpCode
	payload []byte
	packed  bool // payload is compressed
}

// assembler takes the frames of one client apart. It keeps only what is incomplete,
// so that an idle connection holds no buffer.
type assembler struct {
	text    []byte // of a fragmented message so far
	partial bool   // a fragmented message has begun
	deflate bool   // permessage-deflate was negotiated
	packed  bool   // the message that has begun is compressed
	parts   int32  // fragments of it so far
}

// maxFragments bounds the fragments of one message: each may be empty, so that the size
// of the message bounds nothing.
const maxFragments = 256

// rsvFirst is RSV1 in ws.Header.Rsv.
const rsvFirst = 0b100

// next takes one frame off b. It returns the number of bytes used and, with op 0,
// that the frame was a fragment and more is to come. errIncomplete wants more bytes
// of at most need in all; other errors are protocolErrors.
func (a *assembler) next(b []byte, limit int) (m message, used int, err error) {
	h, size, err := parseHeader(b)
	if err != nil {
		return m, 0, err
	}
	state := ws.StateServerSide
	if a.partial {
		state = state.Set(ws.StateFragmented)
	}
	packed := a.deflate && !h.OpCode.IsControl() && h.OpCode != ws.OpContinuation && h.Rsv1()
	if packed {
		h.Rsv &^= rsvFirst
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return m, 0, violation(ws.StatusProtocolError, err.Error())
	}
	if h.OpCode == ws.OpBinary {
		return m, 0, violation(ws.StatusUnsupportedData, "requests are text messages")
	}
	if !h.OpCode.IsControl() && h.Length > int64(limit-len(a.text)) {
		return m, 0, violation(ws.StatusMessageTooBig, "message too big")
	}
	end := size + int(h.Length)
	if len(b) < end {
		return m, 0, errIncomplete
	}
	p := b[size:end]
	ws.Cipher(p, h.Mask, 0)
	if h.OpCode.IsControl() {
		return message{op: h.OpCode, payload: p}, end, nil
	}
	if h.OpCode != ws.OpContinuation {
		a.packed = packed
	}
	return a.data(h, p, end)
}

func (a *assembler) data(h ws.Header, p []byte, end int) (m message, used int, err error) {
	if a.partial || !h.Fin {
		a.partial = !h.Fin
		if a.parts++; a.parts > maxFragments {
			return m, 0, violation(ws.StatusPolicyViolation, "too many fragments")
		}
		a.text = append(a.text, p...)
		if !h.Fin {
			return message{}, end, nil
		}
		p, a.text, a.parts = a.text, nil, 0
	}
	if a.packed {
		return message{op: ws.OpText, payload: p, packed: true}, end, nil
	}
	if !utf8.Valid(p) {
		return m, 0, violation(ws.StatusInvalidFramePayloadData, "text is not UTF-8")
	}
	return message{op: ws.OpText, payload: p}, end, nil
}

// parseHeader reads a frame header that may still be incomplete.
func parseHeader(b []byte) (h ws.Header, size int, err error) {
	if len(b) < ws.MinHeaderSize {
		return h, 0, errIncomplete
	}
	size = ws.MinHeaderSize
	length := int64(b[1] & 0x7f)
	switch length {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if b[1]&0x80 != 0 {
		size += 4
	}
	if len(b) < size {
		// What can be judged by two bytes is, so that a peer speaking nonsense
		// is not waited for.
		if b[1]&0x80 == 0 {
			return h, 0, violation(ws.StatusProtocolError, "frames of clients must be masked")
		}
		return h, 0, errIncomplete
	}
	if min, short := minimalLength(b); short {
		return h, 0, violation(ws.StatusProtocolError, min)
	}
	h, err = ws.ReadHeader(bytes.NewReader(b[:size]))
	if err != nil {
		return h, 0, violation(ws.StatusProtocolError, err.Error())
	}
	return h, size, nil
}

// minimalLength reports a length that is not written in the fewest bytes, or has
// its highest bit set (RFC 6455, section 5.2).
func minimalLength(b []byte) (string, bool) {
	switch b[1] & 0x7f {
	case 126:
		if binary.BigEndian.Uint16(b[2:]) < 126 {
			return "length is not in its shortest form", true
		}
	case 127:
		n := binary.BigEndian.Uint64(b[2:])
		if n <= 0xffff {
			return "length is not in its shortest form", true
		}
		if n>>63 != 0 {
			return "length has its highest bit set", true
		}
	}
	return "", false
}

// parseClose reads a close frame's payload and returns the code to answer with
// (section 5.5.1: the same one).
func parseClose(p []byte) (ws.StatusCode, error) {
	switch {
	case len(p) == 0:
		return ws.StatusNormalClosure, nil
	case len(p) == 1:
		return 0, violation(ws.StatusProtocolError, "close frame of one byte")
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(p))
	reason := p[2:]
	if !utf8.Valid(reason) {
		return 0, violation(ws.StatusInvalidFramePayloadData, "close reason is not UTF-8")
	}
	if !validCloseCode(code) {
		return 0, violation(ws.StatusProtocolError, "close code that may not be sent")
	}
	return code, nil
}

// validCloseCode holds section 7.4 and the registry of the IANA: 1004 to 1006 and
// 1015 never appear on the wire.
func validCloseCode(c ws.StatusCode) bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014, c >= 3000 && c <= 4999:
		return true
	}
	return false
}
