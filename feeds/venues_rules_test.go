package feeds

import "testing"

func TestSequence(t *testing.T) {
	empty, rest := BookState{Empty: true}, BookState{Seq: 160, FromREST: true}
	live := BookState{Seq: 160}
	update := func(first, last, prev int64) Event {
		return Event{SeqFirst: first, SeqLast: last, SeqPrev: prev, To: 1}
	}
	replace := Event{Action: ActionReplace, SeqLast: 5, SeqPrev: -1}
	for _, c := range []struct {
		what  string
		venue Venue
		book  BookState
		event Event
		want  Verdict
	}{
		{"no snapshot yet", Binance{}, empty, update(157, 160, 0), VerdictWait},
		{"snapshot", Binance{}, empty, replace, VerdictApply},
		{"u < L", Binance{}, rest, update(150, 159, 0), VerdictIgnore},
		{"u = L", Binance{}, rest, update(157, 160, 0), VerdictIgnore},
		{"U < L+1 < u", Binance{}, rest, update(157, 162, 0), VerdictApply},
		{"U = L+1 = u", Binance{}, rest, update(161, 161, 0), VerdictApply},
		{"U = L+2", Binance{}, rest, update(162, 170, 0), VerdictGap},
		{"chains", Binance{}, live, update(161, 163, 0), VerdictApply},
		{"repeated", Binance{}, live, update(157, 160, 0), VerdictIgnore},
		{"one missing", Binance{}, live, update(162, 163, 0), VerdictGap},

		{"snapshot", OKX{}, live, replace, VerdictApply},
		{"in flight before the snapshot", OKX{}, empty, update(0, 161, 160), VerdictIgnore},
		{"chains", OKX{}, live, update(0, 170, 160), VerdictApply},
		{"one missing", OKX{}, live, update(0, 171, 170), VerdictGap},
		{"repeated", OKX{}, live, update(0, 160, 150), VerdictGap},
		{"keep-alive", OKX{}, live, Event{SeqLast: 160, SeqPrev: 160}, VerdictIgnore},
		{"keep-alive of another number", OKX{}, live, Event{SeqLast: 161, SeqPrev: 161}, VerdictGap},
		{"maintenance reset", OKX{}, live, update(0, 3, 160), VerdictApply},
		{"after the reset", OKX{}, BookState{Seq: 3}, update(0, 5, 3), VerdictApply},
		{"an update that says -1", OKX{}, live, update(0, 161, -1), VerdictGap},
		{"no numbers sent", OKX{}, BookState{}, update(0, 0, 0), VerdictApply},

		{"snapshot", Bitget{}, live, replace, VerdictApply},
		{"in flight before the snapshot", Bitget{}, empty, update(0, 161, 160), VerdictIgnore},
		{"chains", Bitget{}, live, update(0, 165, 160), VerdictApply},
		{"one missing", Bitget{}, live, update(0, 166, 165), VerdictGap},
		{"repeated", Bitget{}, live, update(0, 160, 155), VerdictIgnore},
		{"only seq, growing", Bitget{}, live, update(0, 161, 0), VerdictApply},
		{"no numbers sent", Bitget{}, live, update(0, 0, 0), VerdictApply},
		{"snapshot had none", Bitget{}, BookState{}, update(0, 10, 9), VerdictApply},
	} {
		if got := c.venue.Sequence(&c.book, &c.event); got != c.want {
			t.Errorf("%s, %s: %d, want %d", c.venue.Spec().Name, c.what, got, c.want)
		}
	}
}

// TestSpecs holds what the loop relies on.
func TestSpecs(t *testing.T) {
	for _, v := range Venues() {
		s := v.Spec()
		if got, ok := ByName(s.Name); !ok || got != v {
			t.Errorf("ByName(%q) = %v, %v", s.Name, got, ok)
		}
		if s.Venue.String() != s.Name || s.URL == "" || s.REST == "" || s.Doc == "" || s.MaxFrame == 0 || s.DeadAfter == 0 {
			t.Errorf("%s: incomplete spec %+v", s.Name, s)
		}
		if s.PingEvery != 0 && s.PingEvery >= s.DeadAfter {
			t.Errorf("%s: pings every %v, given up after %v", s.Name, s.PingEvery, s.DeadAfter)
		}
	}
	if v, ok := ByName("nowhere"); ok {
		t.Errorf("ByName(nowhere) = %v", v)
	}
}
