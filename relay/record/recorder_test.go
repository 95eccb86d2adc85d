package record

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// script is a Source that gives batches, and runs functions between them.
type script struct {
	table   *md.Table
	steps   []any // []md.Record or func()
	session int
}

func newScript(t testing.TB) *script {
	table, err := md.CreateTable(make([]byte, md.TableSize(16)), 16, 1)
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint32(3) {
		if _, err := table.Add(md.Instrument{Venue: md.VenueBinance, Symbol: testSymbol(id), PriceExp: -2, SizeExp: -5}); err != nil {
			t.Fatal(err)
		}
	}
	return &script{table: table, session: 1}
}

func (s *script) Poll(dst []md.Record) (int, error) {
	if len(s.steps) == 0 {
		return 0, io.EOF
	}
	switch step := s.steps[0].(type) {
	case []md.Record:
		n := copy(dst, step)
		if s.steps[0] = step[n:]; n == len(step) {
			s.steps = s.steps[1:]
		}
		return n, nil
	case func():
		step()
	}
	s.steps = s.steps[1:]
	return 0, nil
}

func (s *script) Wait(ring.WaitMode, time.Duration) (bool, error) { return true, nil }
func (s *script) Interrupt()                                      {}
func (s *script) Table() *md.TableView                            { return s.table.View() }
func (s *script) Session() int                                    { return s.session }

func (s *script) add(recs ...md.Record) { s.steps = append(s.steps, recs) }

func heartbeat(id uint32, ch md.Channel, epoch int64, seq uint64, at int64) md.Record {
	return md.Record{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Instrument: id, Seq: seq, TsRecv: at, ID: uint64(epoch), Side: uint8(ch)}
}

func tradeAt(id uint32, seq uint64, at int64) md.Record {
	return md.Record{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Instrument: id, Seq: seq, TsRecv: at, TsEvent: at - 1, Price: int64(100 + seq), Size: 7, ID: seq, PriceExp: -2, SizeExp: -5, Side: md.SideBuy}
}

// record runs a recorder over a script to its end.
func (s *script) record(t testing.TB, cfg Config) *Stats {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	return r.Stats()
}

