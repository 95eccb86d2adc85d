package nettune

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dialer dials as net.Dialer does, with Options on the socket: for everything
// that is not a hot loop, such as REST clients. The zero value works. Safe for
// concurrent use.
//
// With Fast Open the dial may return before the peer has been asked: a refused
// connection then shows in the first Read or Write.
type Dialer struct {
	// Dialer is the dialler underneath; its Control or ControlContext runs
	// first. KeepAlive settings in it lose against Options.
	Dialer  net.Dialer
	Options Options // zero: DefaultOptions; Timestamps mean nothing here
}

// DialContext connects to addr ("host:port") over network "tcp", "tcp4" or
// "tcp6".
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	o := d.Options.withDefaults()
	o.Timestamps = false
	nd := d.Dialer
	control, controlCtx := nd.Control, nd.ControlContext
	nd.Control = nil
	nd.KeepAlive = -1 // ours are set below
	nd.KeepAliveConfig = net.KeepAliveConfig{}
	nd.ControlContext = func(ctx context.Context, network, address string, rc syscall.RawConn) error {
		if controlCtx != nil {
			if err := controlCtx(ctx, network, address, rc); err != nil {
				return err
			}
		} else if control != nil {
			if err := control(network, address, rc); err != nil {
				return err
			}
		}
		return rc.Control(func(fd uintptr) {
			applyOptions(int(fd), o)
			if o.FastOpen {
				applyFastOpenDial(int(fd))
			}
		})
	}
	c, err := nd.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return settle(c, o), nil
}

// Dial connects to addr over TCP, in the form of fasthttp's DialFunc. It waits
// as long as the embedded Dialer allows (default here: 10 s).
func (d *Dialer) Dial(addr string) (net.Conn, error) {
	ctx := context.Background()
	if d.Dialer.Timeout == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialTimeout)
		defer cancel()
	}
	return d.DialContext(ctx, "tcp", addr)
}

// settle undoes what package net does by itself once connected.
func settle(c net.Conn, o Options) net.Conn {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	if !o.NoDelay {
		_ = tc.SetNoDelay(false) // net switches it on
	}
	if o.QuickAck {
		if rc, err := tc.SyscallConn(); err == nil {
			_ = rc.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
			})
		}
	}
	return c
}

// ListenConfig listens as net.ListenConfig does, with Options on the listener
// and on the connections that it accepts, Fast Open included. The zero value
// works.
type ListenConfig struct {
	Options   Options // zero: DefaultOptions; Timestamps mean nothing here
	ReusePort bool    // several listeners share the port
}

// Listen opens a net.Listener on network "tcp", "tcp4" or "tcp6".
func (c *ListenConfig) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	o := c.Options.withDefaults()
	o.Timestamps = false
	lc := net.ListenConfig{KeepAlive: -1}
	// Multipath TCP, net's default for listeners, has no Fast Open and fewer
	// options.
	lc.SetMultipathTCP(false)
	lc.Control = func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) {
			applyOptions(int(fd), o)
			if o.FastOpen {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_FASTOPEN, fastOpenQueue)
			}
			if c.ReusePort {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
		})
	}
	l, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &netListener{Listener: l, options: o}, nil
}

// netListener settles what it accepts.
type netListener struct {
	net.Listener
	options Options
}

// Accept waits for a connection.
func (l *netListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return settle(c, l.options), nil
}

// Granted reads back the options of a connection of package net, also one
// wrapped in TLS or by NetConn. dialled says who opened it: Fast Open is read
// from different places.
func Granted(c net.Conn, dialled bool) (Options, error) {
	for {
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = w.NetConn()
	}
	if p, ok := c.(*tlsPipe); ok && p.raw != nil {
		c = p.raw
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Options{}, fmt.Errorf("nettune: options of %T: %w", c, ErrNotSupported)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return Options{}, fmt.Errorf("nettune: options of %s: %w", c.RemoteAddr(), err)
	}
	var o Options
	if err := rc.Control(func(fd uintptr) { o = readOptions(int(fd), dialled) }); err != nil {
		return Options{}, fmt.Errorf("nettune: options of %s: %w", c.RemoteAddr(), err)
	}
	return o, nil
}
