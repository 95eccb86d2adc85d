package nettune

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// shakeLimit is how much unread input a handshake may hold, bytes; beyond it
// the loop stops reading until the goroutine has caught up.
const shakeLimit = 256 << 10

// tlsPipe is the net.Conn that tls.Conn stands on. It has three lives:
//
//	handshake  Read blocks on memory that the loop fills, Write fills memory
//	           that the loop sends; mu guards both
//	loop       Read and Write go straight to the stream, one goroutine
//	blocking   after NetConn: they go to a net.Conn of the net package
type tlsPipe struct {
	inner Stream
	post  func() // tells the loop that the handshake moved
	in    []byte // received, not yet read by tls.Conn
	out   []byte // written by tls.Conn, not yet taken by the stream
	rx    int64  // receive time of the last bytes

	mu       sync.Mutex
	cond     sync.Cond
	inLoop   bool  // second life
	aborted  error // ends the handshake's reads and writes
	finished bool  // the handshake goroutine has ended, with shakeErr
	shakeErr error

	raw   net.Conn  // third life
	drain sync.Once // sends what the second life left
}

var _ net.Conn = (*tlsPipe)(nil)

func newTLSPipe(s Stream, post func()) *tlsPipe {
	c := &tlsPipe{inner: s, post: post}
	c.cond.L = &c.mu
	return c
}

// Read is called by tls.Conn.
func (c *tlsPipe) Read(p []byte) (int, error) {
	switch {
	case c.raw != nil:
		if err := c.drainOut(); err != nil {
			return 0, err
		}
		if len(c.in) > 0 {
			return c.takeIn(p), nil
		}
		return c.raw.Read(p)
	case c.inLoop:
		if len(c.in) > 0 {
			return c.takeIn(p), nil
		}
		n, rx, err := c.inner.Read(p)
		if n > 0 {
			c.rx = rx
		}
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 && c.aborted == nil {
		c.cond.Wait()
	}
	if len(c.in) == 0 {
		return 0, c.aborted
	}
	return c.takeIn(p), nil
}

// takeIn hands out buffered input.
func (c *tlsPipe) takeIn(p []byte) int {
	n := copy(p, c.in)
	c.in = c.in[n:]
	if len(c.in) == 0 {
		c.in = nil
	}
	return n
}

// Write is called by tls.Conn and always takes all of p: a short write would
// break the record stream.
func (c *tlsPipe) Write(p []byte) (int, error) {
	switch {
	case c.raw != nil:
		if err := c.drainOut(); err != nil {
			return 0, err
		}
		return c.raw.Write(p)
	case c.inLoop:
		return len(p), c.writeLoop(p)
	}
	c.mu.Lock()
	if c.aborted != nil {
		c.mu.Unlock()
		return 0, c.aborted
	}
	c.out = append(c.out, p...)
	c.mu.Unlock()
	c.post()
	return len(p), nil
}

// writeLoop sends p, or buffers what the stream does not take.
func (c *tlsPipe) writeLoop(p []byte) error {
	if len(c.out) == 0 {
		n, err := c.inner.Write(p)
		if err != nil && !errors.Is(err, ErrWouldBlock) {
			return err
		}
		p = p[n:]
	}
	c.out = append(c.out, p...)
	return nil
}

// flush sends buffered output; ErrWouldBlock if some is left. Loop only.
func (c *tlsPipe) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	n, err := c.inner.Write(c.out)
	c.out = c.out[:copy(c.out, c.out[n:])]
	if err == nil && len(c.out) > 0 {
		err = ErrWouldBlock
	}
	return err
}

// pending is the number of bytes that wait in out.
func (c *tlsPipe) pending() int {
	if c.inLoop {
		return len(c.out)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}

// carry is the loop's part of the handshake: it sends out and fills in.
func (c *tlsPipe) carry() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.flush(); err != nil && !errors.Is(err, ErrWouldBlock) {
		return err
	}
	if c.finished {
		return nil
	}
	var buf [4096]byte
	for len(c.in) < shakeLimit {
		n, rx, err := c.inner.Read(buf[:])
		if n > 0 {
			c.rx = rx
			c.in = append(c.in, buf[:n]...)
			c.cond.Signal()
		}
		if errors.Is(err, ErrWouldBlock) {
			return nil
		}
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// abort ends the handshake with err; the first reason stands.
func (c *tlsPipe) abort(err error) {
	c.mu.Lock()
	if c.aborted == nil && !c.finished {
		c.aborted = err
	}
	c.mu.Unlock()
	c.cond.Broadcast()
}

// finish notes the end of the handshake goroutine. A reason given to abort says
// more than what crypto/tls made of it, unless crypto/tls came to a verdict of its
// own: a refused certificate makes the peer hang up, which the loop may see first.
func (c *tlsPipe) finish(err error) {
	c.mu.Lock()
	c.finished = true
	c.shakeErr = err
	var verdict *tls.CertificateVerificationError
	if err != nil && c.aborted != nil && !errors.As(err, &verdict) {
		c.shakeErr = c.aborted
	}
	c.mu.Unlock()
	c.post()
}

// outcome says whether the handshake goroutine has ended, and how.
func (c *tlsPipe) outcome() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finished, c.shakeErr
}

// enterLoop begins the second life; the handshake goroutine is gone.
func (c *tlsPipe) enterLoop() { c.inLoop = true }

// enterBlocking begins the third life.
func (c *tlsPipe) enterBlocking(raw net.Conn) { c.raw = raw }

// drainOut sends, once and blocking, what the loop could not.
func (c *tlsPipe) drainOut() error {
	var err error
	c.drain.Do(func() {
		if len(c.out) > 0 {
			_, err = c.raw.Write(c.out)
			c.out = nil
		}
	})
	return err
}

// Close is called by tls.Conn.Close in the third life; before, the stream is
// closed by its owner.
func (c *tlsPipe) Close() error {
	if c.raw != nil {
		return c.raw.Close()
	}
	return nil
}

// LocalAddr is this end's address.
func (c *tlsPipe) LocalAddr() net.Addr {
	if c.raw != nil {
		return c.raw.LocalAddr()
	}
	return net.TCPAddrFromAddrPort(c.inner.LocalAddr())
}

// RemoteAddr is the peer's address.
func (c *tlsPipe) RemoteAddr() net.Addr {
	if c.raw != nil {
		return c.raw.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(c.inner.RemoteAddr())
}

// SetDeadline works in the third life; before, the loop keeps time.
func (c *tlsPipe) SetDeadline(t time.Time) error {
	if c.raw != nil {
		return c.raw.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline is like SetDeadline, for reads.
func (c *tlsPipe) SetReadDeadline(t time.Time) error {
	if c.raw != nil {
		return c.raw.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline is like SetDeadline, for writes.
func (c *tlsPipe) SetWriteDeadline(t time.Time) error {
	if c.raw != nil {
		return c.raw.SetWriteDeadline(t)
	}
	return nil
}
