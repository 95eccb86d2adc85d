package wsconn

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
)

// WriteText sends a text message as one frame. What the stream does not take is
// buffered and Writable events are asked for: call Flush on them. ErrPendingFull
// when more than MaxPending would wait; then nothing was taken. p is not kept.
func (c *Conn) WriteText(p []byte) error { return c.writeFrame(OpText, p, c.cfg.MaxPending) }

// WriteBinary is WriteText for a binary message.
func (c *Conn) WriteBinary(p []byte) error { return c.writeFrame(OpBinary, p, c.cfg.MaxPending) }

// Ping sends a ping with up to 125 bytes of data.
func (c *Conn) Ping(data []byte) error {
	if len(data) > maxControl {
		return fmt.Errorf("wsconn: ping of %d bytes: at most %d", len(data), maxControl)
	}
	return c.writeFrame(opPing, data, 0)
}

// Close sends a close frame with code (1000, 1001 …; 0: none) and reason, cut
// to 123 bytes. The stream stays open: Read until *ErrClosed or *ErrCut, or
// give up, and close the stream.
func (c *Conn) Close(code uint16, reason string) error {
	if c.closeSent || c.st != open {
		return ErrNotOpen
	}
	var b [maxControl]byte
	n := 0
	if code != 0 {
		binary.BigEndian.PutUint16(b[:], code)
		n = 2 + copy(b[2:], reason)
	}
	err := c.writeFrame(opClose, b[:n], 0)
	c.closeSent = true
	return err
}

// writeFrame masks p into the output buffer and offers it to the stream. limit
// bounds the buffer; 0 stands for control frames, which may pass it by a few.
func (c *Conn) writeFrame(op Op, p []byte, limit int) error {
	if c.st == failed {
		return c.err
	}
	if c.st != open || c.closeSent {
		return ErrNotOpen
	}
	if limit == 0 {
		limit = c.cfg.MaxPending + 16*(maxControl+maxHeader)
	}
	if c.Pending()+len(p)+maxHeader > limit {
		return fmt.Errorf("%w: %d bytes wait, %d to add, limit %d", ErrPendingFull, c.Pending(), len(p), limit)
	}
	waiting := c.Pending() > 0
	c.out = append(c.out, 0x80|byte(op))
	switch {
	case len(p) <= maxControl:
		c.out = append(c.out, 0x80|byte(len(p)))
	case len(p) <= 0xffff:
		c.out = append(c.out, 0x80|126)
		c.out = binary.BigEndian.AppendUint16(c.out, uint16(len(p)))
	default:
		c.out = append(c.out, 0x80|127)
		c.out = binary.BigEndian.AppendUint64(c.out, uint64(len(p)))
	}
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], uint32(c.rng.Uint64()))
	c.out = append(c.out, mask[:]...)
	start := len(c.out)
	c.out = append(c.out, p...)
	ws.Cipher(c.out[start:], mask, 0)
	if waiting {
		return nil // Writable was asked for
	}
	if err := c.Flush(); err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
		return err
	}
	return nil
}

// Flush sends buffered output; call it at Writable events. nil when nothing is
// left, nettune.ErrWouldBlock when some is, else the stream's error. It also
// switches Writable events on and off.
func (c *Conn) Flush() error {
	for c.outPos < len(c.out) {
		n, err := c.s.Write(c.out[c.outPos:])
		c.outPos += n
		if errors.Is(err, nettune.ErrWouldBlock) || err == nil && n == 0 {
			if c.outPos > len(c.out)/2 {
				c.out = c.out[:copy(c.out, c.out[c.outPos:])]
				c.outPos = 0
			}
			c.s.WantWrite(true)
			return nettune.ErrWouldBlock
		}
		if err != nil {
			return err
		}
	}
	if c.outPos > 0 {
		c.out, c.outPos = c.out[:0], 0
		c.s.WantWrite(false)
	}
	return nil
}
