package record

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tickrelay/ring/md"
)

// writeJournal writes records of instruments 0, 1 … into a journal of a stream.
func writeJournal(t testing.TB, root string, s stream, hour int64, part int, first int64, recs []md.Record) string {
	t.Helper()
	dir := s.dir(root)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fileName{hour, part, part, true}.String())
	j, err := createJournal(path, journalHead{stream: s, hour: hour, part: part, first: first})
	if err != nil {
		t.Fatal(err)
	}
	defer j.f.Close()
	for i := range recs {
		r := &recs[i]
		in := md.Instrument{ID: r.Instrument, Venue: s.venue, Symbol: testSymbol(r.Instrument), PriceExp: -2, Generation: 2}
		if err := j.instrument(&in); err != nil {
			t.Fatal(err)
		}
		if err := j.begin(testHour); err != nil {
			t.Fatal(err)
		}
		j.add(r)
	}
	if err := j.flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

// events are n events of one to four records each; times mostly grow.
func testEvents(r *rand.Rand, s stream, hour int64, seqs map[uint32]uint64, n int) (recs []md.Record) {
	at := hour + r.Int64N(1e9)
	for range n {
		at += r.Int64N(1e6)
		ts := at
		if r.IntN(10) == 0 {
			ts -= r.Int64N(5e6)
		}
		id := uint32(r.IntN(3))
		k := 1 + r.IntN(4)
		for i := range k {
			seqs[id]++
			rec := md.Record{Kind: md.KindTrade, Venue: s.venue, Instrument: id, Seq: seqs[id], TsRecv: ts, TsEvent: ts - 5, Price: r.Int64N(1e6), Size: 1, PriceExp: -2}
			if s.channel == md.ChannelBook {
				rec.Kind, rec.Side = md.KindBook, md.SideBid
			}
			if i == 0 {
				rec.Flags |= md.FlagFirst
			}
			if i == k-1 {
				rec.Flags |= md.FlagLast
			}
			recs = append(recs, rec)
		}
	}
	return recs
}

