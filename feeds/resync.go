package feeds

import (
	"fmt"
	"slices"
	"time"
)

// Pace of getting books back.
const (
	snapshotGrace  = time.Second        // after a subscription, for the first update to come before a snapshot is fetched
	restoreWait    = 10 * time.Second   // for the snapshot of a resubscription
	retryFirst     = time.Second        // between attempts, doubling …
	stableAfter    = int64(time.Minute) // a book that lives as long starts with attempt 0 when it breaks
	reconnectAfter = 3                  // attempts that failed before the line is made again, once
	maxFetching    = 2                  // REST snapshots under way at once, where the venue limits them

	// Venues count subscriptions per connection and hour; 240 is the least.
	resubEvery = int64(15 * time.Second)
	resubBurst = 20
)

// resync is the way of one book from broken to live.
type resync struct {
	wanted   bool
	attempt  int   // failed in a row, breakages soon after a success included
	failures int   // of this breakage
	due      int64 // ns of the next attempt
	deadline int64 // ns at which the attempt under way has failed, 0 if none is
	req      int   // of the REST request under way, 0 if none is
	liveAt   int64
}

// done ends it: the book is live.
func (r *resync) done(now int64) {
	*r = resync{attempt: r.attempt, liveAt: now}
}

// failed schedules the next attempt.
func (r *resync) failed(now, most int64) {
	r.req, r.deadline = 0, 0
	r.due = now + int64(min(int64(retryFirst)<<min(r.attempt, 10), most))
	r.attempt++
	r.failures++
}

// wantBook has a book restored, at due or, if it was wanted already, at the
// earlier of both times.
func (e *Engine) wantBook(t *topic, now, due int64) {
	r := &t.book.resync
	e.resyncWork = true
	if r.wanted {
		r.due = min(r.due, due)
		return
	}
	if r.liveAt != 0 {
		if now-r.liveAt > stableAfter {
			r.attempt = 0
		} else if due <= now { // once more at once; if it does not stay, the venue gets time
			if r.attempt > 0 {
				due = now + int64(min(int64(retryFirst)<<min(r.attempt, 10), int64(e.cfg.RetryMost)))
			}
			r.attempt++
		}
	}
	r.wanted, r.due, r.deadline, r.req, r.failures = true, due, 0, 0, 0
	e.resyncing = append(e.resyncing, t)
}

// awaitBook expects the snapshot that follows a subscription just sent, or
// fetches one once the first updates had time to come.
func (e *Engine) awaitBook(t *topic, now int64) {
	if t.state == TopicLive || t.state == TopicRefused || t.inst.gone {
		return
	}
	e.wantBook(t, now, now+int64(snapshotGrace))
	if e.venue.SnapshotURL(e.cfg.REST, &t.inst.md) == "" {
		t.book.resync.deadline = now + int64(restoreWait)
	}
}

// dropResync takes a book off the list.
func (e *Engine) dropResync(t *topic) {
	if i := slices.Index(e.resyncing, t); i >= 0 {
		e.resyncing = slices.Delete(e.resyncing, i, i+1)
	}
}

// dropResyncs empties the list of a part's books: without a line nothing can be
// restored, and a new one brings new snapshots.
func (e *Engine) dropResyncs(part int) {
	e.resyncing = slices.DeleteFunc(e.resyncing, func(t *topic) bool {
		if t.part != part {
			return false
		}
		r := &t.book.resync
		r.wanted, r.due, r.deadline, r.req = false, 0, 0, 0
		return true
	})
}

// resync serves the books that are due, oldest first, as far as the rate limits
// allow.
func (e *Engine) resync(now int64) {
	e.resyncWork, e.limitedTo = false, 0
	for i := 0; i < len(e.resyncing); i++ {
		t := e.resyncing[i]
		r := &t.book.resync
		if t.inst.gone || t.state == TopicRefused {
			r.wanted = false
			e.resyncing = slices.Delete(e.resyncing, i, i+1)
			i--
			continue
		}
		if r.deadline != 0 && now >= r.deadline {
			e.restoreFailed(t, now)
		}
		if r.deadline != 0 || r.req != 0 || now < r.due {
			continue
		}
		url := e.venue.SnapshotURL(e.cfg.REST, &t.inst.md)
		switch {
		case url == "":
			e.resubscribe(t, now)
		case e.cfg.REST == "":
			r.due = now + int64(e.cfg.RetryMost)
			e.log.Warn("book waits for a REST snapshot, and REST is off", "topic", t.stats.name)
		default:
			e.fetchBook(t, url, now)
		}
	}
}

// mayResubscribe takes one resubscription off the rate limit if there is one.
func (e *Engine) mayResubscribe(now int64) bool {
	tat := max(e.resubTAT, now)
	if tat-now > resubBurst*resubEvery {
		return false
	}
	e.resubTAT = tat + resubEvery
	return true
}

// resubscribe asks for the snapshot that a new subscription brings.
func (e *Engine) resubscribe(t *topic, now int64) {
	line := e.upFor(t)
	if line < 0 {
		return
	}
	r := &t.book.resync
	if !e.mayResubscribe(now) {
		e.limitedTo = e.resubTAT - resubBurst*resubEvery
		return
	}
	e.renew(line, []Sub{{t.ch, &t.inst.md}}, now)
	e.stats.Resyncs.Add(1)
	r.deadline = now + int64(restoreWait) + 2*int64(e.spec.SendEvery)
}

// restoreFailed ends an attempt that brought no snapshot.
func (e *Engine) restoreFailed(t *topic, now int64) {
	r := &t.book.resync
	r.failed(now, int64(e.cfg.RetryMost))
	if r.failures != reconnectAfter {
		return
	}
	if line := e.upFor(t); line >= 0 {
		e.reconnect(line, fmt.Sprintf("book of %s was not restored in %d attempts", t.inst.md.Symbol, r.failures))
	}
}
