package nettune

import (
	"sync"
	"sync/atomic"
	"time"
)

// Layered wraps a transport's own poller so that TLSClient and TLSServer work
// over its streams. Every Transport returns its pollers wrapped; code above
// never calls it.
//
// The inner poller needs to know nothing: a layer keeps itself in the Data of
// the stream below, and its events are translated on the way out of Poll.
func Layered(p Poller) Poller { return &layered{Poller: p, shaking: map[*tlsStream]struct{}{}} }

// layered is a poller whose streams may carry TLS.
type layered struct {
	Poller
	streams   int                     // TLS streams alive
	shaking   map[*tlsStream]struct{} // of these, with a handshake goroutine
	undrained []*tlsStream            // may have decrypted bytes waiting
	round     uint32
	wg        sync.WaitGroup // handshake goroutines

	posted atomic.Bool // queue is not empty
	mu     sync.Mutex
	queue  []*tlsStream // handshakes that have progressed
	spare  []*tlsStream
}

// tlsBelow marks the stream under a TLS stream: it is that stream's Data.
type tlsBelow struct{ t *tlsStream }

// Poll polls the transport and lets TLS streams see their events first.
func (l *layered) Poll(dst []Event, wait time.Duration) ([]Event, error) {
	if l.streams == 0 {
		return l.Poller.Poll(dst, wait)
	}
	l.round++
	base := len(dst)
	dst = l.progress(dst)
	dst = l.remind(dst)
	if len(dst) > base {
		wait = 0
	}
	mark := len(dst)
	dst, err := l.Poller.Poll(dst, wait)
	dst = l.translate(dst, mark)
	return l.progress(dst), err
}

// remind reports TLS streams that were not read to the end: their bytes are in
// this process, where the stack below no longer sees them.
func (l *layered) remind(dst []Event) []Event {
	keep := l.undrained[:0]
	for _, t := range l.undrained {
		if !t.undrained || t.state != tlsOpen || t.l != l {
			t.listed = false
			continue
		}
		t.round = l.round
		keep = append(keep, t)
		dst = append(dst, Event{Stream: t, Flags: Readable})
	}
	clear(l.undrained[len(keep):])
	l.undrained = keep
	return dst
}

// translate replaces the events of streams that carry TLS, from index mark on.
func (l *layered) translate(dst []Event, mark int) []Event {
	out := dst[:mark]
	for _, ev := range dst[mark:] {
		if ev.Stream != nil {
			if b, ok := ev.Stream.Data().(*tlsBelow); ok {
				ev = b.t.translate(ev)
				if ev.Flags == 0 {
					continue
				}
			}
		}
		out = append(out, ev)
	}
	return out
}

// post queues a TLS stream whose handshake goroutine wants the loop.
func (l *layered) post(t *tlsStream) {
	l.mu.Lock()
	if !t.queued {
		t.queued = true
		l.queue = append(l.queue, t)
		l.posted.Store(true)
	}
	l.mu.Unlock()
	l.Wake()
}

// progress serves the queued handshakes.
func (l *layered) progress(dst []Event) []Event {
	if !l.posted.Load() {
		return dst
	}
	l.mu.Lock()
	q := l.queue
	l.queue, l.spare = l.spare[:0], nil
	l.posted.Store(false)
	for _, t := range q {
		t.queued = false
	}
	l.mu.Unlock()
	for _, t := range q {
		if ev := t.advance(); ev.Flags != 0 {
			dst = append(dst, ev)
		}
	}
	clear(q)
	l.spare = q[:0]
	return dst
}

// Release lets go of a stream, with its TLS once the handshake is done.
func (l *layered) Release(s Stream) error {
	t, ok := s.(*tlsStream)
	if !ok {
		return l.Poller.Release(s)
	}
	if t.state != tlsOpen || t.l != l {
		return ErrForeign
	}
	if err := l.Poller.Release(t.inner); err != nil {
		return err
	}
	l.unlist(t)
	l.streams--
	t.l = nil
	return nil
}

// unlist takes a TLS stream that leaves out of the reminders.
func (l *layered) unlist(t *tlsStream) {
	for i, u := range l.undrained {
		if u == t {
			l.undrained = append(l.undrained[:i], l.undrained[i+1:]...)
			break
		}
	}
	t.listed = false
}

// Adopt takes a released stream.
func (l *layered) Adopt(s Stream) error {
	t, ok := s.(*tlsStream)
	if !ok {
		return l.Poller.Adopt(s)
	}
	if t.l != nil {
		return ErrNotReleased
	}
	if err := l.Poller.Adopt(t.inner); err != nil {
		return err
	}
	t.l = l
	l.streams++
	t.list() // perhaps the former owner left something unread
	return nil
}

// Close ends the handshakes under way, then the poller, and waits for the
// handshake goroutines.
func (l *layered) Close() error {
	for t := range l.shaking {
		_ = t.Close()
	}
	err := l.Poller.Close()
	l.wg.Wait()
	return err
}
