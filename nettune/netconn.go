package nettune

import (
	"context"
	"net"
)

// NetConn detaches s from its poller as a blocking net.Conn; already are bytes
// that were read from s and come first.
func NetConn(s Stream, already []byte) (net.Conn, error) { return nil, ErrNotSupported }

// Dialer dials as net.Dialer does, with Options on the socket.
type Dialer struct {
	Dialer  net.Dialer // its Control is called too
	Options Options    // zero: DefaultOptions
}

// DialContext connects to addr ("host:port").
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return nil, ErrNotSupported
}

// Dial connects to addr over TCP, in the form of fasthttp's DialFunc.
func (d *Dialer) Dial(addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), "tcp", addr)
}

// ListenConfig listens as net.ListenConfig does, with Options on the listener
// and the connections that it accepts.
type ListenConfig struct {
	Options Options // zero: DefaultOptions
}

// Listen opens a net.Listener.
func (c *ListenConfig) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return nil, ErrNotSupported
}

// Granted reads back the options of a connection of the net package.
func Granted(c net.Conn) (Options, error) { return Options{}, ErrNotSupported }
