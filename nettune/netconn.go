package nettune

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Detacher is implemented by the streams of transports whose connections can
// become a net.Conn.
type Detacher interface {
	// Detach takes the stream out of its poller and returns the connection as a
	// blocking net.Conn. The stream is closed in any case; on an error the
	// connection is too.
	Detach() (net.Conn, error)
}

// NetConn detaches s from its poller and returns it as an ordinary blocking
// net.Conn, for instance for an HTTP server. already are bytes that the caller
// has read from s; they come first and are not copied. s must be connected; it
// is closed in any case, and on an error so is the connection. A TLS stream
// becomes a connection with the methods of *tls.Conn.
func NetConn(s Stream, already []byte) (net.Conn, error) {
	if t, ok := s.(*tlsStream); ok {
		return t.netConn(already)
	}
	d, ok := s.(Detacher)
	if !ok {
		_ = s.Close()
		return nil, ErrNotSupported
	}
	c, err := d.Detach()
	if err != nil || len(already) == 0 {
		return c, err
	}
	return &prefixConn{Conn: c, already: already}, nil
}

// prefixConn is a net.Conn with bytes that were read before.
type prefixConn struct {
	net.Conn
	already []byte
}

// Read returns what was read before, then the rest.
func (c *prefixConn) Read(p []byte) (int, error) {
	if len(c.already) > 0 {
		n := copy(p, c.already)
		c.already = c.already[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// NetConn returns the connection underneath.
func (c *prefixConn) NetConn() net.Conn { return c.Conn }

// prefixTLSConn is prefixConn over TLS: it keeps ConnectionState and the like.
type prefixTLSConn struct {
	*tls.Conn
	already []byte
}

// Read returns what was read before, then the rest.
func (c *prefixTLSConn) Read(p []byte) (int, error) {
	if len(c.already) > 0 {
		n := copy(p, c.already)
		c.already = c.already[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Detach makes a socket of the net package from the stream.
func (s *kernelStream) Detach() (net.Conn, error) {
	if s.fd < 0 {
		return nil, net.ErrClosed
	}
	if s.flags&connecting != 0 {
		_ = s.Close()
		return nil, fmt.Errorf("nettune: detach %s: not connected yet", s.remote)
	}
	// net.FileConn works on a duplicate, and epoll watches the open file, not
	// the number: take it out by hand.
	s.unwatch()
	if s.p != nil {
		s.p.forget(s)
	}
	if s.flags&stamped != 0 {
		_ = unix.SetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 0)
	}
	f := os.NewFile(uintptr(s.fd), "tcp")
	s.fd = -1
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, s.opError("detach", err)
	}
	if s.early != nil && len(s.early.left) > 0 {
		return &prefixConn{Conn: c, already: s.early.left}, nil
	}
	return c, nil
}

// netConn moves the TLS connection onto a net.Conn.
func (t *tlsStream) netConn(already []byte) (net.Conn, error) {
	if t.state != tlsOpen {
		_ = t.Close()
		return nil, net.ErrClosed
	}
	t.state = tlsClosed
	if t.l != nil {
		t.l.streams--
	}
	t.inner.SetData(nil)
	raw, err := NetConn(t.inner, nil)
	if err != nil {
		return nil, err
	}
	t.pipe.enterBlocking(raw)
	if len(already) == 0 {
		return t.conn, nil
	}
	return &prefixTLSConn{Conn: t.conn, already: already}, nil
}
