package relay

// turnEpoch goes on with a subscription in a new epoch, whose numbers begin after from. What
// a slow reader was not sent of the old one, up to its number ended, it will not be sent: the
// gap that says so comes before the topic's new position, and in the old numbers. Later it
// could only be told in numbers that mean something else now.
func (c *conn) turnEpoch(sb *sub, ended, from uint64) {
	if c.messages() > 0 && !c.blocked {
		c.shard.flush(c)
	}
	if c.state != connOpen {
		return
	}
	if c.messages() > 0 && sb.policy != policyClose { // with that one no message may be missing: it ends by the next sweep
		c.withdraw(func(x *sub) bool { return x == sb })
	}
	sb.again = sb.asked
	switch {
	case !sb.info.state:
		if sb.missedTo != 0 {
			f := sb.gapFrame()
			f.keep = true
			c.push(f, sb)
		}
	case sb.stale:
		if sb.tellsLoss() {
			sb.tellLoss(ended)
		}
		sb.from, sb.whole = from, true
	case sb.rebase:
		sb.from = from
	}
}
