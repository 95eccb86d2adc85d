package relay

// debt is what a connection whose queue was full is still to be told.
type debt struct {
	subs    []*sub // that messages were taken from
	spilled bool   // the queue overflowed since makeGood
	paying  bool   // not all was made good yet
	batch   int    // subscriptions whose state is asked for at once
	wanted  int    // that the hub was asked for and has not answered
}

// firstBatch is how many subscriptions a connection is first made good at once, mostBatch
// how many at most: the hub answers connections by turns, and this is one's turn.
const (
	firstBatch = 32
	mostBatch  = 256
)

// owes is the connection's debt, made on first use.
func (c *conn) owes() *debt {
	if c.debt == nil {
		c.debt = &debt{batch: firstBatch}
	}
	return c.debt
}

// list notes a subscription, once.
func (d *debt) list(sb *sub) {
	if !sb.listed {
		sb.listed = true
		d.subs = append(d.subs, sb)
	}
}

// owe begins a subscription whose snapshot the hub had no time for: it is asked for as if
// a slow reader had missed it.
func (c *conn) owe(sb *sub, from uint64) {
	if !sb.stale {
		sb.stale, sb.fresh, sb.from = true, true, from
	}
	sb.whole = true
	c.owes().list(sb)
	c.soil() // it is asked for when the queue is empty, which it may be already
}

// makeGood tells a connection whose queue is empty again what was left out: the gaps at
// once, the state of some subscriptions only. The others follow when those have been
// sent: if all came together, a slow reader would have a full queue again before it has
// read the last snapshot, each time. After an overflow half as many come at once, twice
// as many when all was made good without one.
func (c *conn) makeGood() {
	d := c.debt
	switch {
	case d == nil || d.wanted > 0:
		return
	case d.spilled:
		d.batch = max(1, d.batch/2)
	case d.paying && len(d.subs) == 0:
		d.batch = min(2*d.batch, mostBatch)
	}
	d.spilled, d.paying = false, len(d.subs) > 0
	if !d.paying {
		return
	}
	later := d.subs[:0]
	for _, sb := range d.subs {
		if sb.missedTo != 0 {
			c.push(sb.gapFrame(), sb)
		}
		switch {
		case !sb.stale || sb.asked:
			sb.listed = false
		case d.wanted >= d.batch:
			later = append(later, sb)
		default:
			sb.listed, sb.asked = false, true
			d.wanted++
			c.shard.ask(request{op: requestRefresh, conn: c, stream: sb.info.id, from: sb.from,
				whole: sb.whole || sb.policy != policyConflate})
		}
	}
	clear(d.subs[len(later):])
	if d.subs = later; len(later) == 0 {
		d.subs = nil
	}
}

// answered notes that the hub need not answer for sb any more, and goes on with the next
// ones where nothing is queued that would do so when it has been sent.
func (c *conn) answered(sb *sub) {
	if !sb.asked {
		return
	}
	sb.asked = false
	if c.debt.wanted--; c.debt.wanted == 0 && c.state == connOpen && c.messages() == 0 {
		c.makeGood()
	}
}

// refresh takes the hub's answer to makeGood.
func (c *conn) refresh(sb *sub, f *frame) {
	defer c.answered(sb)
	if !sb.stale || c.state != connOpen {
		return
	}
	if f != nil && c.full() && !c.blocked {
		if c.shard.flush(c); c.state != connOpen {
			return
		}
	}
	// Asked for before a new epoch, it was answered in it; but a change is one of the old.
	old := sb.again && f != nil && f.delta
	slow := f != nil && c.full()
	sb.again = false
	if old || slow {
		c.debt.spilled = c.debt.spilled || slow
		c.debt.list(sb) // it is asked for once more when the queue is empty
		return
	}
	sb.stale, sb.whole = false, false
	sb.rebase = f == nil
	if f == nil {
		return
	}
	if sb.tellsLoss() {
		sb.tellLoss(f.seq)
	}
	sb.fresh = false
	c.push(withPrev(f, c.format, sb.from), sb)
}
