package feeds

import (
	"context"
	"log/slog"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// topic is one channel of one instrument, as the engine keeps it.
type topic struct {
	id    ring.TopicID
	inst  *instrument
	ch    md.Channel
	state TopicState
	stats *topicStats

	// owner is the line whose events count where lines are not merged, -1 for
	// none; lines has a bit for each slot whose line brought events since it is
	// up.
	part     int
	streams  []string // of the venue that it takes, where they are counted
	owner    int
	ownerAt  int64 // ns of the owner's last event
	told     int64 // ns at which a value was published last
	lines    uint32
	acked    uint32    // bits likewise of those that the venue has said carry the topic
	fill     fill      // events that wait for a hole to be filled
	standbys []standby // values of lines on standby, by slot; nil before the first
	seen     *seen     // trades without consecutive ids
	wonBy    int       // the line that brought the last event first …
	wonAt    int64     // … and when, 0 once another has repeated it

	by         int    // the line that brought what was published last …
	bySince    int64  // … and since when it was up
	ahead      bool   // that is another line than the one at work, and still up
	staleRun   int    // events in a row that were older than what was published
	staleSince int64  // ns of the first of them
	lastID     uint64 // trades: id of the last one; bbo: update id published
	newest     int64  // trades: the venue's time of the newest one published …
	before     int64  // … and of the newest before ids began again, 0 if they never did
	deferred   bool   // trades: the line was lost, the next id tells how much

	last []md.Record // bbo: the pair; ticker and the like: last value by slot
	have uint16      // bit per slot of last that holds a value
	book *bookTopic  // channel book only
}

// So many events in a row, over so long, that are older than what was published
// mean that the venue's numbers began again. A line that lags behind another
// brings as many, but catches up.
const (
	maxStaleRun  = 64
	maxStaleTime = int64(30 * time.Second)
	// backTime is enough of it for a book or a quote where no other line is ahead: that
	// one is shown as current, and does not move.
	backTime = int64(3 * time.Second)
)

// stale notes an event that is older than what was published and reports
// whether it is to be dropped.
func (t *topic) stale(now int64) bool {
	if t.staleRun == 0 {
		t.staleSince = now
	}
	t.staleRun++
	run, most := maxStaleRun, maxStaleTime
	if !t.ahead && (t.book != nil || t.ch == md.ChannelBBO) {
		run, most = 1, backTime
		if t.book != nil && t.book.state.FromREST {
			most = int64(backMostREST)
		}
	}
	return t.staleRun <= run || now-t.staleSince < most
}

// againAfter is by how much a trade whose id is not new must be younger than every one
// published for ids to have begun again. A repetition is as old as the first time, and
// what a venue sends out of order is out by less.
const againAfter = int64(time.Second)

// beganAgain reports whether a trade whose id is not new shows that ids began again.
func (t *topic) beganAgain(r *md.Record) bool {
	return t.lastID != 0 && t.newest != 0 && r.TsEvent > t.newest+againAfter
}

// tradesAgain tells that ids begin again.
func (e *Engine) tradesAgain(t *topic, rx int64) {
	e.gap(t, md.GapVenue, md.UnknownMissing, rx)
	t.before, t.newest, t.lastID = t.newest, 0, 0
	if t.seen != nil {
		t.seen.forget()
	}
}

// fromBefore reports whether a trade is of before ids began again: a line may be late.
func (t *topic) fromBefore(r *md.Record) bool { return r.TsEvent != 0 && r.TsEvent <= t.before }

// noteAhead notes, before an event of line, whether another line, up since then, brought
// what was published last.
func (e *Engine) noteAhead(t *topic, line int) {
	t.ahead = t.by != line && e.lines[t.by].up && e.lines[t.by].since == t.bySince
}

func (t *topic) setState(s TopicState) {
	if t.state != s {
		t.state = s
		t.stats.state.Store(uint32(s))
	}
}

// forget drops values that may be wrong from now on.
func (t *topic) forget() {
	t.have, t.staleRun = 0, 0
	if t.ch == md.ChannelBBO {
		t.lastID = 0
	}
	for i := range t.standbys {
		t.standbys[i].have = 0
	}
	if t.book != nil {
		t.book.reset()
	}
}

// publish stages one event whose records are complete but for the receive time.
func (e *Engine) publish(t *topic, recs []md.Record, rx int64) {
	if len(recs) == 0 {
		return
	}
	for i := range recs {
		recs[i].TsRecv = rx
	}
	e.pub.Publish(t.id, recs)
	e.stats.Records.Add(uint64(len(recs)))
	t.stats.last.Store(rx)
	t.told = e.now
	t.setState(TopicLive)
	if t.book != nil && t.book.signals != nil {
		e.signals(t.book.signals, &t.book.book, recs[len(recs)-1].TsEvent, rx)
	}
}

// breakTopic tells readers that records of t are missing: one gap for each time
// that t stops being live.
func (e *Engine) breakTopic(t *topic, reason md.GapReason, missing uint32, now int64) {
	if t.state != TopicLive {
		t.forget()
		return
	}
	e.gap(t, reason, missing, now)
	t.setState(TopicBroken)
	t.forget()
}

// refuse ends a topic whose numbers fit no exponent.
func (e *Engine) refuse(t *topic, now int64) {
	if t.state != TopicRefused {
		e.gap(t, md.GapRange, md.UnknownMissing, now)
		t.setState(TopicRefused)
	}
	t.forget()
	e.log.Error("topic refused: a number fits no exponent together with the others", "topic", t.stats.name)
}

func (e *Engine) gap(t *topic, reason md.GapReason, missing uint32, now int64) {
	e.pub.Gap(t.id, reason, missing, now)
	e.stats.Gaps[reason].Add(1)
	t.stats.gaps.Add(1)
	if t.book != nil && t.book.signals != nil {
		e.breakSignals(t.book.signals, reason, now)
	}
	level := slog.LevelWarn
	if reason == md.GapDisconnect {
		level = slog.LevelInfo // who lost the line has said so already
	}
	if t.ch == md.ChannelBook || reason != md.GapDisconnect {
		e.log.Log(context.Background(), level, "gap", "topic", t.stats.name, "reason", reason.String(), "missing", missing)
	}
}

// trades publishes what is new of an event of trades or liquidations.
func (e *Engine) trades(t *topic, line int, ev *Event, recs []md.Record, rx int64) {
	if ev.Action == ActionReplace {
		e.ignore(IgnoreHistory)
		return
	}
	if line == t.owner && e.cfg.Slots > 1 && e.mergeOf(t, len(recs) > 0 && recs[0].ID != 0) == mergeNone {
		e.noteLast(t, line, recs)
	}
	chained := t.ch == md.ChannelTrades && e.spec.ConsecutiveTrades
	if chained && t.lastID != 0 && len(recs) > 0 && recs[0].ID > t.lastID+1 && !t.fromBefore(&recs[0]) && e.park(t, line, ev, recs, rx) {
		return
	}
	fitted := e.fitEach(t, recs)
	good, bad := recs[:fitted], recs[fitted:]
	if chained {
		good = e.chainTrades(t, good, rx)
	} else if t.ch == md.ChannelTrades && (e.spec.RisingTrades || e.spec.UniqueTrades) {
		good = e.newTrades(t, ev, good, rx)
	}
	e.publish(t, good, rx)
	if len(bad) > 0 {
		e.stats.Rejected[RejectRange].Add(uint64(len(bad)))
		e.gap(t, md.GapRange, uint32(len(bad)), rx)
		if chained {
			t.lastID = max(t.lastID, bad[len(bad)-1].ID)
		}
	}
}

// chainTrades drops trades that were published already and tells of those that
// are missing; ids grow by one. Trades before a hole are published here.
func (e *Engine) chainTrades(t *topic, recs []md.Record, rx int64) []md.Record {
	from := 0
	for i := range recs {
		r := &recs[i]
		id := r.ID
		switch {
		case id <= t.lastID && t.beganAgain(r):
			e.publish(t, recs[from:i], rx)
			from = i
			e.tradesAgain(t, rx)
		case t.lastID == 0 || id == t.lastID+1:
		case id <= t.lastID || t.fromBefore(r):
			if t.stale(e.now) {
				e.publish(t, recs[from:i], rx)
				from = i + 1
				e.ignore(IgnoreDuplicate)
				continue
			}
			e.publish(t, recs[from:i], rx)
			from = i
			e.gap(t, md.GapVenue, md.UnknownMissing, rx)
			t.newest, t.before = 0, 0 // the venue's clock tells nothing
		default:
			e.publish(t, recs[from:i], rx)
			from = i
			reason := md.GapSequence
			if t.deferred {
				reason = md.GapDisconnect
			}
			e.gap(t, reason, uint32(min(id-t.lastID-1, md.UnknownMissing)), rx)
		}
		t.lastID, t.staleRun, t.deferred = id, 0, false
		t.newest = max(t.newest, r.TsEvent)
	}
	return recs[from:]
}