// numbers checks that a recording accounts for every number of a topic once, by a record
// or by a gap, and returns a line for each event that is no plain record.
func numbers(t testing.TB, dir, topic string) (lines []string, last uint64) {
	t.Helper()
	epoch := int64(0)
	seen := false
	err := Scan(context.Background(), dir, Query{Topics: []string{topic}}, func(e Event) error {
		r := &e.Records[0]
		switch {
		case r.Kind == md.KindHeartbeat:
			if e.Epoch != epoch {
				seen = false
			}
			if seen && r.Seq != last {
				return fmt.Errorf("%s: heartbeat at %d, last number %d", topic, r.Seq, last)
			}
			epoch, last, seen = e.Epoch, r.Seq, true
			lines = append(lines, fmt.Sprintf("heartbeat %d", r.Seq))
		case r.Kind == md.KindGap && r.Flags&md.FlagSnapshot == 0:
			if seen && e.Epoch == epoch && r.ID != last+1 {
				return fmt.Errorf("%s: gap from %d, last number %d", topic, r.ID, last)
			}
			lines = append(lines, fmt.Sprintf("gap %d-%d %s", r.ID, r.Seq, md.GapReason(r.Level)))
			epoch, last, seen = e.Epoch, r.Seq, r.Count != md.UnknownMissing
		case e.Snapshot():
			lines = append(lines, fmt.Sprintf("snapshot %d", len(e.Records)))
		default:
			for i := range e.Records {
				r := &e.Records[i]
				if seen && r.Seq != last+1 {
					return fmt.Errorf("%s: number %d after %d", topic, r.Seq, last)
				}
				last, seen = r.Seq, true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, last
}

func wantLines(t testing.TB, got []string, want string) {
	t.Helper()
	if g := strings.Join(got, ", "); g != want {
		t.Errorf("%s\nwant %s", g, want)
	}
}

const btc = "binance.trades.SYMA-USDT"

// TestRestart: what was published while no recorder was there is a gap; what it has it
// does not record twice; another epoch begins afresh.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	now := testHour + 60e9
	cfg := Config{Dir: dir, Relay: "r", Now: func() int64 { return now }}
	s := newScript(t)
	s.add(heartbeat(0, md.ChannelTrades, 5, 0, now), tradeAt(0, 1, now+1), tradeAt(0, 2, now+2))
	s.record(t, cfg)
	s.add(heartbeat(0, md.ChannelTrades, 5, 2, now+3), tradeAt(0, 2, now+2), tradeAt(0, 3, now+4))
	if st := s.record(t, cfg); st.Duplicates.Load() != 1 {
		t.Error("the repeated record was not judged a duplicate")
	}
	s.add(heartbeat(0, md.ChannelTrades, 5, 10, now+5), tradeAt(0, 11, now+6), tradeAt(0, 14, now+7))
	s.record(t, cfg)
	s.add(heartbeat(0, md.ChannelTrades, 6, 0, now+8), tradeAt(0, 1, now+9))
	s.record(t, cfg)
	lines, last := numbers(t, dir, btc)
	wantLines(t, lines, "heartbeat 0, heartbeat 2, gap 4-10 disconnect, heartbeat 10, gap 12-13 sequence, gap 15-15 disconnect, heartbeat 0")
	if last != 1 {
		t.Error("last number", last)
	}
}

// TestHours: each hour is one file when it is over, begins with the state, and can be
// read alone.
func TestHours(t *testing.T) {
	dir := t.TempDir()
	var clock atomic.Int64
	clock.Store(testHour)
	now := testHour
	cfg := Config{Dir: dir, Relay: "r", RowGroup: 1024, Now: clock.Load}
	s := newScript(t)
	r := rand.New(rand.NewPCG(1, 2))
	s.add(heartbeat(0, md.ChannelTrades, 5, 0, now), heartbeat(0, md.ChannelBook, 5, 0, now), heartbeat(1, md.ChannelTicker, 5, 0, now))
	s.add(md.Record{Kind: md.KindTicker, Flags: 3, Venue: md.VenueBinance, Instrument: 1, Seq: 1, TsRecv: now, Level: md.StatLast, Price: 9})
	var truth book.Reader
	bookRec := func(flags md.Flags, side uint8, seq uint64, price, size int64) md.Record {
		rec := md.Record{Kind: md.KindBook, Flags: flags, Venue: md.VenueBinance, Instrument: 0, Seq: seq, TsRecv: now, Side: side, Price: price, Size: size, PriceExp: -2, SizeExp: -5}
		truth.Apply(&rec)
		return rec
	}
	s.add(bookRec(md.FlagSnapshot|md.FlagFirst, md.SideClear, 0, 0, 0), bookRec(md.FlagSnapshot, md.SideBid, 0, 90, 5), bookRec(md.FlagSnapshot|md.FlagLast, md.SideEnd, 0, 0, 0))
	at, seq := testHour, uint64(0)
	for range 3 {
		for i := range 5000 {
			at += int64(time.Hour / 5001)
			seq++
			batchNow := at
			s.steps = append(s.steps, func() { clock.Store(batchNow) })
			recs := []md.Record{tradeAt(0, seq, at)}
			rec := bookRec(3, md.SideBid, seq, 90+r.Int64N(50), r.Int64N(2)*int64(i))
			rec.TsRecv = at
			s.add(append(recs, rec)...)
		}
		at = hourOf(at) + hourNs
	}
	st := s.record(t, cfg)
	if st.Lost.Load() != 0 || st.KeyFrames.Load() < 6 {
		t.Errorf("lost %d, key frames %d", st.Lost.Load(), st.KeyFrames.Load())
	}
	for h := range 3 {
		want := fmt.Sprintf("2026-11-28T%d.parquet", 15+h)
		_, err := os.Stat(filepath.Join(dir, "binance", "trades", want))
		if h < 2 && err != nil {
			t.Error(err)
		}
	}
	var got book.Reader
	ticker := int64(0)
	from := testHour + 2*hourNs
	err := Scan(context.Background(), dir, Query{Topics: []string{"binance.book.>", "binance.ticker.>"}, From: from}, func(e Event) error {
		for i := range e.Records {
			got.Apply(&e.Records[i])
			if e.Records[i].Kind == md.KindTicker {
				ticker = e.Records[i].Price
			}
		}
		return nil
	})
	if err != nil || got.State != book.Live || got.Seq != truth.Seq || got.Book.Bids.Len() != truth.Book.Bids.Len() || ticker != 9 {
		t.Fatalf("book %s at %d with %d bids, want %d with %d; ticker %d; %v", got.State, got.Seq, got.Book.Bids.Len(), truth.Seq, truth.Book.Bids.Len(), ticker, err)
	}
	for i := range got.Book.Bids.Len() {
		if *got.Book.Bids.At(i) != *truth.Book.Bids.At(i) {
			t.Errorf("level %d: %+v, want %+v", i, *got.Book.Bids.At(i), *truth.Book.Bids.At(i))
		}
	}
	if lines, last := numbers(t, dir, btc); last != seq {
		t.Errorf("last trade %d, want %d: %s", last, seq, lines)
	}
}

// TestRetention deletes the oldest hours, by age and by size.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	s := newSealer("r", 1024)
	r := rand.New(rand.NewPCG(1, 1))
	for h := range int64(5) {
		path := writeJournal(t, dir, testStream, testHour+h*hourNs, 0, 0, testEvents(r, testStream, testHour+h*hourNs, map[uint32]uint64{}, 1000))
		if _, err := s.seal(path, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	now := testHour + 5*hourNs
	size, gone, err := prune(dir, 3*time.Hour+time.Minute, 0, now)
	if err != nil || gone != 1 {
		t.Fatal(size, gone, err)
	}
	left, gone, err := prune(dir, 0, size/2, now)
	if err != nil || gone < 2 || gone > 3 || left > size/2 {
		t.Fatal(left, gone, err)
	}
	if _, gone, _ := prune(dir, time.Second, 1, now+100*hourNs); gone > 1 {
		t.Error("files deleted:", gone)
	}
	if all, err := listFiles(testStream.dir(dir)); err != nil || len(all) != 1 || all[0].hour != testHour+4*hourNs {
		t.Error("the newest hour is to stay, all else to go:", all, err)
	}
}

// TestInUse: one recorder per folder.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	r, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), ErrInUse.Error()) {
		t.Error(err)
	}
	r.Close()
	if r, err = New(Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	r.Close()
}
