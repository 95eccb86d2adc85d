package record

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// smallDisk is a file system of size bytes, or the test skips.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a small file system can be mounted by root only")
	}
	dir := t.TempDir()
	if err := unix.Mount("tickrelay-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no small file system here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fillDisk leaves the device with free bytes.
func fillDisk(t *testing.T, dir string, free int64) string {
	t.Helper()
	have, err := freeBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "filler")
	if err := os.WriteFile(name, make([]byte, max(0, have-free)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestStartFull: the device is full when a recorder starts, and journals are left. It
// starts, and they become files when there is room; what comes meanwhile follows them.
func TestStartFull(t *testing.T) {
	disk := smallDisk(t, "4m")
	dir := filepath.Join(disk, "rec")
	var recs []md.Record
	for seq := uint64(1); seq <= 600; seq++ {
		recs = append(recs, tradeAt(0, seq, testHour+int64(seq)))
	}
	half := tradeAt(0, 601, testHour+601)
	half.Flags = md.FlagFirst
	writeJournal(t, dir, testStream, testHour, 0, 0, recs[:300])
	writeJournal(t, dir, testStream, testHour, 1, 300, append(recs[300:], half))
	filler := fillDisk(t, disk, 0)
	var clock atomic.Int64
	clock.Store(testHour + 60e9)
	r, err := New(Config{Dir: dir, MinFree: 1, Now: clock.Load})
	if err != nil {
		t.Fatal(err)
	}
	if st := r.Stats(); st.Recovered.Load() != 600 || st.Torn.Load() != md.RecordSize || st.Backlog.Load() != 2 {
		t.Errorf("%d recovered, %d bytes torn, %d journals wait", st.Recovered.Load(), st.Torn.Load(), st.Backlog.Load())
	}
	s := newScript(t)
	s.add(heartbeat(0, md.ChannelTrades, testHour, 601, testHour+61e9), tradeAt(0, 602, testHour+61e9))
	s.steps = append(s.steps, func() { os.Remove(filler); clock.Add(2e9) }, func() {})
	s.add(tradeAt(0, 603, testHour+62e9))
	if err := r.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); r.Stats().Backlog.Load() > 0 && time.Now().Before(deadline); {
		r, err = New(Config{Dir: dir, MinFree: 1, Now: clock.Load}) // it ended before they were tried again
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	if got, err := Verify(t.Context(), dir, nil); err != nil || len(got.Problems) > 0 || got.Missing != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	lines, last := numbers(t, dir, btc)
	if text := strings.Join(lines, ", "); last != 603 || !strings.Contains(text, "gap 60") {
		t.Error(last, text)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*/*/*"+journalExt)); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// TestDiskFull: while the device is full records are lost and counted, and nothing else
// happens; when there is room the recording goes on with a gap for exactly those, and
// with the state. With minFree 1 the device is found full by a write, else by looking.
func TestDiskFull(t *testing.T) {
	for _, minFree := range []int64{1, 512 << 10} {
		t.Run(fmt.Sprint(minFree), func(t *testing.T) { diskFull(t, minFree) })
	}
}

func diskFull(t *testing.T, minFree int64) {
	disk := smallDisk(t, "8m")
	dir := filepath.Join(disk, "rec")
	now := testHour + int64(60e9)
	var clock atomic.Int64
	clock.Store(now)
	r, err := New(Config{Dir: dir, Now: clock.Load, MinFree: minFree, RowGroup: 4096})
	if err != nil {
		t.Fatal(err)
	}
	st := r.Stats()
	s := newScript(t)
	var truth book.Reader
	seq := uint64(0)
	s.add(heartbeat(0, md.ChannelTrades, 5, 0, now), heartbeat(0, md.ChannelBook, 5, 0, now),
		md.Record{Kind: md.KindBook, Flags: md.FlagSnapshot | md.FlagFirst, Venue: md.VenueBinance, TsRecv: now},
		md.Record{Kind: md.KindBook, Flags: md.FlagSnapshot | md.FlagLast, Venue: md.VenueBinance, TsRecv: now, Side: md.SideEnd})
	truth.Apply(&s.steps[0].([]md.Record)[1])
	truth.Apply(&s.steps[0].([]md.Record)[2])
	truth.Apply(&s.steps[0].([]md.Record)[3])
	send := func(n int) {
		for range n {
			seq++
			at := testHour + 60e9 + int64(seq)*1e6
			rec := md.Record{Kind: md.KindBook, Flags: 3, Venue: md.VenueBinance, Seq: seq, TsRecv: at, Side: md.SideBid, Price: int64(seq % 20), Size: int64(seq), PriceExp: -2, SizeExp: -5}
			truth.Apply(&rec)
			s.steps = append(s.steps, func() { clock.Store(at) })
			s.add(tradeAt(0, seq, at), rec)
		}
	}
	var filler string
	send(2000)
	s.steps = append(s.steps, func() { filler = fillDisk(t, disk, 600<<10) })
	send(20000)
	s.steps = append(s.steps, func() {
		if !st.Suspended.Load() || st.Lost.Load() == 0 {
			t.Errorf("suspended: %v, lost %d", st.Suspended.Load(), st.Lost.Load())
		}
		os.Remove(filler)
	})
	send(3000)
	if err := r.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if st.Suspended.Load() || st.Suspends.Load() == 0 || st.Records.Load() == 0 {
		t.Errorf("suspended %v, %d times", st.Suspended.Load(), st.Suspends.Load())
	}
	lines, last := numbers(t, dir, btc)
	if text := strings.Join(lines, ", "); last != seq || !strings.Contains(text, "overrun, heartbeat") {
		t.Errorf("ends at %d, want %d: %s", last, seq, text)
	}
	var got book.Reader
	lost := uint64(0)
	err = Scan(t.Context(), dir, Query{}, func(e Event) error {
		for i := range e.Records {
			if rec := &e.Records[i]; rec.Kind == md.KindGap {
				lost += rec.Seq - rec.ID + 1
			}
			if e.Topic.Channel == md.ChannelBook {
				got.Apply(&e.Records[i])
			}
		}
		return nil
	})
	if err != nil || lost != st.Lost.Load() {
		t.Errorf("%d numbers in gaps, %d counted as lost: %v", lost, st.Lost.Load(), err)
	}
	if got.State != book.Live || got.Seq != truth.Seq || got.Book.Bids.Len() != truth.Book.Bids.Len() {
		t.Fatalf("book %s at %d, want %d", got.State, got.Seq, truth.Seq)
	}
	for i := range truth.Book.Bids.Len() {
		if *got.Book.Bids.At(i) != *truth.Book.Bids.At(i) {
			t.Fatalf("level %d: %+v, want %+v", i, *got.Book.Bids.At(i), *truth.Book.Bids.At(i))
		}
	}
}
