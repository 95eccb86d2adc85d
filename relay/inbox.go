package relay

import (
	"sync"
	"sync/atomic"
)

// deliverOp says what a shard is to do.
type deliverOp uint8

const (
	deliverEvent     deliverOp = iota // frames of a stream to its subscribers
	deliverAnswer                     // one frame to one connection
	deliverSubscribe                  // a connection joins a stream; frame brings it to the position
	deliverDrop                       // a connection leaves a stream
	deliverRefresh                    // the state of a stream for a subscriber that was conflated
	deliverEpoch                      // a stream's topic goes on at from in a new epoch, which ended at ended in the old one
	deliverAdopt                      // a new connection
	deliverDone                       // a request is answered
	deliverClose                      // a passthrough client is to go, with this close frame
	deliverRetire                     // everybody is to go, within from ns
	deliverPastBegin                  // a replay begins on a connection
	deliverPast                       // a frame of it
)

// delivery is one message to a shard.
type delivery struct {
	op     deliverOp
	policy policy // with deliverSubscribe
	stream uint32
	frames [numFormats]*frame // of an event
	frame  *frame             // of anything else, may be nil
	conn   *conn
	info   *streamInfo // with deliverSubscribe, and of an event with from
	past   *pastRun    // of a replay
	last   bool        // with deliverPast: the end
	rebase bool        // with deliverSubscribe: the first message later connects to from
	owed   bool        // with deliverSubscribe: what brings it from from to the position has to be asked for
	ended  uint64      // with deliverEpoch
	from   uint64      // with deliverEvent: when it was received, wall ns; 0: its delivery is not timed
}

// inbox carries work from one or more goroutines to one. Puts are batched: the
// receiver is woken once per batch.
type inbox[T any] struct {
	wake func() // of the receiver, safe from any goroutine

	mu    sync.Mutex
	items []T
	n     atomic.Int32
}

// put appends items.
func (b *inbox[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	b.mu.Lock()
	first := len(b.items) == 0
	b.items = append(b.items, items...)
	b.n.Store(int32(len(b.items)))
	b.mu.Unlock()
	if first {
		b.wake()
	}
}

// take returns what is there, in order, and keeps spare for the next batch.
func (b *inbox[T]) take(spare []T) []T {
	if b.n.Load() == 0 {
		return spare[:0]
	}
	clear(spare)
	b.mu.Lock()
	items := b.items
	b.items = spare[:0]
	b.n.Store(0)
	b.mu.Unlock()
	return items
}

// len is the number of items that wait, at some moment.
func (b *inbox[T]) len() int { return int(b.n.Load()) }
