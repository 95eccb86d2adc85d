package record

import (
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"tickrelay/ring/md"
)

// readOnly makes the writes of a journal fail until mend is called.
func readOnly(t *testing.T, j *journal) (mend func()) {
	t.Helper()
	ro, err := os.Open(j.path)
	if err != nil {
		t.Fatal(err)
	}
	rw := j.f
	j.f = ro
	return func() { j.f = rw; ro.Close() }
}

// TestLargeFrameUnwritten: a key frame larger than a block, gathered while writes fail,
// is written so that all of it can be read, and what comes after it too.
func TestLargeFrameUnwritten(t *testing.T) {
	const levels = 20_000
	dir := t.TempDir()
	now := testHour + hourNs - 60e9
	var clock atomic.Int64
	clock.Store(now)
	s := newScript(t)
	r, err := New(Config{Dir: dir, MinFree: 1, Sync: -1, Now: clock.Load})
	if err != nil {
		t.Fatal(err)
	}
	rec := func(flags md.Flags, side uint8, seq uint64, price int64) md.Record {
		return md.Record{Kind: md.KindBook, Flags: flags, Venue: md.VenueBinance, Seq: seq, TsRecv: now, Side: side, Price: price, Size: 1, PriceExp: -2, SizeExp: -5}
	}
	recs := []md.Record{heartbeat(0, md.ChannelBook, 5, 0, now), rec(md.FlagSnapshot|md.FlagFirst, md.SideClear, 0, 0)}
	for i := range int64(levels) {
		recs = append(recs, rec(md.FlagSnapshot, md.SideAsk, 0, 100+i))
	}
	s.add(append(recs, rec(md.FlagSnapshot|md.FlagLast, md.SideEnd, 0, 0))...)
	next := testHour + hourNs + 60e9
	p := stream{md.VenueBinance, md.ChannelBook}
	var mend func()
	s.steps = append(s.steps, func() {
		clock.Store(next)
		r.roll(r.parts[p], hourOf(next), r.session)
		if !r.introduce(r.topics[md.Topic{Venue: p.venue, Channel: p.channel, Symbol: testSymbol(0)}]) {
			t.Error("the new journal does not take the instrument")
		}
		mend = readOnly(t, r.parts[p].j)
	}, func() {
		if j := r.parts[p].j; !r.stats.Suspended.Load() || len(j.pending) < levels {
			t.Errorf("suspended: %v, %d records gathered", r.stats.Suspended.Load(), len(j.pending))
		}
		mend()
		clock.Add(2e9)
	}, func() {})
	up := rec(3, md.SideBid, 1, 90)
	up.TsRecv = next + 3e9
	s.add(up)
	if err := r.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	got, err := Verify(t.Context(), dir, nil)
	if err != nil || len(got.Problems) > 0 || got.Rows < 2*levels || r.stats.Torn.Load() != 0 || uint64(got.Rows) != r.stats.Records.Load() {
		t.Errorf("%+v, %d records taken, %d bytes torn: %v", got, r.stats.Records.Load(), r.stats.Torn.Load(), err)
	}
	if lines, last := numbers(t, dir, "binance.book.SYMA-USDT"); last != 1 {
		t.Error(last, lines)
	}
}

// TestEpochUnwritten: records of a new epoch do not go under the old one because the old
// ones could not be written yet.
func TestEpochUnwritten(t *testing.T) {
	path := writeJournal(t, t.TempDir(), testStream, testHour, 0, 0, nil)
	os.Remove(path)
	j, err := createJournal(path, journalHead{stream: testStream, hour: testHour})
	if err != nil {
		t.Fatal(err)
	}
	defer j.f.Close()
	a, b := tradeAt(0, 1, testHour), tradeAt(0, 1, testHour+1)
	if err := j.begin(5); err != nil {
		t.Fatal(err)
	}
	j.add(&a)
	mend := readOnly(t, j)
	if err := j.begin(6); err == nil {
		t.Fatal("a new epoch begins although the old one is not written")
	}
	mend()
	if err := j.begin(6); err != nil {
		t.Fatal(err)
	}
	j.add(&b)
	if err := j.flush(); err != nil {
		t.Fatal(err)
	}
	var l loaded
	if err := loadJournal(path, &l); err != nil || !slices.Equal(l.epoch, []int64{5, 6}) || !slices.Equal(l.recs, []md.Record{a, b}) {
		t.Error(l.epoch, err)
	}
}

// TestHalfEvent: an event of which a killed recorder wrote only the beginning is given
// to nobody, and not there after recovery, whose numbers end before it.
func TestHalfEvent(t *testing.T) {
	root := t.TempDir()
	var recs []md.Record
	for i := range uint64(512) {
		r := md.Record{Kind: md.KindBBO, Flags: md.FlagFirst, Venue: md.VenueBinance, Seq: i + 1, TsRecv: testHour + int64(i), Side: md.SideBid, Price: int64(i), Size: 1}
		if i%2 == 1 {
			r.Flags, r.Side = md.FlagLast, md.SideAsk
		}
		recs = append(recs, r)
	}
	recs = recs[:511] // the last has no end
	st := stream{md.VenueBinance, md.ChannelBBO}
	writeJournal(t, root, st, testHour, 0, 0, recs)
	scan := func() (n int) {
		t.Helper()
		err := Scan(t.Context(), root, Query{}, func(e Event) error {
			if e.Records[0].Flags&md.FlagFirst == 0 || e.Records[len(e.Records)-1].Flags&md.FlagLast == 0 {
				t.Errorf("number %d: half an event of %d records", e.Records[0].Seq, len(e.Records))
			}
			n += len(e.Records)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := scan(); n != 510 {
		t.Errorf("%d records scanned, want 510", n)
	}
	got, err := newSealer("r", 1024).recover(st.dir(root), testHour+hourNs)
	if err != nil || got.records != 510 || got.arrival != 510 || got.topics[testSymbol(0)].Seq != 510 || got.torn != md.RecordSize {
		t.Errorf("%+v, %v", got, err)
	}
	if n := scan(); n != 510 {
		t.Errorf("%d records scanned after recovery, want 510", n)
	}
}

// TestFlushBetweenEvents: what a recorder has written at any moment ends with a whole
// event.
func TestFlushBetweenEvents(t *testing.T) {
	dir := t.TempDir()
	now := testHour + 60e9
	s := newScript(t)
	r, err := New(Config{Dir: dir, MinFree: 1, Now: func() int64 { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s.add(heartbeat(0, md.ChannelTrades, 5, 0, now))
	seq, looked := uint64(0), 0
	for range 800 {
		ev := []md.Record{tradeAt(0, seq+1, now), tradeAt(0, seq+2, now), tradeAt(0, seq+3, now)}
		ev[0].Flags, ev[1].Flags, ev[2].Flags = md.FlagFirst, 0, md.FlagLast
		seq += 3
		s.add(ev...)
	}
	s.steps = append(s.steps, func() {
		var l loaded
		if err := loadJournal(r.parts[testStream].j.path, &l); err != nil {
			t.Fatal(err)
		}
		if looked = l.len(); looked > 0 && l.recs[looked-1].Flags&md.FlagLast == 0 {
			t.Errorf("record %d of %d ends the journal amid an event", looked, seq)
		}
	})
	if err := r.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if looked < journalBuffer {
		t.Errorf("%d records were in the journal", looked)
	}
}
