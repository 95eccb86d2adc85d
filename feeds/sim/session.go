package sim

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

const (
	// maxRequest bounds a client's message (OKX documents 64 KB).
	maxRequest = 64 << 10
	// writeTimeout is how long one write may take before the client is dropped.
	writeTimeout = 20 * time.Second
)

// wireFrame is an unmasked frame as it goes over the wire, shared by all
// sessions that get it and never written to.
type wireFrame []byte

// newFrame builds a frame.
func newFrame(op ws.OpCode, payload []byte) wireFrame {
	var b bytes.Buffer
	b.Grow(len(payload) + 10)
	// Neither can fail: the buffer grows and the header is well formed.
	_ = ws.WriteHeader(&b, ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))})
	b.Write(payload)
	return b.Bytes()
}

// parts takes a frame apart again.
func (f wireFrame) parts() (ws.OpCode, []byte) {
	r := bytes.NewReader(f)
	h, err := ws.ReadHeader(r)
	if err != nil {
		return ws.OpText, nil // cannot be: newFrame made it
	}
	return h.OpCode, f[len(f)-int(h.Length):]
}

// frameKind says what a data frame is to the faults.
type frameKind uint8

const (
	kindReply frameKind = iota // ack, error, pong: not market data
	kindOther                  // market data but books
	kindBook                   // an update of a book
)

// outgoing is what a session's queue holds. Of the parts, the first that is set
// is done.
type outgoing struct {
	frame wireFrame
	cut   bool          // half of frame, then the connection ends
	stall time.Duration // nothing for so long
	drip  time.Duration // one byte at a time for so long
	close ws.StatusCode // the close frame in frame, then the connection ends
	after time.Duration // wait so long before it, with the connection usable (close only)
}

// session is one client's connection. Its reader and its writer are goroutines;
// everything else is called under the server's lock, send and block excepted.
type session struct {
	id   int // in the order of connecting, from 1
	srv  *Server
	conn net.Conn
	in   *bufio.Reader
	log  *slog.Logger

	queue  chan outgoing
	urgent chan outgoing // overtakes queue; replays only, whose queue is full by design
	done   chan struct{} // closed when the session ends
	once   sync.Once
	sent   atomic.Int64 // items put into queue
	wrote  atomic.Int64 // items done with

	lastHeard atomic.Int64 // ns since 1970 UTC
	pings     atomic.Int32 // protocol pings without a pong
	rng       *rand.Rand   // what a garbage frame holds
	recent    []time.Time  // of the last messages, the reader's own

	// The rest is guarded by the server's lock.
	wrapped bool     // Binance: frames carry their stream's name
	wanted  []string // streams named in the address
	class   string   // of streams served, where the venue has classes
	started bool     // a replay has begun
	number  int64    // Coinbase: of the next frame
	beat    int64    // Coinbase: ns of the last heartbeat
	streams []*stream
	armed   [numFaults]int // how many of the next frames meet the fault
	silent  bool           // nothing is sent any more
	hush    bool           // acks and no more
	mute    bool           // anything but data
	held    []heldFrame
}

// heldFrame waits for its stream's next frame to change places with.
type heldFrame struct {
	key   string
	frame wireFrame
}

// end closes the session, once.
func (s *session) end() {
	s.once.Do(func() {
		close(s.done)
		s.conn.Close()
	})
}

// enqueue puts an item into the queue, in replays into the one that overtakes;
// a client that is too far behind is dropped.
func (s *session) enqueue(o outgoing) {
	to := s.queue
	if s.urgent != nil {
		to = s.urgent
	}
	s.sent.Add(1)
	select {
	case to <- o:
	default:
		s.wrote.Add(1)
		select {
		case <-s.done:
		default:
			s.srv.slow.Add(1)
			s.log.Warn("client is too slow: dropped", "queue", len(s.queue))
			s.end()
		}
	}
}

// block puts an item into the queue and waits while that is full; false when
// the session has ended. For replays, whose clients set the pace.
func (s *session) block(o outgoing) bool {
	s.sent.Add(1)
	select {
	case <-s.done:
	case s.queue <- o:
		return true
	}
	s.wrote.Add(1)
	return false
}

// drained says whether the writer has done everything asked of it.
func (s *session) drained() bool {
	select {
	case <-s.done:
		return true
	default:
		return s.wrote.Load() >= s.sent.Load()
	}
}

// reply sends an ack or an error.
func (s *session) reply(text []byte) {
	if !s.silent {
		s.enqueue(outgoing{frame: newFrame(ws.OpText, text)})
	}
}

// answer sends a pong, as text or as a control frame, or a ping.
func (s *session) answer(op ws.OpCode, payload []byte) {
	if !s.silent && !s.hush {
		s.enqueue(outgoing{frame: newFrame(op, payload)})
	}
}

// tooFast counts a message of the client and says whether it has sent more than
// limit of them within a second; limit 0 is none.
func (s *session) tooFast(limit int) bool {
	if limit == 0 {
		return false
	}
	now := time.Now()
	s.recent = append(s.recent, now)
	if len(s.recent) > limit+1 {
		s.recent = append(s.recent[:0], s.recent[1:]...)
	}
	return len(s.recent) > limit && now.Sub(s.recent[0]) < time.Second
}

