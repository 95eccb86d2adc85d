package soak

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"
)

// frames reads the messages of a WebSocket.
type frames struct {
	conn  net.Conn
	r     io.Reader
	pause func() time.Duration
}

// quietFor is how long a connection may say nothing: the gateway pings after 30 s.
const quietFor = 60 * time.Second

// Read reads, after a pause if there is one.
func (f *frames) Read(p []byte) (int, error) {
	if f.pause != nil {
		time.Sleep(f.pause())
	}
	return f.r.Read(p)
}

// errBroken is of what no WebSocket server sends its clients (RFC 6455, section 5).
var errBroken = errors.New("broken frame")

// each calls message for every text and binary message until the connection ends.
// The gateway sends no fragments. The error wraps errBroken if what came is no frame.
func (f *frames) each(message func(op ws.OpCode, p []byte)) error {
	br := bufio.NewReaderSize(f, 128<<10)
	var buf []byte
	for {
		if err := f.conn.SetReadDeadline(time.Now().Add(quietFor)); err != nil {
			return err
		}
		h, err := ws.ReadHeader(br)
		if errors.Is(err, ws.ErrHeaderLengthMSB) || errors.Is(err, ws.ErrHeaderLengthUnexpected) {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
		if err != nil {
			return err
		}
		if h.Length > 64<<20 || !h.Fin || h.Masked || h.Rsv != 0 {
			return fmt.Errorf("%w: %d bytes, final %t, masked %t, RSV %d, code %d", errBroken, h.Length, h.Fin, h.Masked, h.Rsv, h.OpCode)
		}
		if int64(cap(buf)) < h.Length {
			buf = make([]byte, h.Length)
		}
		p := buf[:h.Length]
		if _, err := io.ReadFull(br, p); err != nil {
			return err
		}
		switch h.OpCode {
		case ws.OpText, ws.OpBinary:
			message(h.OpCode, p)
		case ws.OpPing:
			err = ws.WriteFrame(f.conn, ws.MaskFrame(ws.NewPongFrame(p)))
		case ws.OpClose:
			_ = ws.WriteFrame(f.conn, ws.MaskFrame(ws.NewCloseFrame(p)))
			return io.EOF
		case ws.OpPong:
		default:
			err = fmt.Errorf("%w: code %d", errBroken, h.OpCode)
		}
		if err != nil {
			return err
		}
	}
}
