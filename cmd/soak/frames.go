package soak

import (
	"bufio"
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

// each calls message for every text and binary message until the connection ends.
// The gateway sends no fragments.
func (f *frames) each(message func(op ws.OpCode, p []byte)) error {
	br := bufio.NewReaderSize(f, 128<<10)
	var buf []byte
	for {
		if err := f.conn.SetReadDeadline(time.Now().Add(quietFor)); err != nil {
			return err
		}
		h, err := ws.ReadHeader(br)
		if err != nil {
			return err
		}
		if h.Length > 64<<20 || !h.Fin {
			return fmt.Errorf("a frame of %d bytes, final %t", h.Length, h.Fin)
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
		}
		if err != nil {
			return err
		}
	}
}
