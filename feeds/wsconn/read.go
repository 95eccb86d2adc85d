package wsconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"unicode/utf8"

	"tickrelay/nettune"
)

// frame is a parsed frame header.
type frame struct {
	op     Op
	fin    bool
	header int // bytes of header
	size   int // bytes of payload
}

// parseHeader reads a server's frame header, RFC 6455 section 5.2. ok is false
// while b is too short. limit is the largest payload of a data frame. Lengths
// in a longer form than needed are accepted.
func parseHeader(b []byte, limit int) (f frame, ok bool, err error) {
	if len(b) < 2 {
		return f, false, nil
	}
	f.fin = b[0]&0x80 != 0
	f.op = Op(b[0] & 0x0f)
	if b[0]&0x70 != 0 {
		return f, false, &ErrProtocol{What: "reserved bits set, no extension was agreed"}
	}
	if b[1]&0x80 != 0 {
		return f, false, &ErrProtocol{What: "masked frame from a server"}
	}
	f.header, f.size = 2, int(b[1]&0x7f)
	switch f.op {
	case opContinuation, OpText, OpBinary:
	case opClose, opPing, opPong:
		if !f.fin {
			return f, false, &ErrProtocol{What: "fragmented control frame"}
		}
		if f.size > maxControl {
			return f, false, &ErrProtocol{What: "control frame longer than 125 bytes"}
		}
	default:
		return f, false, &ErrProtocol{What: fmt.Sprintf("reserved opcode %#x", uint8(f.op))}
	}
	switch f.size {
	case 126:
		if len(b) < 4 {
			return f, false, nil
		}
		f.header, f.size = 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if len(b) < 10 {
			return f, false, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 {
			return f, false, &ErrProtocol{What: "length with the top bit set"}
		}
		if n > uint64(limit) {
			return f, false, fmt.Errorf("%w: frame of %d bytes, limit %d", ErrTooBig, n, limit)
		}
		f.header, f.size = 10, int(n)
	}
	if f.size > limit && f.op < opClose {
		return f, false, fmt.Errorf("%w: frame of %d bytes, limit %d", ErrTooBig, f.size, limit)
	}
	return f, true, nil
}

// Read returns the next complete message, or nettune.ErrWouldBlock. Payload
// lies in the connection's buffer, may be changed, and is valid until the next
// Read. rxNs is the receive time of the bytes that completed it. Call until
// ErrWouldBlock after a Readable event.
//
// Pings are answered at once, a close frame is echoed and returned as
// *ErrClosed. *ErrProtocol and ErrTooBig have been answered with a close frame;
// *ErrCut is a stream that ended without one. All but ErrWouldBlock are final.
// The text of messages is not checked to be UTF-8: decoders judge it.
func (c *Conn) Read() (op Op, payload []byte, rxNs int64, err error) {
	switch c.st {
	case open:
	case failed:
		return 0, nil, 0, c.err
	default:
		return 0, nil, 0, ErrNotOpen
	}
	for {
		f, whole, err := c.next()
		if err != nil {
			return 0, nil, 0, c.violation(err)
		}
		if !whole {
			if err := c.fill(f); err != nil {
				return 0, nil, 0, err
			}
			continue
		}
		p := c.buf[c.r+f.header : c.r+f.header+f.size]
		c.r += f.header + f.size
		c.stats.Frames++
		switch {
		case f.op >= opClose:
			if err := c.control(f.op, p); err != nil {
				return 0, nil, 0, err
			}
		case c.op == 0 && f.fin:
			c.stats.Messages++
			return f.op, p, c.lastRecv, nil
		default:
			if op, msg := c.gather(f, p); op != 0 {
				c.stats.Messages++
				return op, msg, c.lastRecv, nil
			}
		}
	}
}

// next looks at the frame at the head of the buffer; whole says that all of it
// is there.
func (c *Conn) next() (f frame, whole bool, err error) {
	limit := c.cfg.MaxMessage - (c.end - c.msg)
	f, ok, err := parseHeader(c.buf[c.r:c.w], limit)
	if err != nil || !ok {
		return frame{}, false, err
	}
	switch {
	case f.op == opContinuation && c.op == 0:
		return f, false, &ErrProtocol{What: "continuation without a message"}
	case (f.op == OpText || f.op == OpBinary) && c.op != 0:
		return f, false, &ErrProtocol{What: "new message inside a fragmented one"}
	}
	return f, c.w-c.r >= f.header+f.size, nil
}

// gather joins a fragment to its message in place: the payload moves down over
// its own header. Returns the message when it is complete.
func (c *Conn) gather(f frame, p []byte) (Op, []byte) {
	if c.op == 0 {
		c.op = f.op
		c.msg = c.r - f.size
		c.end = c.r
	} else {
		copy(c.buf[c.end:], p)
		c.end += f.size
	}
	if !f.fin {
		return 0, nil
	}
	op, msg := c.op, c.buf[c.msg:c.end]
	c.op, c.msg, c.end = 0, 0, 0
	return op, msg
}

// fill reads from the stream once. After a short read the stream was empty, so
// the next question can wait for the next event: that saves a system call per
// wake-up. The events are level-triggered, so nothing is lost by it.
func (c *Conn) fill(want frame) error {
	if c.drained {
		c.drained = false
		return nettune.ErrWouldBlock
	}
	c.makeRoom(want.header + want.size)
	room := c.buf[c.w:]
	n, rx, err := c.s.Read(room)
	if n > 0 {
		c.w += n
		c.lastRecv = rx
		c.stats.Bytes += uint64(n)
		c.drained = n < len(room)
		return nil
	}
	if err == nil || errors.Is(err, nettune.ErrWouldBlock) {
		return nettune.ErrWouldBlock
	}
	return c.fail(c.cut(err))
}

// cut names the end of a stream that came without a close frame.
func (c *Conn) cut(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err // closed by this side
	}
	lost := c.w - c.r + c.end - c.msg
	return &ErrCut{MidFrame: lost > 0 || c.op != 0, Buffered: lost, Err: err}
}

