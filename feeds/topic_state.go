package feeds

import "tickrelay/ring/md"

// quote publishes a best bid and ask, always both. A source that sends one side
// waits until the other is known.
func (e *Engine) quote(t *topic, line int, recs []md.Record, rx int64) {
	if len(recs) == 0 {
		return
	}
	if id := recs[0].ID; id != 0 && id < t.lastID {
		if t.stale(e.now) {
			e.ignore(IgnoreStale)
			return
		}
		e.breakTopic(t, md.GapVenue, md.UnknownMissing, rx)
	}
	if recs[0].ID == 0 && e.older(t, line, &recs[0]) {
		e.ignore(IgnoreStale)
		return
	}
	if refused := e.fitEach(t, recs); refused != len(recs) {
		e.stats.Rejected[RejectRange].Add(1)
		e.breakTopic(t, md.GapRange, md.UnknownMissing, rx)
		return
	}
	again := t.have == 3 && recs[0].ID == t.lastID
	for i := range recs {
		s := int(recs[i].Side-md.SideBid) & 1
		again = again && t.have&(1<<s) != 0 && sameQuote(&t.last[s], &recs[i])
		t.last[s] = recs[i]
		t.have |= 1 << s
	}
	t.staleRun = 0
	if t.have != 3 {
		return
	}
	if again && recs[0].ID != 0 {
		e.ignore(IgnoreDuplicate)
		return
	}
	t.lastID = recs[0].ID
	if len(recs) == 1 { // the other side as last told, under the event's time and id
		other := int(recs[0].Side-md.SideBid)&1 ^ 1
		t.last[other].TsEvent, t.last[other].ID = recs[0].TsEvent, recs[0].ID
		if !e.fit(t.inst, t.last[:2]) { // exponents may have changed since
			e.stats.Rejected[RejectRange].Add(1)
			e.breakTopic(t, md.GapRange, md.UnknownMissing, rx)
			return
		}
	}
	e.publish(t, t.last[:2], rx)
}

func sameQuote(a, b *md.Record) bool {
	return a.Count == b.Count && md.Cmp(a.Size, a.SizeExp, b.Size, b.SizeExp) == 0 &&
		md.Cmp(a.Price, a.PriceExp, b.Price, b.PriceExp) == 0
}

// values publishes the records of a state channel that differ from what was
// published last: ticker statistics, funding, open interest, status.
func (e *Engine) values(t *topic, line int, recs []md.Record, rx int64) {
	kept, why := recs[:0], IgnoreUnchanged
	for i := range recs {
		r := &recs[i]
		slot := t.slotOf(r)
		if e.older(t, line, r) {
			why = IgnoreStale
			continue
		}
		if t.have&(1<<slot) != 0 && sameValue(&t.last[slot], r) {
			continue
		}
		t.last[slot] = *r
		t.have |= 1 << slot
		kept = append(kept, *r)
	}
	if len(kept) == 0 {
		e.ignore(why)
		return
	}
	t.staleRun = 0
	e.publish(t, kept, rx)
}

// older reports whether a value is of before what another line told: one that takes over
// may lag behind the one that was lost.
func (e *Engine) older(t *topic, line int, r *md.Record) bool {
	slot := t.slotOf(r)
	return t.by != line && t.have&(1<<slot) != 0 && r.TsEvent != 0 && r.TsEvent < t.last[slot].TsEvent && t.stale(e.now)
}

func sameValue(a, b *md.Record) bool {
	return a.Level == b.Level && a.ID == b.ID && a.Count == b.Count &&
		equalNumber(a.Price, a.PriceExp, b.Price, b.PriceExp) && equalNumber(a.Size, a.SizeExp, b.Size, b.SizeExp)
}

func equalNumber(a int64, ae int8, b int64, be int8) bool {
	if a == md.Absent || b == md.Absent {
		return a == b
	}
	return md.Cmp(a, ae, b, be) == 0
}
