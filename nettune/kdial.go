package nettune

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout is DialOptions.Timeout's default.
const dialTimeout = 10 * time.Second

// Dial starts a connection.
func (p *kernelPoller) Dial(o DialOptions) (Stream, error) {
	if p.closed {
		return nil, net.ErrClosed
	}
	s := &kernelStream{fd: -1, slot: noSlot, flags: connecting | dialled,
		remote: netip.AddrPortFrom(o.Addr.Addr().Unmap(), o.Addr.Port())}
	if !o.Addr.IsValid() || o.Addr.Port() == 0 {
		return nil, s.opError("dial", errors.New("no address or port"))
	}
	family, sa := sockaddr(o.Addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, s.opError("dial", os.NewSyscallError("socket", err))
	}
	s.fd = int32(fd)
	p.k.dials.Add(1)
	if err := p.connect(s, o, sa); err != nil {
		p.k.dialErrors.Add(1)
		_ = s.Close()
		return nil, s.opError("dial", err)
	}
	if o.Timeout >= 0 {
		if o.Timeout == 0 {
			o.Timeout = dialTimeout
		}
		p.timers.dials = append(p.timers.dials, dialTimer{s, time.Now().Add(o.Timeout)})
	}
	return s, nil
}

// connect sets the socket up, starts to connect and registers it.
func (p *kernelPoller) connect(s *kernelStream, o DialOptions, sa unix.Sockaddr) error {
	opt := o.Options.withDefaults()
	fd := int(s.fd)
	fastOpen := p.applyDial(s, opt)
	if o.Bind.IsValid() {
		// The port is chosen at connect, so one local address can serve more
		// connections than there are ports (ip(7), IP_BIND_ADDRESS_NO_PORT).
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		_, local := sockaddr(netip.AddrPortFrom(o.Bind, 0))
		if err := unix.Bind(fd, local); err != nil {
			return os.NewSyscallError("bind to "+o.Bind.String(), err)
		}
	}
	switch err := unix.Connect(fd, sa); err {
	case nil:
		if fastOpen { // nothing was sent yet: the first write goes with the SYN
			p.k.fastOpenCookie.Add(1)
		}
	case unix.EINPROGRESS, unix.EINTR:
	default:
		return os.NewSyscallError("connect", err)
	}
	return p.register(s)
}

// applyDial sets a dialled socket's options and counts what Fast Open did.
func (p *kernelPoller) applyDial(s *kernelStream, o Options) (fastOpen bool) {
	applyOptions(int(s.fd), o)
	if o.Timestamps && getInt(int(s.fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS) != 0 {
		s.flags |= stamped
	}
	if !o.FastOpen {
		return false
	}
	p.k.fastOpenAsked.Add(1)
	if !applyFastOpenDial(int(s.fd)) {
		p.k.fastOpenRefused.Add(1)
		return false
	}
	return true
}

// connected is called when epoll says that a connect has an outcome.
func (s *kernelStream) connected(dst []Event) []Event {
	errno, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err != nil {
		return s.failDial(dst, os.NewSyscallError("connect", err))
	}
	s.flags &^= connecting
	s.p.timers.drop(s)
	s.p.warm(s)
	s.watch()
	f := Connected
	if s.flags&wantWrite != 0 {
		f |= Writable
	}
	return append(dst, Event{Stream: s, Flags: f})
}

// failDial frees the socket and reports why.
func (s *kernelStream) failDial(dst []Event, err error) []Event {
	s.p.k.dialErrors.Add(1)
	_ = s.Close()
	return append(dst, Event{Stream: s, Flags: Closed, Err: s.opError("dial", err)})
}
