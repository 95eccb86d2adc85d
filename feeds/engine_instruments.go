package feeds

import (
	"slices"
	"strings"

	"tickrelay/ring/md"
)

// instrument is one instrument in use.
type instrument struct {
	md     md.Instrument
	topics [md.NumChannels]*topic
	gone   bool // left the catalogue, or is not selected any more: neither subscribed nor published
	off    bool // not selected any more

	lastData int64 // ns of the last event, 0 before the first
	longest  int64 // ns of the longest pause between two events
	alarmAt  int64 // ns of the last alarm
	back     int   // events since
	steadyAt int64 // ns since which no pause was as long as the configured silence, 0: none yet
	patience int64 // ns of silence allowed beyond the configured, after false alarms
}

// heard notes that data came over a line: the watchdog learns how quiet is normal. A time
// without a line says nothing about that, and one in which the line brought nothing of any
// instrument may be the venue's silence as well as the market's: it counts half.
func (in *instrument) heard(now int64, l *engineLine, silence int64) {
	from := max(in.lastData, l.since)
	if in.steadyAt == 0 || now-from > silence {
		in.steadyAt = now
	}
	if in.lastData != 0 {
		whole := max(0, min(now, l.resumedAt)-max(from, l.pausedAt))
		in.longest = max(in.longest, now-from-whole/2)
	}
	in.lastData = now
	if in.patience == 0 {
		return
	}
	in.back++
	soon := in.back >= rightAlarm && now-max(in.alarmAt, l.since) <= silence/2
	if soon || now-in.steadyAt >= in.patience {
		in.patience = 0
	}
}

// rightAlarm is how many events within half the configured silence after an alarm, or after
// the connection that it led to, show that it was right: the market was not quiet, and the
// next alarm is not to come later. What a new subscription brings of a quiet market is fewer.
// A market without pauses for as long as the patience is not quiet either.
const rightAlarm = 24

// heldBook is the instrument's book if it holds levels, else nil.
func (in *instrument) heldBook() *Book {
	if t := in.topics[md.ChannelBook]; t != nil && !t.book.book.Empty() {
		return &t.book.book
	}
	return nil
}

// nameIndex finds instruments by the venue's name within one class.
type nameIndex struct {
	class string
	ids   map[string]int32 // -1: looked up, not wanted
}

// maxUnwanted bounds the names kept only to be refused quickly.
const maxUnwanted = 1 << 16

// lookup finds the instrument that an event names, nil if nobody wants it. It
// allocates only for names it has not seen.
func (e *Engine) lookup(native, class []byte) *instrument {
	for i := range e.names {
		if n := &e.names[i]; n.class == string(class) {
			id, ok := n.ids[string(native)]
			if !ok {
				break
			}
			if id < 0 {
				return nil
			}
			return e.instruments[id]
		}
	}
	return e.resolve(string(native), string(class))
}

// resolve finds out what a name of the venue means and remembers it.
func (e *Engine) resolve(native, class string) *instrument {
	k := slices.IndexFunc(e.names, func(n nameIndex) bool { return n.class == class })
	if k < 0 {
		if len(e.names) >= 64 { // no venue has as many classes
			return nil
		}
		k = len(e.names)
		e.names = append(e.names, nameIndex{class, map[string]int32{}})
	}
	id := e.identify(native, class)
	if ids := e.names[k].ids; id >= 0 || len(ids) < maxUnwanted {
		ids[native] = id
	}
	if id < 0 {
		return nil
	}
	return e.instruments[id]
}

// identify is the index of the instrument that native and class mean, added if
// the engine is open, or -1.
func (e *Engine) identify(native, class string) int32 {
	symbol, kind, ok := e.venue.Symbol(native, class)
	if entry := e.listed(native, symbol, kind, class); entry != nil {
		if id := e.bySymbol(entry.Symbol); id >= 0 || !e.cfg.Open {
			return id
		}
		return e.addInstrument(*entry)
	}
	if !ok {
		return -1
	}
	if id := e.bySymbol(symbol); id >= 0 || !e.cfg.Open {
		return id
	}
	return e.addInstrument(e.unlisted(symbol, native, kind))
}

