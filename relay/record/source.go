package record

import (
	"errors"
	"sync"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Rings is a Source over rings of this process, which may come and go while it is read.
// When the producer of one is gone the others go on.
type Rings struct {
	table *md.TableView
	p     *ring.Poller // the reading goroutine's

	mu      sync.Mutex
	added   []*ring.Consumer
	current *ring.Poller // what Interrupt has to reach
	woken   chan struct{}
}

// NewRings makes a Source of consumers that refer to one instrument table; Close closes
// them.
func NewRings(table *md.TableView, cs ...*ring.Consumer) *Rings {
	s := &Rings{table: table, woken: make(chan struct{}, 1)}
	s.use(ring.NewPoller(cs...))
	return s
}

// Add takes one more ring. Any goroutine.
func (s *Rings) Add(c *ring.Consumer) {
	s.mu.Lock()
	s.added = append(s.added, c)
	s.mu.Unlock()
	s.Interrupt()
}

func (s *Rings) use(p *ring.Poller) {
	s.mu.Lock()
	s.p, s.current = p, p
	s.mu.Unlock()
}

// adopt takes up rings that were added.
func (s *Rings) adopt() {
	s.mu.Lock()
	added := s.added
	s.added = nil
	s.mu.Unlock()
	if len(added) > 0 {
		s.use(ring.NewPoller(append(s.p.Consumers(), added...)...))
	}
}

// Poll implements Source.
func (s *Rings) Poll(dst []md.Record) (int, error) {
	s.adopt()
	n, err := s.p.Poll(dst)
	if errors.Is(err, ring.ErrProducerGone) {
		return n, s.drop()
	}
	return n, err
}

// drop leaves out rings that have ended.
func (s *Rings) drop() error {
	for _, c := range s.p.Consumers() {
		if !c.ProducerAlive() && c.Depth() == 0 {
			s.mu.Lock() // Interrupt may be at it
			err := s.p.Remove(c)
			s.mu.Unlock()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Wait implements Source.
func (s *Rings) Wait(mode ring.WaitMode, timeout time.Duration) (bool, error) {
	s.adopt()
	if len(s.p.Consumers()) == 0 {
		select {
		case <-s.woken:
		case <-time.After(timeout):
		}
		return false, nil
	}
	ok, err := s.p.Wait(mode, timeout)
	if errors.Is(err, ring.ErrProducerGone) {
		return false, s.drop()
	}
	return ok, err
}

// Interrupt implements Source.
func (s *Rings) Interrupt() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Interrupt()
}

// Table implements Source.
func (s *Rings) Table() *md.TableView { return s.table }

// Session implements Source.
func (s *Rings) Session() int { return 1 }

// Close gives the rings back. Not while a Recorder runs.
func (s *Rings) Close() error {
	s.adopt()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p.Close()
}
