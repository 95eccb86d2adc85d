package soak

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"tickrelay/ring/md"
)

var testVenues = []venueInfo{{Name: "a", Faults: []string{"stall", "lose"}}, {Name: "b", Faults: []string{"garbage"}}}

// TestPlan: the seed decides, and in a run of three storms every kind happens.
func TestPlan(t *testing.T) {
	a, b := makePlan(7, 30*time.Second, testVenues), makePlan(7, 30*time.Second, testVenues)
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gave two plans")
	}
	if reflect.DeepEqual(a, makePlan(8, 30*time.Second, testVenues)) {
		t.Error("another seed gave the same plan")
	}
	kinds := map[string]bool{}
	for _, s := range a[:3] {
		for i, x := range s.actions {
			kinds[x.Kind] = true
			if x.At < 0 || x.At > s.length.Seconds() || i > 0 && x.At < s.actions[i-1].At {
				t.Errorf("%+v is not in order within %s", x, s.length)
			}
		}
	}
	for _, k := range []string{KindExchange, KindRestartExchange, KindKillStrategy, KindPauseStrategy, KindKillGateway, KindPauseGateway,
		KindTakeover, KindKillFeeds, KindKillClients, KindFullShm, KindClockStep} {
		if !kinds[k] {
			t.Errorf("no %s in the first three storms", k)
		}
	}
}

func TestTruth(t *testing.T) {
	path := filepath.Join(t.TempDir(), truthFile)
	w, err := createTruth(path, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	r, err := openTruth(path)
	if err != nil {
		t.Fatal(err)
	}
	k := symbolKey("BTC-USDT")
	key := func(i int) uint64 { return priceKey(k, keyBid, int64(i), -2) }
	keep := key(0)
	for i := range 5000 {
		if w.full() {
			w.insert(keep)
			w.turn()
		}
		w.insert(key(i))
		if !r.has(key(i)) || !r.has(keep) {
			t.Fatalf("key %d: not found", i)
		}
	}
	if r.has(key(5001)) || r.has(priceKey(k, keyAsk, 4999, -2)) {
		t.Error("found what was never inserted")
	}
	if priceKey(k, keyBid, 100, -2) != priceKey(k, keyBid, 1, 0) || levelKey(k, keyBid, 1, 0, 50) != levelKey(k, keyBid, 1, 0, 5) {
		t.Error("trailing zeros make a difference")
	}
}

// testStream is a stream of one trades topic of Binance, and what it reports.
func testStream(t *testing.T) (*stream, *[]string) {
	t.Helper()
	tr, err := createTruth(filepath.Join(t.TempDir(), truthFile), 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	k := symbolKey("BTC-USDT")
	for p := int64(1); p < 50; p++ {
		tr.insert(levelKey(k, keyBuy, p, 0, 1))
		for _, side := range []int{keyBid, keyAsk} {
			tr.insert(levelKey(k, side, p, 0, 1))
			tr.insert(priceKey(k, side, p, 0))
		}
	}
	found := new([]string)
	s := newStream(tr, newCounts(), func(_ Invariant, topic, what string) { *found = append(*found, topic+" "+what) })
	s.name = func(uint32) (md.Venue, string, bool) { return md.VenueBinance, "BTC-USDT", true }
	return s, found
}

func trade(seq, id uint64, price int64) md.Record {
	return md.Record{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Seq: seq, ID: id, Price: price, Size: 1, Side: 1, Count: 1, TsRecv: 1}
}

func level(flags md.Flags, seq uint64, side uint8, price, size int64) md.Record {
	return md.Record{Kind: md.KindBook, Flags: flags, Venue: md.VenueBinance, Seq: seq, Side: side, Price: price, Size: size, TsRecv: 1}
}

// TestInvariants: each rule reports what breaks it, and nothing else.
func TestInvariants(t *testing.T) {
	heart := md.Record{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, ID: 9, Side: uint8(md.ChannelTrades)}
	bookHeart := heart
	bookHeart.Side = uint8(md.ChannelBook)
	gap := md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, ID: 2, Seq: 3, Side: uint8(md.ChannelTrades), Level: uint8(md.GapOverrun), Count: 2}
	ahead := heart
	ahead.Seq = 3
	clear := level(md.FlagSnapshot|md.FlagFirst, 0, md.SideClear, 0, 0)
	end := level(md.FlagSnapshot|md.FlagLast, 0, md.SideEnd, 0, 0)
	both := md.FlagFirst | md.FlagLast
	for _, c := range []struct {
		name string
		recs []md.Record
		want int
	}{
		{"good", []md.Record{heart, trade(1, 5, 7), trade(2, 6, 7)}, 0},
		{"gap", []md.Record{heart, trade(1, 5, 7), gap, trade(4, 8, 7)}, 0},
		{"hole in numbers", []md.Record{heart, trade(1, 5, 7), trade(3, 6, 7)}, 1},
		{"twice", []md.Record{heart, trade(1, 5, 7), trade(1, 6, 7)}, 1},
		{"trade twice", []md.Record{heart, trade(1, 5, 7), trade(2, 5, 7)}, 2}, // ids do not chain, and came before
		{"trade missing", []md.Record{heart, trade(1, 5, 7), trade(2, 8, 7)}, 1},
		{"gap elsewhere", []md.Record{heart, gap}, 1},
		{"untold", []md.Record{trade(1, 5, 7)}, 1},
		{"told ahead", []md.Record{heart, trade(1, 5, 7), ahead}, 1},
		{"price never sent", []md.Record{heart, trade(1, 5, 77)}, 1},
		{"good book", []md.Record{bookHeart, clear, level(md.FlagSnapshot, 0, md.SideBid, 7, 1), level(md.FlagSnapshot, 0, md.SideAsk, 9, 1), end, level(both, 1, md.SideBid, 8, 1)}, 0},
		{"crossed book", []md.Record{bookHeart, clear, level(md.FlagSnapshot, 0, md.SideBid, 7, 1), level(md.FlagSnapshot, 0, md.SideAsk, 9, 1), end, level(both, 1, md.SideBid, 9, 1)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, found := testStream(t)
			for i := range c.recs {
				s.take(&c.recs[i], 2)
			}
			if len(*found) != c.want {
				t.Errorf("%d reports, want %d: %q", len(*found), c.want, *found)
			}
		})
	}
}

func TestJSONInvariants(t *testing.T) {
	const topic = `"topic":"binance.book.BTC-USDT","ts_event":"1","ts_recv":"1"`
	const told = `{"op":"subscribed","topics":{"binance.book.BTC-USDT":{"epoch":"9","seq":4}}}`
	const snap = `{"type":"book",` + topic + `,"seq":4,"prev":4,"action":"snapshot","bids":[["7","1"]],"asks":[["9","1"]]}`
	for _, c := range []struct {
		name string
		msgs []string
		want int
	}{
		{"good", []string{told, snap, `{"type":"book",` + topic + `,"seq":5,"prev":4,"action":"update","bids":[["7","0"],["8","1"]],"asks":[]}`}, 0},
		{"missed", []string{told, snap, `{"type":"book",` + topic + `,"seq":7,"prev":6,"action":"update","bids":[["8","1"]],"asks":[]}`}, 1},
		{"twice", []string{told, snap, `{"type":"book",` + topic + `,"seq":4,"prev":3,"action":"update","bids":[["8","1"]],"asks":[]}`}, 1},
		{"crossed", []string{told, snap, `{"type":"book",` + topic + `,"seq":5,"prev":4,"action":"update","bids":[["9","1"]],"asks":[]}`}, 1},
		{"never sent", []string{told, snap, `{"type":"book",` + topic + `,"seq":5,"prev":4,"action":"update","bids":[["6","2"]],"asks":[]}`}, 1},
		{"untold", []string{snap}, 1},
		{"refused", []string{`{"op":"error","code":"bad_topic"}`}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, found := testStream(t)
			j := newJSONReader(s.truth, s.counts, s.report, jsonOptions{topics: []string{">"}})
			for _, m := range c.msgs {
				j.text([]byte(m))
			}
			if len(*found) != c.want {
				t.Errorf("%d reports, want %d: %q", len(*found), c.want, *found)
			}
		})
	}
}