// listed finds the catalogue's entry for a name. Where a name is used by
// several markets, the symbol made by the venue's rule decides, then the kind.
func (e *Engine) listed(native, symbol string, kind md.InstrumentKind, class string) *md.Instrument {
	var found *md.Instrument
	for _, i := range e.byNative[native] {
		in := &e.catalogue[i]
		switch {
		case in.Symbol == symbol:
			return in
		case in.Kind == kind || class == "":
			if found == nil {
				found = in
			}
		}
	}
	return found
}

func (e *Engine) bySymbol(symbol string) int32 {
	if id, ok := e.symbols[symbol]; ok {
		return id
	}
	return -1
}

// unlisted is an instrument of which no catalogue tells.
func (e *Engine) unlisted(symbol, native string, kind md.InstrumentKind) md.Instrument {
	return md.Instrument{Venue: e.spec.Venue, Kind: kind, Symbol: symbol, Native: native,
		PriceExp: e.spec.PriceExp, SizeExp: e.spec.SizeExp}
}

// addInstrument takes an instrument into use; -1 if the table has no place.
func (e *Engine) addInstrument(in md.Instrument) int32 {
	in.Venue = e.spec.Venue
	id, err := e.table.Add(in)
	if err != nil {
		e.stats.Rejected[RejectTable].Add(1)
		e.log.Error("instrument not added", "error", err)
		return -1
	}
	entry, _ := e.table.Get(id) // an earlier feed's entry stands as it is
	if e.cfg.Added != nil {
		e.cfg.Added(&entry)
	}
	e.instruments = append(e.instruments, &instrument{md: entry})
	e.stats.Instruments.Add(1)
	e.symbols[in.Symbol] = int32(len(e.instruments) - 1)
	return e.symbols[in.Symbol]
}

// offers reports whether an instrument can have a channel at all.
func offers(in *md.Instrument, ch md.Channel) bool {
	switch ch {
	case md.ChannelFunding, md.ChannelOpenInterest, md.ChannelLiquidations:
		return in.Kind != md.InstrumentSpot
	}
	return true
}

// addTopic begins a topic. Control path: it allocates.
func (e *Engine) addTopic(in *instrument, ch md.Channel) *topic {
	t := &topic{inst: in, ch: ch, owner: -1}
	t.part = e.place(t)
	switch ch {
	case md.ChannelBook:
		t.book = &bookTopic{}
		t.book.reset()
		t.id = e.pub.AddTopic(in.md.ID, ch, &t.book.book)
		t.book.signals = e.addSignals(in)
	case md.ChannelTrades, md.ChannelLiquidations:
		t.id = e.pub.AddTopic(in.md.ID, ch, nil)
	default:
		t.last = make([]md.Record, md.NumStats)
		t.id = e.pub.AddTopic(in.md.ID, ch, nil)
	}
	t.stats = e.stats.addTopic(md.Topic{Venue: e.spec.Venue, Channel: ch, Symbol: in.md.Symbol}.String())
	in.topics[ch] = t
	e.topics = append(e.topics, t)
	e.parts[t.part].topics = append(e.parts[t.part].topics, t)
	return t
}

// subs are an instrument's subscriptions in one part, one per channel wanted.
func (e *Engine) subs(dst []Sub, in *instrument, part int) []Sub {
	if in.gone {
		return dst
	}
	for ch := range md.Channel(md.NumChannels) {
		if t := in.topics[ch]; t != nil && t.part == part && e.wants[ch] && offers(&in.md, ch) {
			dst = append(dst, Sub{ch, &in.md})
		}
	}
	return dst
}

// selects reports whether the configured patterns select a symbol.
func (e *Engine) selects(symbol string) bool {
	if len(e.cfg.Instruments) == 0 {
		return true
	}
	return slices.ContainsFunc(e.cfg.Instruments, func(p string) bool { return glob(p, symbol) })
}

// glob matches with "*" for any run of characters, the empty one included.
func glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for star {
		var part string
		part, rest, star = strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return s == ""
}
