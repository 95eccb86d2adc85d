package relay

// settle ends what a slow reader was not sent of a subscription: it will not be sent any
// more, and the gap that says so comes before whatever is told next. Later it could only be
// told in numbers that mean something else then, or of a topic that is not subscribed to.
func (c *conn) settle(sb *sub) {
	if c.messages() > 0 && !c.blocked {
		c.shard.flush(c)
	}
	if c.state != connOpen {
		return
	}
	if c.messages() > 0 && sb.policy != policyClose { // with that one no message may be missing: it ends by the next sweep
		c.withdraw(func(x *sub) bool { return x == sb })
	}
	if !sb.info.state && sb.missedTo != 0 {
		f := sb.gapFrame()
		f.keep = true
		c.push(f, sb)
	}
}

// turnEpoch goes on with a subscription in a new epoch, whose numbers begin after from; the
// old one ended at ended.
func (c *conn) turnEpoch(sb *sub, ended, from uint64) {
	c.settle(sb)
	if sb.again = sb.asked; c.state != connOpen {
		return
	}
	switch {
	case sb.stale:
		if sb.tellsLoss() {
			sb.tellLoss(ended)
		}
		sb.from, sb.whole = from, true
	case sb.rebase:
		sb.from = from
	}
}