// TestConflatedGap: of a state, a conflated delivery may jump to a gap; a plain one may
// not, and trades never.
func TestConflatedGap(t *testing.T) {
	for _, c := range []struct {
		name    string
		channel md.Channel
		flags   md.Flags
		want    int
	}{{"refresh", md.ChannelTicker, md.FlagConflated, 0}, {"plain", md.ChannelTicker, 0, 1}, {"trades", md.ChannelTrades, md.FlagConflated, 1}} {
		s, found := testStream(t)
		s.byName = true
		s.start("binance."+c.channel.String()+".BTC-USDT", 691)
		kind := md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast | c.flags, Venue: md.VenueBinance, ID: 697, Seq: 697,
			Side: uint8(c.channel), Level: uint8(md.GapDisconnect), Count: md.UnknownMissing}
		if s.take(&kind, 2); len(*found) != c.want {
			t.Errorf("%s: %q", c.name, *found)
		}
	}
}

// TestTrend: noise is no slope, a leak is one.
func TestTrend(t *testing.T) {
	var xs, flat, leak []float64
	for i := range 600 {
		saw := float64(i%37) / 10
		xs, flat, leak = append(xs, float64(i)), append(flat, 50+saw), append(leak, 50+saw+float64(i)/60)
	}
	if f := fit(xs, flat, 12); f.slope-slopeSigmas*f.err > 0 {
		t.Errorf("a saw has a slope of %v ± %v", f.slope*3600, f.err*3600)
	}
	f := fit(xs, leak, 12)
	if f.slope*3600 < 55 || f.slope*3600 > 65 || f.slope-slopeSigmas*f.err <= 0 {
		t.Errorf("a leak of 60 an hour is fitted as %v ± %v", f.slope*3600, f.err*3600)
	}
	if g := growth([]float64{1, 1, 1, 5, 9, 9, 9}); g != 8 {
		t.Errorf("growth %v", g)
	}
}
