package transportbench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
)

// Paths of the two services. A stream's client says how it goes on by closing.
const (
	pathEcho   = "/echo"
	pathStream = "/stream"
	pathUsage  = "/usage" // one message: the server's CPU time so far, ns
)

// peer is one connection of the server.
type peer struct {
	s      nettune.Stream
	in     []byte
	path   string // "" before the upgrade
	behind []byte // not taken yet
	stream bool
}

// server serves all its connections from one loop.
type server struct {
	p     nettune.Poller
	peers map[*peer]struct{}
	buf   []byte
	frame []byte // of the stream
}

// Serve is the other end of Measure: it calls ready with the bound address and
// serves until ctx ends.
func Serve(ctx context.Context, e Endpoint, addr netip.AddrPort, ready func(netip.AddrPort)) error {
	p, done, err := e.open()
	if err != nil {
		return err
	}
	defer done()
	if err := pin(e.CPU); err != nil {
		return err
	}
	l, err := p.Listen(nettune.ListenOptions{Addr: addr})
	if err != nil {
		return err
	}
	v := &server{p: p, peers: map[*peer]struct{}{}, buf: make([]byte, 64<<10), frame: appendFrame(nil, make([]byte, MessageSize))}
	stop := context.AfterFunc(ctx, p.Wake)
	defer stop()
	ready(l.Addr())
	var events []nettune.Event
	for ctx.Err() == nil {
		if events, err = p.Poll(events[:0], -1); err != nil {
			return err
		}
		for i := range events {
			v.event(&events[i])
		}
		clear(events)
	}
	return nil
}

func (v *server) event(ev *nettune.Event) {
	if ev.Flags&nettune.Accept != 0 {
		if s, err := ev.Listener.Accept(); err == nil {
			c := &peer{s: s}
			s.SetData(c)
			v.peers[c] = struct{}{}
		}
		return
	}
	c, ok := ev.Stream.Data().(*peer)
	if !ok {
		return
	}
	if ev.Flags&nettune.Readable != 0 {
		if err := v.read(c); err != nil {
			v.drop(c)
			return
		}
	}
	if ev.Flags&nettune.Writable != 0 {
		if err := v.write(c, nil); err != nil {
			v.drop(c)
		}
	}
}

func (v *server) drop(c *peer) {
	c.s.SetData(nil)
	c.s.Close()
	delete(v.peers, c)
}

// read takes what has come and serves whole frames of it.
func (v *server) read(c *peer) error {
	n, _, err := c.s.Read(v.buf)
	if n == 0 {
		if errors.Is(err, nettune.ErrWouldBlock) {
			return nil
		}
		return err
	}
	b := v.buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	if c.path == "" {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			c.in = append(c.in[:0], b...)
			return nil
		}
		if err := v.upgrade(c, b[:end+4]); err != nil {
			return err
		}
		b = b[end+4:]
	}
	for len(b) > 0 {
		used, err := v.serve(c, b)
		if err != nil {
			return err
		}
		if used == 0 {
			break
		}
		b = b[used:]
	}
	c.in = append(c.in[:0], b...)
	return nil
}

// upgrade answers the handshake (RFC 6455, section 4.2).
func (v *server) upgrade(c *peer, head []byte) error {
	var out bytes.Buffer
	u := ws.Upgrader{OnRequest: func(uri []byte) error { c.path = string(uri); return nil }}
	if _, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(head), &out}); err != nil {
		return err
	}
	switch c.path {
	case pathUsage:
		out.Write(appendFrame(nil, binary.LittleEndian.AppendUint64(nil, uint64(cpuTime()))))
	case pathStream:
		c.stream = true
		c.s.WantWrite(true)
	}
	return v.write(c, out.Bytes())
}

// serve handles one masked frame at the start of b and returns its length, 0 if
// it is not whole.
func (v *server) serve(c *peer, b []byte) (int, error) {
	r := bytes.NewReader(b)
	h, err := ws.ReadHeader(r)
	if err != nil {
		return 0, nil
	}
	head := len(b) - r.Len()
	if h.Length > 1<<16 {
		return 0, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	end := head + int(h.Length)
	if len(b) < end {
		return 0, nil
	}
	payload := b[head:end]
	ws.Cipher(payload, h.Mask, 0)
	switch h.OpCode {
	case ws.OpClose:
		return 0, io.EOF
	case ws.OpBinary:
		v.frame = appendFrame(v.frame[:0], payload)
		return end, v.write(c, v.frame)
	}
	return end, nil
}

// write sends b behind what waits, then, on a stream, as much more as is taken.
func (v *server) write(c *peer, b []byte) error {
	if len(c.behind) > 0 {
		n, err := c.s.Write(c.behind)
		c.behind = c.behind[n:]
		if err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
			return err
		}
	}
	if len(c.behind) == 0 && len(b) > 0 {
		n, err := c.s.Write(b)
		if err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
			return err
		}
		b = b[n:]
	}
	c.behind = append(c.behind, b...)
	for i := 0; c.stream && len(c.behind) == 0 && i < 64; i++ {
		n, err := c.s.Write(v.frame)
		if err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
			return err
		}
		c.behind = append(c.behind[:0], v.frame[n:]...)
	}
	c.s.WantWrite(len(c.behind) > 0 || c.stream)
	return nil
}

// appendFrame adds an unmasked binary frame.
func appendFrame(dst, p []byte) []byte {
	dst = append(dst, 0x82)
	if len(p) < 126 {
		dst = append(dst, byte(len(p)))
	} else {
		dst = append(dst, 126, byte(len(p)>>8), byte(len(p)))
	}
	return append(dst, p...)
}