// makeRoom leaves free space behind w for a frame of size bytes at r (0 if not
// known yet). What is kept moves to the front when the end is near; the buffer
// doubles when it is full, so a hostile length alone costs no memory.
func (c *Conn) makeRoom(size int) {
	keep := c.r
	if c.op != 0 {
		keep = c.msg
		if gap := c.r - c.end; gap > 0 { // headers already taken out
			copy(c.buf[c.end:], c.buf[c.r:c.w])
			c.r -= gap
			c.w -= gap
		}
	}
	c.peak = max(c.peak, c.w, c.r+size)
	if keep == c.w && c.op == 0 {
		c.r, c.w = 0, 0
		c.shrink()
		return
	}
	free := len(c.buf) - c.w
	if c.r+size <= len(c.buf) && free >= len(c.buf)/4 {
		return
	}
	if keep > 0 {
		copy(c.buf, c.buf[keep:c.w])
		c.r -= keep
		c.w -= keep
		if c.op != 0 {
			c.msg -= keep
			c.end -= keep
		}
	}
	if c.w == len(c.buf) || c.w > len(c.buf)/2 && c.r+size > len(c.buf) {
		grown := make([]byte, min(2*len(c.buf), c.bufLimit()))
		copy(grown, c.buf[:c.w])
		c.buf = grown
	}
}

// When the buffer has been too large for a long time.
const (
	shrinkAbove = 1 << 20 // bytes; smaller ones stay as they are
	shrinkAfter = 16384   // times that it was empty
)

// shrink gives a buffer back that one huge message made, once many others have needed a
// small part of it. Messages that are large again and again keep it.
func (c *Conn) shrink() {
	if c.emptied++; c.emptied < shrinkAfter {
		return
	}
	if len(c.buf) > shrinkAbove && c.peak < len(c.buf)/4 {
		c.buf = make([]byte, max(2*c.peak, c.cfg.ReadBuffer))
	}
	c.emptied, c.peak = 0, 0
}

// bufLimit is the buffer's largest size: a whole message, the header of its
// last fragment, and a control frame in between.
func (c *Conn) bufLimit() int {
	return max(c.cfg.MaxMessage+2*maxHeader+maxControl, c.cfg.ReadBuffer)
}

// control acts on a control frame.
func (c *Conn) control(op Op, p []byte) error {
	switch op {
	case opPing:
		c.stats.Pings++
		return c.pong(p)
	case opPong:
		c.stats.Pongs++
		return nil
	}
	code, reason, err := parseClose(p)
	if err != nil {
		return c.violation(err)
	}
	if !c.closeSent {
		echo := p[:min(len(p), 2)]
		_ = c.writeFrame(opClose, echo, 0)
		c.closeSent = true
	}
	return c.fail(&ErrClosed{Code: code, Reason: reason})
}

// pong answers a ping, unless so much output is stuck that the peer would only
// be fed what it does not read.
func (c *Conn) pong(p []byte) error {
	if c.closeSent {
		return nil
	}
	if c.Pending() > pongRoom {
		c.stats.PongsDropped++
		return nil
	}
	if err := c.writeFrame(opPong, p, 0); errors.Is(err, ErrPendingFull) {
		c.stats.PongsDropped++
	}
	return nil // a broken stream shows in the next read, after what it still holds
}

// parseClose reads a close frame's payload, RFC 6455 sections 5.5.1 and 7.4.
func parseClose(p []byte) (code uint16, reason string, err error) {
	switch {
	case len(p) == 0:
		return 1005, "", nil
	case len(p) == 1:
		return 0, "", &ErrProtocol{What: "close frame with one byte"}
	}
	code = binary.BigEndian.Uint16(p)
	switch {
	case code < 1000, code >= 1015 && code < 3000, code > 4999,
		code == 1004, code == 1005, code == 1006:
		return 0, "", &ErrProtocol{What: fmt.Sprintf("close code %d may not be sent", code)}
	}
	if !utf8.Valid(p[2:]) {
		return 0, "", &ErrProtocol{What: "close reason is not UTF-8"}
	}
	return code, string(p[2:]), nil
}

// violation ends the connection for the peer's fault and tells it which.
func (c *Conn) violation(err error) error {
	code := uint16(1002)
	if errors.Is(err, ErrTooBig) {
		code = 1009
	}
	_ = c.Close(code, "")
	return c.fail(err)
}
