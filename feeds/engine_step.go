package feeds

import "time"

// stepLeast is the least jump between the wall clock and the monotonic one that counts
// as a step. What slewing and the reading of both take is far below.
const stepLeast = int64(500 * time.Millisecond)

// Stepped tells that the wall clock was set by d ns, forwards or backwards. The engine's
// waits are in its time, so they move with it: without that a clock set back by an hour
// would keep broken books waiting for that hour.
func (e *Engine) Stepped(d int64) {
	shift := func(at ...*int64) {
		for _, p := range at {
			if *p != 0 {
				*p = max(1, *p+d)
			}
		}
	}
	shift(&e.nextFetch, &e.limitedTo, &e.resubTAT, &e.nextScan, &e.nextAudit, &e.nextStandby, &e.now)
	for i := range e.lines {
		l := &e.lines[i]
		shift(&l.since, &l.dataAt, &l.pausedAt, &l.resumedAt, &l.scanned, &l.sentBy, &l.askedBy, &l.renewedAt, &l.firstBad, &l.ackBy, &l.retryAt)
	}
	for _, in := range e.instruments {
		shift(&in.lastData, &in.alarmAt, &in.steadyAt)
	}
	for _, t := range e.topics {
		shift(&t.ownerAt, &t.told, &t.fill.by, &t.wonAt, &t.staleSince, &t.bySince)
		for i := range t.standbys {
			shift(&t.standbys[i].run.since)
		}
		if b := t.book; b != nil {
			shift(&b.resync.due, &b.resync.deadline, &b.resync.liveAt, &b.switchBy, &b.auditAt)
			for _, s := range b.standby {
				if s != nil {
					shift(&s.due, &s.run.since)
				}
			}
		}
	}
}