// readLoop reads requests until the connection ends. text is called for every
// message; ping and close are answered here.
func (s *session) readLoop(text func(op ws.OpCode, msg []byte)) error {
	defer s.end()
	var message []byte
	for {
		h, err := ws.ReadHeader(s.in)
		if err != nil {
			return err
		}
		if err := ws.CheckHeader(h, ws.StateServerSide|fragmented(message)); err != nil {
			return err
		}
		if h.Length > maxRequest || int64(len(message))+h.Length > maxRequest {
			s.enqueue(closing(ws.StatusMessageTooBig, "request too big", 0))
			s.discard()
			return errors.New("request too big")
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(s.in, payload); err != nil {
			return err
		}
		ws.Cipher(payload, h.Mask, 0)
		s.lastHeard.Store(time.Now().UnixNano())
		if s.tooFast(s.srv.dialect.rate()) {
			s.enqueue(closing(ws.StatusPolicyViolation, "too many requests", 0))
			s.discard()
			return errors.New("more requests per second than the venue takes")
		}
		switch {
		case h.OpCode == ws.OpPing:
			s.srv.locked(func() { s.answer(ws.OpPong, payload) })
		case h.OpCode == ws.OpPong:
			s.pings.Store(0)
		case h.OpCode == ws.OpClose:
			s.enqueue(outgoing{frame: newFrame(ws.OpClose, payload), close: ws.StatusNormalClosure})
			s.discard()
			return nil
		default:
			if message = append(message, payload...); h.Fin {
				text(h.OpCode, message)
				message = nil
			}
		}
	}
}

// discard reads on without a look until the writer has ended the connection:
// closing it with unread bytes would reset it under the close frame.
func (s *session) discard() { io.Copy(io.Discard, s.in) }

// fragmented is the state bit of a message that has begun.
func fragmented(message []byte) ws.State {
	if message != nil {
		return ws.StateFragmented
	}
	return 0
}

// closing is a close frame that ends the connection after the given time.
func closing(code ws.StatusCode, reason string, after time.Duration) outgoing {
	return outgoing{frame: newFrame(ws.OpClose, ws.NewCloseFrameBody(code, reason)), close: code, after: after}
}

// writeLoop writes the queue until the session ends.
func (s *session) writeLoop() {
	defer s.end()
	out := bufio.NewWriterSize(s.conn, 64<<10)
	for {
		o, ok := s.take(nil)
		if !ok {
			return
		}
		err := s.write(out, o)
		if err == nil && len(s.queue)+len(s.urgent) == 0 {
			err = out.Flush()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.log.Info("client gone", "err", err)
			}
			return
		}
		s.wrote.Add(1)
	}
}

// take waits for the next item; false when the session ends or the timer fires.
func (s *session) take(timer <-chan time.Time) (outgoing, bool) {
	select {
	case o := <-s.urgent:
		return o, true
	default:
	}
	select {
	case <-s.done:
	case <-timer:
	case o := <-s.urgent:
		return o, true
	case o := <-s.queue:
		return o, true
	}
	return outgoing{}, false
}

// write does one item. io.EOF ends the session on purpose.
func (s *session) write(out *bufio.Writer, o outgoing) error {
	s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	switch {
	case o.stall > 0:
		if err := out.Flush(); err != nil {
			return err
		}
		if !(RealClock{}).Sleep(s.done, o.stall) {
			return io.EOF
		}
		return nil
	case o.drip > 0:
		return s.dripLoop(out, o.drip)
	case o.cut:
		out.Write(o.frame[:len(o.frame)/2+1])
		out.Flush()
		return io.EOF
	case o.close != 0:
		if o.after > 0 {
			return s.closeLater(o)
		}
		out.Write(o.frame)
		out.Flush()
		s.lingerClose()
		return io.EOF
	}
	_, err := out.Write(o.frame)
	return err
}

// closeLater ends the session after o.after, which other frames may use.
func (s *session) closeLater(o outgoing) error {
	after := o.after
	o.after = 0
	s.srv.goes(func() {
		if (RealClock{}).Sleep(s.done, after) {
			s.enqueue(o)
		}
	})
	return nil
}

// lingerClose gives the client a moment to answer the close frame: closing at
// once with unread bytes would reset the connection under the frame.
func (s *session) lingerClose() {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
		RealClock{}.Sleep(s.done, 50*time.Millisecond)
	}
}

// dripPause is the time between two bytes of a slow drip.
const dripPause = time.Millisecond

// dripLoop writes frames byte by byte for d, then goes on as usual.
func (s *session) dripLoop(out *bufio.Writer, d time.Duration) error {
	if err := out.Flush(); err != nil {
		return err
	}
	until := time.Now().Add(d)
	for time.Now().Before(until) {
		o, ok := s.take(time.After(time.Until(until)))
		if !ok {
			return nil
		}
		if o.stall > 0 || o.drip > 0 || o.cut || o.close != 0 {
			err := s.write(out, o)
			s.wrote.Add(1)
			if err != nil {
				return err
			}
			continue
		}
		if err := s.drip(o.frame, until); err != nil {
			return err
		}
		s.wrote.Add(1)
	}
	return nil
}

// drip writes one frame byte by byte, what is left at once when time is up.
func (s *session) drip(frame wireFrame, until time.Time) error {
	for i := range frame {
		s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if time.Now().After(until) {
			_, err := s.conn.Write(frame[i:])
			return err
		}
		if _, err := s.conn.Write(frame[i : i+1]); err != nil {
			return err
		}
		if !(RealClock{}).Sleep(s.done, dripPause) {
			return io.EOF
		}
	}
	return nil
}

// unsubscribe leaves a stream.
func (s *session) unsubscribe(st *stream) {
	s.streams = slices.DeleteFunc(s.streams, func(x *stream) bool { return x == st })
	st.members = slices.DeleteFunc(st.members, func(x *session) bool { return x == s })
}

// pong answers a text ping.
func (s *session) pong() { s.answer(ws.OpText, []byte("pong")) }
