package nettune

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// defaultBacklog is ListenOptions.Backlog's default; the kernel caps it at
// net.core.somaxconn.
const defaultBacklog = 1024

// fastOpenQueue is how many Fast Open connections may wait for the last step of
// their handshake before the kernel asks for an ordinary one (tcp(7)).
const fastOpenQueue = 256

// kernelListener is one listening socket.
type kernelListener struct {
	fd      int32
	slot    int32
	p       *kernelPoller
	addr    netip.AddrPort
	options Options
	stamped bool
}

var _ Listener = (*kernelListener)(nil)

// Listen opens a listening socket.
func (p *kernelPoller) Listen(o ListenOptions) (Listener, error) {
	if p.closed {
		return nil, net.ErrClosed
	}
	if o.Inherited != nil {
		return p.inherit(o)
	}
	if !o.Addr.Addr().IsValid() {
		return nil, errors.New("nettune: listen: no address")
	}
	family, sa := sockaddr(o.Addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, fmt.Errorf("nettune: listen %s: socket: %w", o.Addr, err)
	}
	l := &kernelListener{fd: int32(fd), slot: noSlot, p: p, options: o.Options.withDefaults()}
	if err := l.open(o, family, sa); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("nettune: listen %s: %w", o.Addr, err)
	}
	return l, nil
}

// open binds, listens and registers.
func (l *kernelListener) open(o ListenOptions, family int, sa unix.Sockaddr) error {
	fd := int(l.fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if o.ReusePort {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return os.NewSyscallError("reuseport", err)
		}
	}
	if family == unix.AF_INET6 { // an address of one family means that family
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	// Set before listen: accepted sockets inherit all of them, buffer sizes
	// decide the window scale in the SYN.
	applyOptions(fd, l.options)
	if l.options.FastOpen {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, fastOpenQueue)
	}
	l.stamped = l.options.Timestamps && getInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS) != 0
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if o.Backlog <= 0 {
		o.Backlog = defaultBacklog
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		return os.NewSyscallError("listen", err)
	}
	l.addr = localAddr(fd)
	l.slot, _ = l.p.take(nil, l)
	return l.p.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, l.slot)
}

// inherit makes a listener of a socket that listens already.
func (p *kernelPoller) inherit(o ListenOptions) (Listener, error) {
	// Not by Fd, which may make the socket block, for everybody who holds it.
	raw, err := o.Inherited.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("nettune: inherited listener: %w", err)
	}
	fd := -1
	ctl := raw.Control(func(from uintptr) { fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(ctl, err); err != nil {
		return nil, fmt.Errorf("nettune: inherited listener: %w", os.NewSyscallError("dup", err))
	}
	l := &kernelListener{fd: int32(fd), slot: noSlot, p: p, options: o.Options.withDefaults()}
	switch {
	case getInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) == 0 || getInt(fd, unix.SOL_SOCKET, unix.SO_TYPE) != unix.SOCK_STREAM:
		err = errors.New("not a listening TCP socket")
	default:
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		applyOptions(fd, l.options)
		l.stamped = l.options.Timestamps && getInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS) != 0
		l.addr = localAddr(fd)
		l.slot, _ = p.take(nil, l)
		err = p.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, l.slot)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("nettune: inherited listener: %w", err)
	}
	return l, nil
}

// File returns a duplicate of the listening socket, to hand to another process; the
// caller closes it. It implements Sharer.
func (l *kernelListener) File() (*os.File, error) {
	if l.fd < 0 {
		return nil, net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("nettune: listener %s: %w", l.addr, os.NewSyscallError("dup", err))
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// Accept takes one connection from the queue. Its registration with epoll
// waits for the next Poll, so that a stream released at once costs nothing.
func (l *kernelListener) Accept() (Stream, error) {
	if l.fd < 0 {
		return nil, net.ErrClosed
	}
	for {
		fd, sa, err := unix.Accept4(int(l.fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			return l.accepted(fd, sa), nil
		case unix.EAGAIN:
			return nil, ErrWouldBlock
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			l.rest()
			return nil, fmt.Errorf("nettune: accept on %s, resting for %v: %w", l.addr, acceptPause, err)
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.EHOSTDOWN,
			unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENONET, unix.ENOPROTOOPT, unix.EOPNOTSUPP:
			// that connection died in the queue (accept(2)): the next one
		default:
			return nil, fmt.Errorf("nettune: accept on %s: %w", l.addr, err)
		}
	}
}

// accepted wraps a new socket.
func (l *kernelListener) accepted(fd int, sa unix.Sockaddr) *kernelStream {
	l.p.k.accepts.Add(1)
	s := &kernelStream{fd: int32(fd), slot: noSlot, p: l.p, remote: addrPort(sa)}
	if l.stamped {
		s.flags |= stamped
	}
	if l.options.QuickAck { // the one option that is not inherited
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}
	l.p.fresh = append(l.p.fresh, s)
	return s
}

// rest silences the listener for acceptPause.
func (l *kernelListener) rest() {
	l.p.k.acceptErrs.Add(1)
	_ = l.p.ctl(unix.EPOLL_CTL_MOD, int(l.fd), 0, l.slot)
	l.p.timers.rests = append(l.p.timers.rests, restTimer{l, time.Now().Add(acceptPause)})
}

// Addr is the bound address.
func (l *kernelListener) Addr() netip.AddrPort { return l.addr }

// Granted reads the listener's options back; FastOpen needs bit 2 of the
// sysctl net.ipv4.tcp_fastopen as well.
func (l *kernelListener) Granted() Options {
	if l.fd < 0 {
		return Options{}
	}
	o := readOptions(int(l.fd), false)
	o.FastOpen = getInt(int(l.fd), unix.IPPROTO_TCP, unix.TCP_FASTOPEN) > 0 && fastOpenSysctl()&fastOpenServerBit != 0
	return o
}

// Close stops listening.
func (l *kernelListener) Close() error {
	if l.fd < 0 {
		return nil
	}
	if l.slot != noSlot {
		l.p.give(l.slot)
		l.slot = noSlot
	}
	fd := int(l.fd)
	// epoll watches the open socket, which another process may hold too.
	_ = unix.EpollCtl(l.p.epfd, unix.EPOLL_CTL_DEL, fd, nil)
	l.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}
