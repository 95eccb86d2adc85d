package nettune

import (
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxHot is how many connected streams a busy poller reads on suspicion; with
	// more of them one question to epoll for all is cheaper.
	maxHot = 8
	// askTurns is how often epoll is asked besides, for what is no received
	// byte: connects, accepts, room to write.
	askTurns = 8
	// hotRoom is what one read on suspicion may bring, bytes.
	hotRoom = 64 << 10
)

// early is what a busy poller has read from a stream before anybody asked. A
// message costs one system call then, where asking epoll costs two or three:
// the question, the read, and the read that finds nothing more.
type early struct {
	buf     []byte // hotRoom, kept for the stream's life
	left    []byte // of buf, not handed out yet
	rx      int64  // when left came
	err     error  // came instead of bytes: io.EOF or unix.Errno
	drained bool   // the socket had no more than that
	watched bool   // in a poller's hot list
}

// pending reports whether Read has something to say without a system call.
func (e *early) pending() bool { return e != nil && (len(e.left) > 0 || e.err != nil) }

// warm puts a connected stream on the list of those read on suspicion.
func (p *kernelPoller) warm(s *kernelStream) {
	if !p.busy || s.flags&(connecting|sawEOF|broken) != 0 {
		if s.early.pending() { // read early by its former poller
			p.hot = append(p.hot, s)
			s.early.watched = true
		}
		return
	}
	if s.early == nil {
		s.early = &early{buf: make([]byte, hotRoom)}
	}
	if !s.early.watched {
		s.early.watched = true
		p.hot = append(p.hot, s)
	}
	if n := len(p.hot); n == maxHot || n == maxHot+1 {
		for _, h := range p.hot { // the list may have begun or ceased to be read
			h.watch()
		}
	}
}

// cool takes a stream off the list.
func (p *kernelPoller) cool(s *kernelStream) {
	if s.early == nil || !s.early.watched {
		return
	}
	s.early.watched = false
	for i, h := range p.hot {
		if h == s {
			p.hot = append(p.hot[:i], p.hot[i+1:]...)
			break
		}
	}
	if len(p.hot) == maxHot {
		for _, h := range p.hot {
			h.watch()
		}
	}
}

// suspicious reports whether the poller reads its streams instead of asking for
// received bytes.
func (p *kernelPoller) suspicious() bool { return p.busy && len(p.hot) > 0 && len(p.hot) <= maxHot }

// readEarly reports whether the stream is read on suspicion now.
func (s *kernelStream) readEarly() bool {
	return s.early != nil && s.early.watched && s.p != nil && s.p.suspicious()
}

// readEarly reads every hot stream once and reports those with something to say.
func (p *kernelPoller) readEarly(dst []Event) []Event {
	ask := p.suspicious()
	for _, s := range p.hot {
		e := s.early
		if ask && !e.pending() && s.flags&(sawEOF|broken) == 0 {
			s.fetch()
		}
		if e.pending() {
			dst = append(dst, Event{Stream: s, Flags: Readable})
		}
	}
	return dst
}

// fetch reads what is there, without waiting.
func (s *kernelStream) fetch() {
	e := s.early
	e.drained = false
	var n int
	var errno unix.Errno
	if s.flags&stamped != 0 {
		n, e.rx, errno = s.p.recv.recvStamped(s.fd, e.buf)
	} else {
		// recvfrom goes straight to the socket, read by way of the file system.
		r, _, no := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&e.buf[0])), hotRoom, unix.MSG_DONTWAIT, 0, 0)
		n, errno, e.rx = int(r), no, 0
	}
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
	case errno != 0:
		e.err = errno
	case n == 0:
		e.err = io.EOF
	default:
		e.left, e.drained = e.buf[:n], n < hotRoom
		if e.rx == 0 {
			e.rx = time.Now().UnixNano()
		}
	}
}

// takeEarly hands out what was read early. done is false if the socket has to
// be asked.
func (s *kernelStream) takeEarly(p []byte) (n int, rx int64, err error, done bool) {
	e := s.early
	if len(e.left) > 0 {
		n = copy(p, e.left)
		e.left = e.left[n:]
		return n, e.rx, nil, true
	}
	if err := e.err; err != nil {
		e.err = nil
		if err == io.EOF {
			return 0, time.Now().UnixNano(), s.eof(), true
		}
		return 0, time.Now().UnixNano(), s.fail("read", err.(unix.Errno)), true
	}
	if e.drained && e.watched && s.p != nil && s.p.suspicious() {
		e.drained = false // once: a caller that insists asks the socket
		return 0, 0, ErrWouldBlock, true
	}
	return 0, 0, nil, false
}

// handOver reports streams that a busy poller read before they came to this one,
// which does not, until what it read is taken.
func (p *kernelPoller) handOver(dst []Event) []Event {
	base := len(dst)
	dst = p.readEarly(dst)
	if len(dst) == base {
		for len(p.hot) > 0 {
			p.cool(p.hot[0])
		}
	}
	return dst
}
