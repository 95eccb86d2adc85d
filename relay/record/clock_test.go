package record

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"tickrelay/ring/md"
)

// hourRows are the rows of a recording by hour, relative to testHour.
func hourRows(t *testing.T, dir string) map[int64]int64 {
	t.Helper()
	hours, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]int64{}
	for _, h := range hours {
		got[(h.Start-testHour)/hourNs] = h.Rows + h.Open
	}
	return got
}

// wholeTrades wants every number of n trades to be recorded once, without a gap, in the hour of
// its receive time.
func wholeTrades(t *testing.T, dir string, n int) {
	t.Helper()
	got, err := Verify(t.Context(), dir, nil)
	if err != nil || len(got.Problems) > 0 || got.Gaps != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	hours, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var seqs []uint64
	for _, h := range hours {
		err := Scan(t.Context(), dir, Query{From: h.Start, To: h.Start + hourNs}, func(e Event) error {
			for _, r := range e.Records {
				if r.Kind != md.KindTrade {
					continue
				}
				if seqs = append(seqs, r.Seq); hourOf(r.TsRecv) != h.Start {
					return fmt.Errorf("number %d of %d is in hour %d", r.Seq, r.TsRecv, h.Start)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	slices.Sort(seqs)
	if len(seqs) != n || seqs[0] != 1 || seqs[n-1] != uint64(n) || len(slices.Compact(seqs)) != n {
		t.Errorf("%d trades of %d, numbers %v", len(seqs), n, seqs)
	}
}

// TestClockSetBack: the clock is a day ahead, by way of the end of an hour, and is set
// right, with or without a start in between, and time reaches those hours in the end. Each
// record is once in the file of its hour.
func TestClockSetBack(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		for _, frames := range []bool{false, true} {
			t.Run(fmt.Sprintf("restarts %v, key frames %v", restarts, frames), func(t *testing.T) {
				dir := t.TempDir()
				var clock atomic.Int64
				clock.Store(testHour)
				cfg := Config{Dir: dir, MinFree: 1, RowGroup: 1024, NoKeyFrames: !frames, Now: clock.Load}
				s, seq := newScript(t), uint64(0)
				s.add(heartbeat(0, md.ChannelTrades, 5, 0, testHour))
				day := 24 * hourNs
				times := []int64{60e9, day + 60e9, day + hourNs + 60e9, 120e9, 180e9, hourNs + 60e9, day + 120e9, day + 2*hourNs}
				for _, at := range times {
					at += testHour
					s.steps = append(s.steps, func() { clock.Store(at) }, func() {}, func() {})
					for range 5 {
						seq++
						s.add(tradeAt(0, seq, at))
					}
					if restarts {
						s.record(t, cfg)
						clock.Store(at)
						s.add(heartbeat(0, md.ChannelTrades, 5, seq, at))
					}
				}
				s.record(t, cfg)
				wholeTrades(t, dir, 5*len(times))
				if n, err := Compact(t.Context(), dir, nil); err != nil {
					t.Error(n, err)
				}
				wholeTrades(t, dir, 5*len(times))
				if rows := hourRows(t, dir); len(rows) != 5 || rows[0] < 15 || rows[24] < 10 {
					t.Error(rows)
				}
			})
		}
	}
}

// TestStartAhead: hours of the future are there at the start, of which nothing newer is
// known, a journal among them. What they have is recovered; the recording goes on in the
// hour of now and knows which numbers it has, also at the next start.
func TestStartAhead(t *testing.T) {
	dir := t.TempDir()
	now, ahead := testHour+60e9, testHour+100*hourNs
	s := newSealer("r", 1024)
	trades := func(from, to uint64, at int64) (recs []md.Record) {
		for seq := from; seq <= to; seq++ {
			recs = append(recs, tradeAt(0, seq, at))
		}
		return recs
	}
	if _, err := s.seal(writeJournal(t, dir, testStream, testHour, 0, 0, trades(1, 3, now)), false, nil); err != nil {
		t.Fatal(err)
	}
	writeJournal(t, dir, testStream, ahead, 0, 0, trades(4, 6, ahead))
	var log bytes.Buffer
	cfg := Config{Dir: dir, MinFree: 1, Now: func() int64 { return now + 5e9 }, Log: slog.New(slog.NewTextHandler(&log, nil))}
	script := newScript(t)
	for seq := uint64(7); seq < 10; seq++ { // the epoch of writeJournal
		script.add(heartbeat(0, md.ChannelTrades, testHour, seq-1, now), tradeAt(0, seq, now+1e9))
		if st := script.record(t, cfg); st.Lost.Load()+st.Gaps.Load()+st.Suspends.Load() != 0 {
			t.Errorf("number %d: lost %d, %d gaps, suspended %d times", seq, st.Lost.Load(), st.Gaps.Load(), st.Suspends.Load())
		}
	}
	wholeTrades(t, dir, 9)
	if !strings.Contains(log.String(), "still to come") {
		t.Error(log.String())
	}
	if rows := hourRows(t, dir); len(rows) != 2 || rows[0] < 6 || rows[100] != 3 {
		t.Error(rows)
	}
	// The relay's next epoch began while the clock was ahead: it is the last, not the first.
	script.add(heartbeat(0, md.ChannelTrades, testHour, 9, ahead), heartbeat(0, md.ChannelTrades, ahead, 0, ahead), tradeAt(0, 1, ahead))
	cfg.Now = func() int64 { return ahead + 1e9 }
	script.record(t, cfg)
	script.add(heartbeat(0, md.ChannelTrades, ahead, 5, now))
	cfg.Now = func() int64 { return now + 10e9 }
	script.record(t, cfg)
	if got, err := Verify(t.Context(), dir, nil); err != nil || len(got.Problems) > 0 || got.Gaps != 1 || got.Missing != 4 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPruneAhead: hours ahead of the clock do not make the hour under way an old one.
func TestPruneAhead(t *testing.T) {
	dir := t.TempDir()
	s := newSealer("r", 1024)
	for _, h := range []int64{-2, 0, 50} {
		at := testHour + h*hourNs
		if _, err := s.seal(writeJournal(t, dir, testStream, at, 0, 0, []md.Record{tradeAt(0, 1, at)}), false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, gone, err := prune(dir, 0, 1, testHour+60e9); err != nil || gone != 1 {
		t.Error(gone, err)
	}
	if rows := hourRows(t, dir); rows[0] != 1 || rows[50] != 1 || len(rows) != 2 {
		t.Error(rows)
	}
}

// TestVerifyTwice: numbers that are recorded twice, in hours however far apart, are found.
func TestVerifyTwice(t *testing.T) {
	dir := t.TempDir()
	s := newSealer("r", 1024)
	for _, part := range []struct {
		hour     int64
		from, to uint64
	}{{0, 1, 4}, {1, 10, 12}, {30, 4, 8}} {
		var recs []md.Record
		for seq := part.from; seq <= part.to; seq++ {
			recs = append(recs, tradeAt(0, seq, testHour+part.hour*hourNs))
		}
		if _, err := s.seal(writeJournal(t, dir, testStream, testHour+part.hour*hourNs, 0, 0, recs), false, nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Verify(t.Context(), dir, nil)
	text := strings.Join(got.Problems, "\n")
	if err != nil || len(got.Problems) != 2 || !strings.Contains(text, "numbers 4 to 4 are there twice") || !strings.Contains(text, "numbers 9 to 9 are missing") {
		t.Error(text, err)
	}
}