// TestScan reads files of every kind at once: hours, parts, row groups out of order of
// receive time, a journal with a torn end.
func TestScan(t *testing.T) {
	root := t.TempDir()
	r := rand.New(rand.NewPCG(1, 1))
	streams := []stream{{md.VenueBinance, md.ChannelTrades}, {md.VenueBinance, md.ChannelBook}, {md.VenueOKX, md.ChannelTrades}}
	s := newSealer("test", 700)
	want := map[string][]md.Record{}
	for _, st := range streams {
		seqs := map[uint32]uint64{}
		var carry map[string]topicMark
		for h := range int64(2) {
			hour, first := testHour+h*hourNs, int64(0)
			for part := range 3 {
				recs := testEvents(r, st, hour+int64(part)*60e9, seqs, 1000)
				for _, rec := range recs {
					key := md.Topic{Venue: st.venue, Channel: st.channel, Symbol: testSymbol(rec.Instrument)}.String()
					want[key] = append(want[key], rec)
				}
				path := writeJournal(t, root, st, hour, part, first, recs)
				first += int64(len(recs))
				switch {
				case part < 2:
					got, err := s.seal(path, false, carry)
					if err != nil || got.records != int64(len(recs)) {
						t.Fatal(got, err)
					}
					carry = got.topics
				case h == 1:
					appendTo(t, path, "torn")
				}
			}
		}
	}
	got := map[string][]md.Record{}
	last := int64(0)
	err := Scan(context.Background(), root, Query{}, func(e Event) error {
		if e.Time < last {
			return fmt.Errorf("%s: time %d after %d", e.Topic, e.Time, last)
		}
		last = e.Time
		if e.Records[0].Flags&md.FlagFirst == 0 || e.Records[len(e.Records)-1].Flags&md.FlagLast == 0 {
			return fmt.Errorf("%s %d: not a whole event", e.Topic, e.Records[0].Seq)
		}
		if e.Instrument.Symbol != e.Topic.Symbol || e.Instrument.ID != e.Records[0].Instrument || e.Instrument.Generation != 2 || e.Epoch != testHour {
			return fmt.Errorf("%s: instrument %+v, epoch %d", e.Topic, e.Instrument, e.Epoch)
		}
		got[e.Topic.String()] = append(got[e.Topic.String()], e.Records...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d topics, want %d", len(got), len(want))
	}
	for topic, recs := range want {
		if !slices.Equal(got[topic], recs) {
			t.Fatalf("%s: %d records, want %d", topic, len(got[topic]), len(recs))
		}
	}

	for _, pattern := range []string{"okx.>", "okx.trades.*", "*.trades.>", "*.*.*", ">"} {
		okx := 0
		err := Scan(context.Background(), root, Query{Topics: []string{pattern}}, func(e Event) error {
			if e.Topic.Venue == md.VenueOKX {
				okx += len(e.Records)
			}
			return nil
		})
		all := 0
		for id := range uint32(3) {
			all += len(want["okx.trades."+testSymbol(id)])
		}
		if err != nil || okx != all {
			t.Errorf("%s: %d records of okx, want %d: %v", pattern, okx, all, err)
		}
	}

	// A window of one topic is that part of the whole.
	from, to := testHour+30e9, testHour+hourNs+61e9
	n := 0
	err = Scan(context.Background(), root, Query{Topics: []string{"binance.book.SYMB-USDT"}, From: from, To: to}, func(e Event) error {
		if e.Topic.String() != "binance.book.SYMB-USDT" || e.Time < from || e.Time >= to {
			return fmt.Errorf("%s at %d", e.Topic, e.Time)
		}
		n += len(e.Records)
		return nil
	})
	in := 0
	clock := int64(0)
	for _, rec := range want["binance.book.SYMB-USDT"] {
		if clock = max(clock, rec.TsRecv); clock >= from+5e6 && rec.TsRecv < to-5e6 {
			in++
		}
	}
	if err != nil || n < in || n > in+50 {
		t.Fatalf("%d records in the window, want about %d: %v", n, in, err)
	}
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// TestRecover puts a folder in the states that a crash can leave, and wants every record
// once.
func TestRecover(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	seqs := map[uint32]uint64{}
	a, b := testEvents(r, testStream, testHour, seqs, 100), testEvents(r, testStream, testHour+60e9, seqs, 100)
	f := func(name string, damage func(t *testing.T, dir, first, second string)) {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			first := writeJournal(t, root, testStream, testHour, 0, 0, a)
			second := writeJournal(t, root, testStream, testHour, 1, int64(len(a)), b)
			damage(t, testStream.dir(root), first, second)
			s := newSealer("test", 1000)
			got, err := s.recover(testStream.dir(root), testHour+hourNs)
			if err != nil || len(got.errs) > 0 || got.next != 2 || got.arrival != int64(len(a)+len(b)) || got.topics[testSymbol(1)].Seq != seqs[1] {
				t.Fatalf("%+v, %v", got, err)
			}
			var recs []md.Record
			err = Scan(t.Context(), root, Query{}, func(e Event) error { recs = append(recs, e.Records...); return nil })
			if err != nil || !slices.Equal(recs, slices.Concat(a, b)) {
				t.Fatalf("%d records, want %d: %v", len(recs), len(a)+len(b), err)
			}
			left, err := os.ReadDir(testStream.dir(root))
			if err != nil || len(left) != 2 {
				t.Fatal(left, err)
			}
		})
	}
	copyFile := func(t *testing.T, from, to string) {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f("two journals", func(t *testing.T, dir, first, second string) {})
	f("an unfinished file", func(t *testing.T, dir, first, second string) {
		copyFile(t, first, filepath.Join(dir, fileName{testHour, 0, 0, false}.String()+temporaryExt))
	})
	f("a torn end", func(t *testing.T, dir, first, second string) { appendTo(t, second, "some bytes of a block") })
	f("sealed, journal still there", func(t *testing.T, dir, first, second string) {
		copyFile(t, first, first+"x")
		if _, err := newSealer("test", 1000).seal(first, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(first+"x", first); err != nil {
			t.Fatal(err)
		}
	})
}
