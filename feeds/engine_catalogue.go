package feeds

import (
	"slices"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue takes the venue's list of instruments, the first or a later one.
// What the configuration selects is subscribed, what has left the list is
// unsubscribed, what changed is told to readers.
func (e *Engine) Catalogue(ins []md.Instrument) { e.takeCatalogue(ins, true) }

// takeCatalogue is Catalogue. While it is not whole, because one of the venue's lists could
// not be read yet, what it lacks has not left it, and the symbols that the configuration
// spells out are used without it.
func (e *Engine) takeCatalogue(ins []md.Instrument, whole bool) {
	first := whole && !e.whole
	e.whole = e.whole || whole
	e.catalogue = slices.Clone(ins)
	e.byNative = make(map[string][]int32, len(ins))
	for i := range e.catalogue {
		n := e.catalogue[i].Native
		e.byNative[n] = append(e.byNative[n], int32(i))
	}
	e.names = nil // what names mean may have changed

	known := make(map[string]*instrument, len(e.instruments))
	for _, in := range e.instruments {
		known[in.md.Symbol] = in
	}
	listed := make(map[string]bool, len(ins))
	var added []*instrument
	for i := range e.catalogue {
		entry := &e.catalogue[i]
		listed[entry.Symbol] = true
		in := known[entry.Symbol]
		switch {
		case in != nil && in.off:
		case in != nil:
			if e.relist(in, entry) {
				added = append(added, in)
			}
		case e.selects(entry.Symbol):
			if id := e.addInstrument(*entry); id >= 0 {
				known[entry.Symbol] = e.instruments[id]
				added = append(added, e.instruments[id])
			}
		}
	}
	for _, in := range e.instruments {
		if !listed[in.md.Symbol] && !in.gone && !e.cfg.Open && e.whole {
			e.delist(in)
		}
	}
	if !e.whole {
		before := len(e.instruments)
		e.addExplicit()
		added = append(added, e.instruments[before:]...)
	}
	if first {
		e.warnUnlisted(listed)
	}
	if len(e.parts) > 0 { // Start was called
		e.addTopics(added)
	}
	for i := range e.lines {
		if l := &e.lines[i]; l.up && l.ready {
			e.subscribeAll(i, added, e.now)
		}
	}
}

// warnUnlisted names the symbols asked for that the venue does not have.
func (e *Engine) warnUnlisted(listed map[string]bool) {
	for _, p := range e.cfg.Instruments {
		if !strings.Contains(p, "*") && !listed[p] {
			e.log.Warn("instrument is not in the venue's catalogue", "instrument", p)
		}
	}
}

// relist compares an instrument in use with the catalogue and reports whether
// it is to be subscribed anew.
func (e *Engine) relist(in *instrument, entry *md.Instrument) bool {
	old := in.md
	fresh := !in.published()
	changed := old.Native != entry.Native || old.Kind != entry.Kind || old.Tick != entry.Tick || old.Lot != entry.Lot ||
		old.ContractSize != entry.ContractSize || old.Expiry != entry.Expiry ||
		fresh && (old.PriceExp != entry.PriceExp || old.SizeExp != entry.SizeExp)
	again := in.gone || old.Native != entry.Native
	if changed {
		now, err := e.table.Update(old.ID, func(m *md.Instrument) {
			pe, se := m.PriceExp, m.SizeExp
			*m = *entry
			if !fresh { // values are held at the exponents in use; a finer digit will lower them
				m.PriceExp, m.SizeExp = pe, se
			}
		})
		if err != nil {
			e.stats.Rejected[RejectTable].Add(1)
			e.log.Error("instrument not updated", "instrument", entry.Symbol, "error", err)
			return false
		}
		if old.Native != now.Native && !in.gone {
			e.unsubscribeAll(in) // under the old name
		}
		in.md = now
		e.pub.InstrumentChanged(now.ID, now.Record())
	}
	in.gone = false
	return again
}

// published reports whether a topic of the instrument ever brought a value.
func (in *instrument) published() bool {
	return slices.ContainsFunc(in.topics[:], func(t *topic) bool { return t != nil && t.state != TopicWaiting })
}

// delist ends an instrument that left the catalogue: its values are not current
// any more.
func (e *Engine) delist(in *instrument) {
	e.log.Warn("instrument left the venue's catalogue", "instrument", in.md.Symbol)
	e.unsubscribeAll(in)
	in.gone = true
	for _, t := range in.topics {
		if t != nil {
			e.dropFill(t)
			if t.book != nil {
				e.endBook(t)
			}
			e.breakTopic(t, md.GapVenue, md.UnknownMissing, e.now)
		}
	}
}

// unsubscribeAll takes an instrument off every line.
func (e *Engine) unsubscribeAll(in *instrument) {
	for i := range e.lines {
		subs := e.subs(nil, in, e.partOf(i))
		if l := &e.lines[i]; l.up && l.ready && len(subs) > 0 {
			e.unsubscribeOwn(i, subs, e.now)
		}
	}
}

// addExplicit takes the symbols that the configuration spells out into use when
// there is no catalogue, under the names that the venue's rule gives.
func (e *Engine) addExplicit() {
	for _, symbol := range e.cfg.Instruments {
		if strings.Contains(symbol, "*") || e.bySymbol(symbol) >= 0 {
			continue
		}
		native, ok := e.venue.Native(symbol)
		if !ok {
			e.log.Warn("instrument waits for the catalogue: its name at the venue cannot be told", "instrument", symbol)
			continue
		}
		kind := kindOf(symbol)
		if s, k, ok := e.venue.Symbol(native, ""); ok && s == symbol { // some venues' perpetuals are inverse unmarked
			kind = k
		}
		e.addInstrument(e.unlisted(symbol, native, kind))
	}
}

// kindOf reads an instrument's kind off its symbol's form. Whether a dated
// future is inverse the form does not tell.
func kindOf(symbol string) md.InstrumentKind {
	part := strings.Split(symbol, "-")
	switch {
	case len(part) == 2:
		return md.InstrumentSpot
	case len(part) == 3 && part[2] == "PERP":
		return md.InstrumentPerp
	case len(part) == 4 && part[2] == "PERP" && part[3] == "INV":
		return md.InstrumentPerpInverse
	case len(part) == 3 && isDay(part[2]):
		return md.InstrumentFuture
	case len(part) == 4 && isDay(part[2]) && part[3] == "INV":
		return md.InstrumentFutureInverse
	case len(part) == 5:
		return md.InstrumentOption
	}
	return md.InstrumentUnknown
}
