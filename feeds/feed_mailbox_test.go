package feeds

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestMailboxRunsEachCommandOnceAndRefusesAfterTheEnd(t *testing.T) {
	m := newMailbox()
	woken := make(chan struct{}, 1)
	m.wake = func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	ran, accepted := 0, atomic.Int64{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				if i%2 == 0 && m.post(func() { ran++ }) || i%2 == 1 && m.call(func() { ran++ }) {
					accepted.Add(1)
				}
			}
		})
	}
	for ran < 1000 { // like the loop: sleeps until woken, drains
		<-woken
		m.drain()
	}
	close(m.closed)
	m.drainAll()
	close(m.ended)
	wg.Wait()
	// Behind the last drain there may be commands that post accepted, and some of
	// which call has told that they did not run.
	slipped := int64(len(m.commands))
	if int64(ran) > accepted.Load() || int64(ran)+slipped < accepted.Load() {
		t.Errorf("%d commands ran and %d were left behind of %d accepted", ran, slipped, accepted.Load())
	}
	if m.post(func() {}) || m.call(func() {}) {
		t.Error("a command was accepted after the end")
	}
}

func TestMailboxEmptyDrainCostsNothing(t *testing.T) {
	m := newMailbox()
	if n := testing.AllocsPerRun(100, m.drain); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMailboxEmptyDrain(b *testing.B) {
	m := newMailbox()
	for b.Loop() {
		m.drain()
	}
}
