package nettune

import (
	"io"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const noSlot = -1

// streamFlags is the state of a kernel stream.
type streamFlags uint8

const (
	connecting streamFlags = 1 << iota // connect has not been answered
	wantWrite                          // Writable events are on
	sawEOF                             // Read returned io.EOF: no more read events
	broken                             // Read or Write returned a hard error
	unwatched                          // taken out of epoll although open
	stamped                            // SO_TIMESTAMPNS is on
	dialled                            // by us, not accepted
)

// kernelStream is one connected socket: 80 bytes beside the kernel's own.
type kernelStream struct {
	fd     int32 // -1 closed
	slot   int32 // in the poller, noSlot none
	flags  streamFlags
	p      *kernelPoller // nil while released
	data   any
	early  *early // nil unless a busy poller had it
	remote netip.AddrPort
}

var _ Stream = (*kernelStream)(nil)

// interest is the epoll event mask that the state asks for.
func (s *kernelStream) interest() uint32 {
	if s.flags&connecting != 0 {
		return unix.EPOLLOUT
	}
	var ev uint32
	if s.flags&sawEOF == 0 && !s.readEarly() {
		ev = unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if s.flags&wantWrite != 0 {
		ev |= unix.EPOLLOUT
	}
	return ev
}

// watch brings epoll in line with the state.
func (s *kernelStream) watch() {
	if s.p != nil && s.slot != noSlot && s.flags&unwatched == 0 {
		_ = s.p.ctl(unix.EPOLL_CTL_MOD, int(s.fd), s.interest(), s.slot)
	}
}

// unwatch takes the descriptor out of epoll: a dead socket reports for ever.
func (s *kernelStream) unwatch() {
	if s.p != nil && s.slot != noSlot && s.flags&unwatched == 0 {
		_ = unix.EpollCtl(s.p.epfd, unix.EPOLL_CTL_DEL, int(s.fd), nil)
		s.flags |= unwatched
	}
}

// ready turns epoll's mask into events.
func (s *kernelStream) ready(dst []Event, mask uint32) []Event {
	if s.flags&connecting != 0 {
		return s.connected(dst)
	}
	var f EventFlags
	const dead = unix.EPOLLERR | unix.EPOLLHUP
	if mask&(unix.EPOLLIN|unix.EPOLLRDHUP|dead) != 0 && !s.readEarly() {
		f |= Readable
	}
	if mask&(unix.EPOLLOUT|dead) != 0 && s.flags&wantWrite != 0 {
		f |= Writable
	}
	if mask&dead != 0 && s.flags&sawEOF != 0 {
		s.unwatch() // both directions over: said once, then silence
	}
	if f == 0 {
		return dst
	}
	return append(dst, Event{Stream: s, Flags: f})
}

// recvScratch is what a recvmsg with a time stamp needs; one per poller, since
// only one read runs at a time.
type recvScratch struct {
	iov unix.Iovec
	msg unix.Msghdr
	oob [64]byte
}

// recvStamped reads with the kernel's receive time; 0 if none came along (the
// first bytes after the option was set, loopback corner cases).
func (r *recvScratch) recvStamped(fd int32, p []byte) (n int, rx int64, errno unix.Errno) {
	r.iov.Base = &p[0]
	r.iov.SetLen(len(p))
	r.msg.Iov = &r.iov
	r.msg.Iovlen = 1
	r.msg.Control = &r.oob[0]
	r.msg.SetControllen(len(r.oob))
	rn, _, e := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msg)), 0)
	r.iov.Base = nil // p is the caller's: do not keep it alive
	if e != 0 {
		return 0, 0, e
	}
	const head = unix.SizeofCmsghdr
	if uint64(r.msg.Controllen) >= head+16 {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&r.oob[0]))
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS {
			ts := (*unix.Timespec)(unsafe.Pointer(&r.oob[head]))
			rx = ts.Nano()
		}
	}
	return int(rn), rx, 0
}

// Read reads what is there. The system call cannot block, so Go's scheduler is
// not told of it: that saves about a fifth of the call.
func (s *kernelStream) Read(p []byte) (int, int64, error) {
	if s.fd < 0 {
		return 0, 0, net.ErrClosed
	}
	if len(p) == 0 {
		return 0, 0, nil
	}
	if s.flags&connecting != 0 {
		return 0, 0, ErrWouldBlock
	}
	if s.early != nil {
		if n, rx, err, done := s.takeEarly(p); done {
			return n, rx, err
		}
	}
	for {
		var n int
		var rx int64
		var errno unix.Errno
		if s.flags&stamped != 0 && s.p != nil {
			n, rx, errno = s.p.recv.recvStamped(s.fd, p)
		} else {
			r, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
			n, errno = int(r), e
		}
		switch {
		case errno == 0 && n > 0:
			if rx == 0 {
				rx = time.Now().UnixNano()
			}
			return n, rx, nil
		case errno == 0:
			return 0, time.Now().UnixNano(), s.eof()
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.EINPROGRESS:
			return 0, 0, ErrWouldBlock
		default:
			return 0, time.Now().UnixNano(), s.fail("read", errno)
		}
	}
}

// eof notes the peer's end, so that it is not reported again and again.
func (s *kernelStream) eof() error {
	if s.flags&sawEOF == 0 {
		s.flags |= sawEOF
		s.watch()
	}
	return io.EOF
}

// fail notes a hard error and names it.
func (s *kernelStream) fail(op string, errno unix.Errno) error {
	if op == "read" {
		s.flags |= broken
		s.unwatch()
	}
	return s.opError(op, os.NewSyscallError(op, errno))
}

// opError says which operation on which connection failed.
func (s *kernelStream) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(s.remote), Err: err}
}

// Write offers p to the kernel once.
func (s *kernelStream) Write(p []byte) (int, error) {
	if s.fd < 0 {
		return 0, net.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if s.flags&connecting != 0 {
		return 0, ErrWouldBlock
	}
	for {
		r, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])),
			uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case e == 0 && int(r) == len(p):
			return len(p), nil
		case e == 0:
			return int(r), ErrWouldBlock
		case e == unix.EINTR:
		case e == unix.EAGAIN || e == unix.EINPROGRESS || e == unix.EALREADY:
			return 0, ErrWouldBlock
		default:
			return 0, s.fail("write", e)
		}
	}
}

// Close frees the socket. Unread input makes the kernel send a reset.
func (s *kernelStream) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := int(s.fd)
	if s.p != nil {
		s.p.forget(s)
	}
	s.fd = -1
	if err := unix.Close(fd); err != nil {
		return s.opError("close", os.NewSyscallError("close", err))
	}
	return nil
}

// Granted reads the options back.
func (s *kernelStream) Granted() Options {
	if s.fd < 0 {
		return Options{}
	}
	return readOptions(int(s.fd), s.flags&dialled != 0)
}

// WantWrite switches Writable events.
func (s *kernelStream) WantWrite(on bool) {
	if on == (s.flags&wantWrite != 0) || s.fd < 0 {
		return
	}
	s.flags ^= wantWrite
	if s.flags&connecting == 0 {
		s.watch()
	}
}

// SetData keeps v with the stream.
func (s *kernelStream) SetData(v any) { s.data = v }

// Data returns what SetData kept.
func (s *kernelStream) Data() any { return s.data }

// RemoteAddr is the peer's address.
func (s *kernelStream) RemoteAddr() netip.AddrPort { return s.remote }

// LocalAddr asks the kernel for this end's address.
func (s *kernelStream) LocalAddr() netip.AddrPort { return localAddr(int(s.fd)) }
