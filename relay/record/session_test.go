package record

import (
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"tickrelay/ring/md"
)

// relayWith is the table of a relay that has these symbols, in this order.
func relayWith(t *testing.T, symbols ...string) *md.Table {
	t.Helper()
	table, err := md.CreateTable(make([]byte, md.TableSize(16)), 16, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if _, err := table.Add(md.Instrument{Venue: md.VenueBinance, Symbol: s, PriceExp: -2, SizeExp: -5}); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

// breakWrites makes the writes of a recorder's open journals fail until mend is called.
// In the goroutine that runs the recorder.
func breakWrites(t *testing.T, r *Recorder) (mend func()) {
	t.Helper()
	var back []func()
	for _, p := range r.parts {
		if p.j == nil {
			continue
		}
		ro, err := os.Open(p.j.path)
		if err != nil {
			t.Fatal(err)
		}
		j, rw := p.j, p.j.f
		j.f = ro
		back = append(back, func() { j.f = rw; ro.Close() })
	}
	return func() {
		for _, f := range back {
			f()
		}
	}
}

// symbolTrades are the prices of the trades recorded by symbol, which the tests make
// another range for each, and checks that gaps chain.
func symbolTrades(t *testing.T, dir string) map[string][]int64 {
	t.Helper()
	got := map[string][]int64{}
	err := Scan(t.Context(), dir, Query{}, func(e Event) error {
		for i := range e.Records {
			if r := &e.Records[i]; r.Kind == md.KindTrade {
				got[e.Topic.Symbol] = append(got[e.Topic.Symbol], r.Price)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestRelayRenumbers: the next relay gives another instrument the number. Nothing is
// filed under the wrong symbol, over the end of an hour too, in either order of numbers.
func TestRelayRenumbers(t *testing.T) {
	for _, order := range [][]string{{"BTC-USDT", "ETH-USDT"}, {"ETH-USDT", "BTC-USDT"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			dir := t.TempDir()
			var clock atomic.Int64
			clock.Store(testHour + 60e9)
			s := &script{table: relayWith(t, order...), session: 1}
			now := testHour + 60e9
			price := func(r md.Record, p int64) md.Record { r.Price = p; return r }
			s.add(heartbeat(0, md.ChannelTrades, 5, 0, now), heartbeat(1, md.ChannelTrades, 5, 0, now),
				price(tradeAt(0, 1, now), 1000), price(tradeAt(1, 1, now), 1001))
			left := order[1] // the one that is left has number 1 first, then 0
			s.steps = append(s.steps, func() { s.table, s.session = relayWith(t, left), 2 })
			s.add(heartbeat(0, md.ChannelTrades, 6, 0, now), price(tradeAt(0, 1, now+1), 1001))
			at := testHour + hourNs + 60e9
			s.steps = append(s.steps, func() { clock.Store(at) }, func() {}, func() {})
			s.add(price(tradeAt(0, 2, at), 1001), price(tradeAt(0, 3, at+1), 1001))
			if st := s.record(t, Config{Dir: dir, Now: clock.Load}); st.Lost.Load() != 0 || st.Suspends.Load() != 0 {
				t.Errorf("lost %d, suspended %d times", st.Lost.Load(), st.Suspends.Load())
			}
			got := symbolTrades(t, dir)
			if !slices.Equal(got[order[0]], []int64{1000}) || !slices.Equal(got[left], []int64{1001, 1001, 1001, 1001}) || len(got) != 2 {
				t.Errorf("trades by symbol: %v", got)
			}
			if lines, _ := numbers(t, dir, "binance.trades."+left); strings.Contains(strings.Join(lines, ", "), "gap") {
				t.Error(lines)
			}
			if lines, _ := numbers(t, dir, "binance.trades."+order[0]); len(lines) != 1 {
				t.Error("the instrument that is gone: ", lines)
			}
		})
	}
}

// TestRelayRenumbersUnwritten: the relay is restarted while nothing can be written. What
// was gathered, and the gaps, are filed under the symbols of the relay that sent them.
func TestRelayRenumbersUnwritten(t *testing.T) {
	dir := t.TempDir()
	var clock atomic.Int64
	now := testHour + 60e9
	clock.Store(now)
	s := &script{table: relayWith(t, "BTC-USDT", "ETH-USDT"), session: 1}
	price := func(r md.Record, p int64) md.Record { r.Price = p; return r }
	r, err := New(Config{Dir: dir, Now: clock.Load, MinFree: 1, Sync: -1})
	if err != nil {
		t.Fatal(err)
	}
	var mend func()
	later := func(ns int64) func() { return func() { clock.Add(ns) } }
	s.add(heartbeat(0, md.ChannelTrades, 5, 0, now), heartbeat(1, md.ChannelTrades, 5, 0, now), price(tradeAt(0, 1, now), 1000), price(tradeAt(1, 1, now), 1001))
	s.steps = append(s.steps, later(1e8), func() { mend = breakWrites(t, r) })
	s.add(price(tradeAt(0, 2, now), 1000), price(tradeAt(1, 2, now), 1001))
	s.steps = append(s.steps, later(3e8))
	s.add(price(tradeAt(0, 3, now), 1000), price(tradeAt(1, 3, now), 1001)) // lost
	s.steps = append(s.steps, func() { s.table, s.session = relayWith(t, "ETH-USDT"), 2 })
	s.add(heartbeat(0, md.ChannelTrades, 6, 0, now), price(tradeAt(0, 1, now+1), 1001)) // lost too
	s.steps = append(s.steps, func() { mend() }, later(2e9), func() {})
	s.add(price(tradeAt(0, 2, now+2e9), 1001))
	if err := r.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if n := r.Stats().Lost.Load(); n != 3 {
		t.Errorf("%d records lost, 3 were sent", n)
	}
	got := symbolTrades(t, dir)
	if !slices.Equal(got["BTC-USDT"], []int64{1000, 1000}) || !slices.Equal(got["ETH-USDT"], []int64{1001, 1001, 1001}) {
		t.Errorf("trades by symbol: %v", got)
	}
	lines, _ := numbers(t, dir, "binance.trades.BTC-USDT")
	wantLines(t, lines, "heartbeat 0, gap 3-3 overrun")
	lines, _ = numbers(t, dir, "binance.trades.ETH-USDT")
	wantLines(t, lines, "heartbeat 0, gap 3-3 overrun, gap 1-1 overrun, heartbeat 1")
}

// TestJournalNumber: within a journal a number is one symbol's.
func TestJournalNumber(t *testing.T) {
	path := writeJournal(t, t.TempDir(), testStream, testHour, 0, 0, []md.Record{tradeAt(0, 1, testHour)})
	j, err := createJournal(path+"x", journalHead{stream: testStream, hour: testHour})
	if err != nil {
		t.Fatal(err)
	}
	defer j.f.Close()
	in := md.Instrument{ID: 0, Venue: testStream.venue, Symbol: "BTC-USDT", Generation: 2}
	if err := j.instrument(&in); err != nil {
		t.Fatal(err)
	}
	in.Generation = 4
	if err := j.instrument(&in); err != nil {
		t.Error("another generation: ", err)
	}
	in.Symbol = "ETH-USDT"
	if err := j.instrument(&in); err == nil || !strings.Contains(err.Error(), "instrument 0 is BTC-USDT, not binance.ETH-USDT") {
		t.Error(err)
	}
}
