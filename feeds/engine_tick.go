package feeds

import (
	"slices"
	"time"

	"tickrelay/ring/md"
)

// Pace of the silence watchdog.
const (
	scanEvery   = int64(time.Second)
	quietFactor = 4                    // times its longest pause an instrument may be silent
	maxPatience = int64(1 * time.Hour) // bound of what long pauses and false alarms add
)

// Tick does what is due at now (CLOCK_REALTIME ns): resynchronisation, rate
// limits, deadlines, silence. Call it every 100 ms or so.
func (e *Engine) Tick(now int64) {
	e.now = now
	for i := range e.lines {
		l := &e.lines[i]
		if !l.up {
			continue
		}
		if l.retryAt != 0 && now >= l.retryAt {
			e.retryRefused(i, now)
		}
		if l.ackBy != 0 && now >= l.ackBy {
			l.ackBy = 0
			e.reconnect(i, "the venue did not answer a subscription")
		}
	}
	if len(e.filling) > 0 {
		e.tickFill(now)
	}
	if len(e.switching) > 0 {
		e.tickSwitches(now)
	}
	e.tickStandbys(now)
	e.tickAudits(now)
	if len(e.resyncing) > 0 {
		e.resync(now)
	}
	if e.cfg.Silence > 0 && now >= e.nextScan {
		e.nextScan = now + scanEvery
		e.scanSilence(now)
		e.scanMute(now)
	}
}

// scanSilence looks for instruments that stopped sending while their line is
// up. What a pong or an acknowledgement proves does not count, only data.
func (e *Engine) scanSilence(now int64) {
	e.leaveMute(now)
	for _, in := range e.instruments {
		if in.gone {
			continue
		}
		up := e.upSince(in)
		if up == 0 {
			continue
		}
		since := max(in.lastData, up)
		limit := max(int64(e.cfg.Silence), min(quietFactor*in.longest, maxPatience), in.patience)
		if now-since <= limit {
			continue
		}
		if !e.mayResubscribe(now) {
			return
		}
		// If this was a quiet market after all, the next alarm comes later.
		in.patience = min(2*limit, maxPatience)
		in.lastData, in.alarmAt, in.back, in.steadyAt = now, now, 0, 0
		e.stats.Silences.Add(1)
		e.silent(in, now)
	}
}

// upSince is the ns since which one of an instrument's topics has a line, 0 if
// none has.
func (e *Engine) upSince(in *instrument) int64 {
	for _, t := range in.topics {
		if t == nil {
			continue
		}
		if line := e.upFor(t); line >= 0 {
			return e.lines[line].since
		}
	}
	return 0
}

// leaveMute makes lines anew that brought nothing at all for the configured silence after
// instruments were subscribed again there: what answers requests alone gives no data.
func (e *Engine) leaveMute(now int64) {
	for i := range e.lines {
		l := &e.lines[i]
		if !l.usable() || l.renewedAt == 0 || l.dataAt > l.renewedAt || now-l.renewedAt <= int64(e.cfg.Silence) {
			continue
		}
		if l.renewedAt = 0; l.dataAt != 0 || e.lively(i) {
			e.reconnect(i, "no data since it was subscribed again")
		}
	}
}

// lively reports whether a line carries a channel that no venue leaves quiet for long.
func (e *Engine) lively(line int) bool {
	return slices.ContainsFunc(e.carried(line), func(t *topic) bool {
		return t.ch == md.ChannelTrades || t.ch == md.ChannelBook || t.ch == md.ChannelBBO || t.ch == md.ChannelTicker
	})
}

// silent breaks what an instrument held and subscribes it again.
func (e *Engine) silent(in *instrument, now int64) {
	e.log.Warn("instrument fell silent, subscribing again", "instrument", in.md.Symbol)
	subs := map[int][]Sub{}
	var order []int
	for _, t := range in.topics {
		if t == nil {
			continue
		}
		if t.ch == md.ChannelTrades && e.spec.ConsecutiveTrades {
			t.deferred = t.lastID != 0
		} else {
			e.breakTopic(t, md.GapDisconnect, md.UnknownMissing, now)
		}
		if t.book != nil {
			e.awaitBook(t, now)
		}
		line := e.upFor(t)
		if line < 0 {
			continue
		}
		if subs[line] == nil {
			order = append(order, line)
		}
		subs[line] = append(subs[line], Sub{t.ch, &in.md})
	}
	for _, line := range order {
		l := &e.lines[line]
		if l.renewedAt == 0 || l.dataAt > l.renewedAt {
			l.renewedAt = now
		}
		e.renew(line, subs[line], now)
	}
	e.stats.Resyncs.Add(1)
}

// NextTick is the time in ns at which Tick has something to do, the
// largest int64 if nothing is waited for.
func (e *Engine) NextTick() int64 {
	next := never
	at := func(t int64) {
		if t != 0 && t < next {
			next = t
		}
	}
	for i := range e.lines {
		if l := &e.lines[i]; l.up {
			at(l.retryAt)
			at(l.ackBy)
		}
	}
	for _, t := range e.resyncing {
		switch r := &t.book.resync; {
		case r.deadline != 0:
			at(r.deadline)
		case r.req == 0:
			at(max(r.due, e.limitedTo, e.now+1))
		}
	}
	for _, t := range e.filling {
		at(t.fill.by)
	}
	for _, t := range e.switching {
		at(t.book.switchBy)
	}
	if e.cfg.Silence > 0 && len(e.instruments) > 0 && e.someUp() {
		at(e.nextScan)
	}
	return next
}

func (e *Engine) someUp() bool {
	for i := range e.lines {
		if e.lines[i].usable() {
			return true
		}
	}
	return false
}
