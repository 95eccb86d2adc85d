package ring

import (
	"sync"

	"tickrelay/ring/md"
)

// Numbers remembers how far the numbers of topics went whose Publisher gave
// them up, so that another Publisher of the same venue and epoch goes on from
// there: within an epoch no number is given twice. Publishers of one venue share
// one; any goroutine. The zero value is empty.
type Numbers struct {
	mu   sync.Mutex
	last map[topicKey]uint64
}

// leave notes the number of a topic that its publisher gives up.
func (n *Numbers) leave(k topicKey, seq uint64) {
	if n == nil || seq == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil {
		n.last = map[topicKey]uint64{}
	}
	n.last[k] = max(n.last[k], seq)
}

// Leave notes that a topic's numbers went as far as seq, for who runs a recording
// again in which another Publisher's were gone on with.
func (n *Numbers) Leave(instrument uint32, ch md.Channel, seq uint64) {
	n.leave(topicKey{instrument, ch}, seq)
}

// reached is the last number that anybody gave to a topic, 0 if nobody did.
func (n *Numbers) reached(k topicKey) uint64 {
	if n == nil {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[k]
}

// GiveUp ends a topic for now: another Publisher may go on with it. Its last
// record must be a Gap. What was staged of it stays staged. Control path.
func (p *Publisher) GiveUp(t TopicID) {
	tp := &p.topics[t]
	p.numbers.leave(topicKey{tp.instrument, tp.channel}, tp.seq)
}

// takeUp goes on with a topic that another Publisher gave up since this one
// numbered it last, where that one's gap has left it.
func (p *Publisher) takeUp(t TopicID) {
	tp := &p.topics[t]
	n := p.numbers.reached(topicKey{tp.instrument, tp.channel})
	if n <= tp.seq {
		return
	}
	if p.tookUp != nil {
		p.tookUp(tp.instrument, tp.channel, n)
	}
	tp.seq, tp.tsRecv = n, p.now
	tp.gap = p.gapRecord(tp, md.GapDisconnect, md.UnknownMissing, p.now)
	tp.broken = tp.src != nil || tp.last != nil
	tp.valid, tp.recovering = 0, ^uint16(0)
}
