package feeds

import (
	"net/url"
	"slices"
	"strings"

	"tickrelay/feeds/capture"
	"tickrelay/ring/md"
)

// restAnswers are the recorded REST answers of a session, and the requests that
// wait for one.
type restAnswers struct {
	instruments []md.Instrument // of every catalogue so far
	answers     []capture.Answer
	asked       []int // requests of the engine, oldest first
}

// load sorts answers into catalogues, which are used first, and the rest.
// Addresses are no help there: recorded ones may be of an older API.
func (r *restAnswers) load(v Venue, answers []capture.Answer) {
	r.answers, r.asked = nil, nil
	for _, a := range answers {
		var list []md.Instrument
		_, err := v.DecodeCatalogue(a.Body, func(in md.Instrument) { list = append(list, in) })
		if err == nil && len(list) > 0 {
			r.instruments = append(r.instruments, list...)
		} else {
			r.answers = append(r.answers, a)
		}
	}
}

// next takes the oldest request off the list that has an answer recorded until
// the given time, and the answer, or nil if nobody waits for it any more; false
// if there is none. Each answer is used once.
func (r *restAnswers) next(e *Engine, until int64) (req int, a *capture.Answer, ok bool) {
	for i, req := range r.asked {
		k := slices.IndexFunc(e.fetches, func(f fetching) bool { return f.req == req })
		if k < 0 {
			r.asked = slices.Delete(r.asked, i, i+1)
			return req, nil, true
		}
		for j, a := range r.answers {
			if a.RecvNs <= until && r.belongs(e, &a, e.fetches[k].t) {
				r.answers = slices.Delete(r.answers, j, j+1)
				r.asked = slices.Delete(r.asked, i, i+1)
				return req, &a, true
			}
		}
	}
	return 0, nil, false
}

// belongs reports whether an answer is of the topic's instrument: by the
// address if it was recorded, else by what it holds. Without an address it is
// the only one for the only instrument, or must meet an event that is held.
func (r *restAnswers) belongs(e *Engine, a *capture.Answer, t *topic) bool {
	if a.URL != "" {
		return namesInstrument(a.URL, t.inst.md.Native)
	}
	books := 0
	for _, other := range e.topics {
		if other.book != nil {
			books++
		}
	}
	if books == 1 && len(r.answers) == 1 {
		return true
	}
	var d Decoded
	if e.venue.DecodeSnapshot(a.Body, &t.inst.md, &d) != nil || len(d.Events) != 1 {
		return false
	}
	state := BookState{Seq: d.Events[0].SeqLast, FromREST: true}
	for i := range t.book.held.events {
		if e.venue.Sequence(&state, &t.book.held.events[i].ev) == VerdictApply {
			return true
		}
	}
	return false
}

// namesInstrument reports whether a parameter of the address, or a part of its
// path, is the name.
func namesInstrument(address, native string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part != "" && strings.EqualFold(part, native) {
			return true
		}
	}
	for _, values := range u.Query() { // in any order: it is a yes or no
		if slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, native) }) {
			return true
		}
	}
	return false
}
