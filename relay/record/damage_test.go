package record

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestMergeUnreadable: a file that cannot be read is not merged; the journals after it
// become files, and other hours are merged all the same.
func TestMergeUnreadable(t *testing.T) {
	dir := t.TempDir()
	var clock atomic.Int64
	clock.Store(testHour + 60e9)
	s := newScript(t)
	s.add(heartbeat(0, md.ChannelTrades, 5, 0, testHour+60e9), tradeAt(0, 1, testHour+60e9))
	s.record(t, Config{Dir: dir, MinFree: 1, Now: clock.Load})
	r, err := New(Config{Dir: dir, MinFree: 1, Now: clock.Load})
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(testStream.dir(dir), fileName{testHour, 0, 0, false}.String())
	if err := os.Truncate(part, 100); err != nil {
		t.Fatal(err)
	}
	s.add(heartbeat(0, md.ChannelTrades, 5, 1, testHour+60e9))
	for h := range int64(3) {
		at := testHour + h*hourNs + 61e9
		s.steps = append(s.steps, func() { clock.Store(at) })
		s.add(tradeAt(0, uint64(2+h), at))
	}
	if err := r.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	st := r.Stats()
	if st.Files.Load() != 3 || st.Backlog.Load() != 0 || st.SealErrors.Load() == 0 {
		t.Errorf("%d files, %d journals wait, %d errors", st.Files.Load(), st.Backlog.Load(), st.SealErrors.Load())
	}
	if _, err := os.Stat(filepath.Join(testStream.dir(dir), fileName{testHour + hourNs, -1, -1, false}.String())); err != nil {
		t.Error(err)
	}
}

// threeHours records trades of three hours, the last one in three parts.
func threeHours(t *testing.T, dir string) {
	t.Helper()
	var clock atomic.Int64
	clock.Store(testHour)
	s, seq := newScript(t), uint64(0)
	s.add(heartbeat(0, md.ChannelTrades, 5, 0, testHour))
	for h := range int64(3) {
		for part := range int64(3) {
			at := testHour + h*hourNs + 60e9*part + 10e9
			s.steps = append(s.steps, func() { clock.Store(at) }, func() {})
			for range 5 {
				seq++
				s.add(tradeAt(0, seq, at))
			}
		}
	}
	s.record(t, Config{Dir: dir, MinFree: 1, Seal: time.Second, Now: clock.Load})
	if lines, last := numbers(t, dir, btc); last != 45 {
		t.Fatal(last, lines)
	}
}

// partOf is the path of a part of the third of threeHours; -1: of the second hour's file.
func partOf(dir string, part int) string {
	if part < 0 {
		return filepath.Join(testStream.dir(dir), fileName{testHour + hourNs, -1, -1, false}.String())
	}
	return filepath.Join(testStream.dir(dir), fileName{testHour + 2*hourNs, part, part, false}.String())
}

// cutFile leaves the first half of a file, and returns it.
func cutFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		data = data[:len(data)/2]
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestStartDamaged: a file of the last two hours cannot be read. Who looks at the
// recording names it and reads the others; a recorder sets it aside, once, and goes on,
// with a gap where the newest numbers are gone.
func TestStartDamaged(t *testing.T) {
	for part, lost := range map[int]string{-1: "", 0: "", 1: "", 2: "heartbeat 30, gap 41-45 disconnect, heartbeat 45"} {
		dir := t.TempDir()
		threeHours(t, dir)
		path := partOf(dir, part)
		want := cutFile(t, path)
		hours, err := List(dir)
		if err == nil || !strings.Contains(err.Error(), path) || len(hours) != 3 || hours[0].Rows != 16 {
			t.Errorf("%s: %v, %+v", path, err, hours)
		}
		got, err := Verify(t.Context(), dir, nil)
		if err != nil || len(got.Problems) != 1 || !strings.Contains(got.Problems[0], path) || got.Rows < 30 {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
		if err := Scan(t.Context(), dir, Query{}, func(Event) error { return nil }); err == nil || !strings.Contains(err.Error(), path) {
			t.Error("scanned as if it were whole: ", err)
		}
		for _, other := range []string{"okx.>", "*.book.*", "binance.bbo.SYMA-USDT"} { // a file that does not concern them
			if err := Scan(t.Context(), dir, Query{Topics: []string{other}}, func(Event) error { return nil }); err != nil {
				t.Error(other, err)
			}
		}
		told, n := []error(nil), int64(0)
		err = Scan(t.Context(), dir, Query{Damaged: func(err error) { told = append(told, err) }}, func(e Event) error { n += int64(len(e.Records)); return nil })
		if err != nil || len(told) != 1 || n != got.Rows {
			t.Errorf("%d records scanned, %d verified; %v, %v", n, got.Rows, told, err)
		}

		var log bytes.Buffer
		at := testHour + 2*hourNs + 300e9
		s := newScript(t)
		s.add(heartbeat(0, md.ChannelTrades, 5, 45, at), tradeAt(0, 46, at))
		st := s.record(t, Config{Dir: dir, MinFree: 1, Now: func() int64 { return at }, Log: slog.New(slog.NewTextHandler(&log, nil))})
		kept, err := os.ReadFile(path + damagedExt)
		if err != nil || !bytes.Equal(kept, want) || st.Damaged.Load() != 1 || st.Lost.Load() != 0 {
			t.Errorf("%s: %d set aside, %v", path, st.Damaged.Load(), err)
		}
		if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, path) {
			t.Error(text)
		}
		if got, err = Verify(t.Context(), dir, nil); err != nil || !strings.Contains(strings.Join(got.Problems, "\n"), path+damagedExt) {
			t.Errorf("%+v, %v", got, err)
		}
		if lost != "" {
			lines, last := numbers(t, dir, btc)
			if text := strings.Join(lines, ", "); last != 46 || !strings.Contains(text, lost) {
				t.Errorf("%d: %s", last, text)
			}
		}
	}
}

// TestDamagedAgain: nothing that was set aside is overwritten, and what another file has
// is not deleted for the sake of one that cannot be read.
func TestDamagedAgain(t *testing.T) {
	dir := t.TempDir()
	threeHours(t, dir)
	start := func(want uint64) {
		t.Helper()
		r, err := New(Config{Dir: dir, Now: func() int64 { return testHour + 3*hourNs }})
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Stats().Damaged.Load(); n != want {
			t.Errorf("%d files set aside, want %d", n, want)
		}
		r.Close()
	}
	merged := filepath.Join(testStream.dir(dir), fileName{testHour + 2*hourNs, 0, 2, false}.String())
	for n := range 2 { // parts of which a damaged merge says that it has them
		if err := os.WriteFile(merged, []byte{byte(n)}, 0o644); err != nil {
			t.Fatal(err)
		}
		start(1)
	}
	if lines, last := numbers(t, dir, btc); last != 45 {
		t.Error(last, lines)
	}
	for n, name := range []string{merged + damagedExt, merged + ".2" + damagedExt} {
		if data, err := os.ReadFile(name); err != nil || !bytes.Equal(data, []byte{byte(n)}) {
			t.Error(name, data, err)
		}
	}
	for _, part := range []int{-1, 0, 1, 2} { // then the first hour knows the numbers
		cutFile(t, partOf(dir, part))
	}
	s, at := newScript(t), testHour+2*hourNs+300e9
	s.add(heartbeat(0, md.ChannelTrades, 5, 45, at))
	s.record(t, Config{Dir: dir, MinFree: 1, Now: func() int64 { return at }})
	lines, _ := numbers(t, dir, btc)
	wantLines(t, lines, "heartbeat 0, heartbeat 15, gap 16-45 disconnect, heartbeat 45")
}

// readWhole reads all of a file, if that can be done.
func readWhole(path string) (n int) {
	f, err := openFile(path)
	if err != nil {
		return 0
	}
	defer f.close()
	f.arrivalEnd()
	var c Checked
	for g := range f.pq.RowGroups() {
		f.bounds(colTsRecv, g)
		_, _ = f.inOrder(g)
		var group rows
		rd := f.readGroup(g, newNames())
		err := rd.readAll(&group)
		rd.close()
		if n += group.len(); err == nil {
			_ = guarded(func() error { return c.decimals(f, g) })
		}
	}
	return n
}

// FuzzFile: whatever is in a file, reading it ends, without a panic and without memory
// that it does not need.
func FuzzFile(f *testing.F) {
	dir := f.TempDir()
	r := rand.New(rand.NewPCG(11, 11))
	journal := writeJournal(f, dir, testStream, testHour, 0, 0, testEvents(r, testStream, testHour, map[uint32]uint64{}, 200))
	got, err := newSealer("r", 300).seal(journal, false, nil)
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	data, err := os.ReadFile(strings.TrimSuffix(journal, journalExt) + parquetExt)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Add(data[len(data)-8:])
	f.Add([]byte{})
	for n := range 150 { // one wrong bit, in the footer half the time
		bad := bytes.Clone(data)
		at := r.IntN(len(bad))
		if n%2 == 0 {
			at = len(bad) - 1 - r.IntN(min(4000, len(bad)))
		}
		bad[at] ^= 1 << r.IntN(8)
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rows := readWhole(path)
		runtime.ReadMemStats(&after)
		// A page's header says its sizes in 31 bits each, and no checksum covers it.
		if n := after.TotalAlloc - before.TotalAlloc; n > 5<<30 {
			t.Errorf("%d bytes of memory for a file of %d", n, len(b))
		}
		if bytes.Equal(b, data) && int64(rows) != got.records {
			t.Errorf("%d rows of %d", rows, got.records)
		}
	})
}

// TestHole: a merged file that lacks a part has rows after the hole; the hour goes on
// after them.
func TestHole(t *testing.T) {
	dir := t.TempDir()
	threeHours(t, dir)
	cutFile(t, partOf(dir, 1))
	if n, err := Compact(t.Context(), dir, nil); n != 1 || err == nil || !strings.Contains(err.Error(), partOf(dir, 1)) {
		t.Fatal(n, err)
	}
	s, at := newScript(t), testHour+2*hourNs+300e9
	s.add(heartbeat(0, md.ChannelTrades, 5, 45, at), tradeAt(0, 46, at), tradeAt(0, 47, at), tradeAt(0, 48, at))
	s.record(t, Config{Dir: dir, MinFree: 1, Now: func() int64 { return at }})
	got := symbolTrades(t, dir)[testSymbol(0)]
	if len(got) != 43 || got[len(got)-1] != 148 {
		t.Errorf("%d trades, the last is %v", len(got), got[max(0, len(got)-4):])
	}
}

// TestNotDeleted: parts that are merged, and a journal that is sealed, cannot be deleted.
// No row is there twice, whatever is repeated, and they go as soon as they can.
func TestNotDeleted(t *testing.T) {
	dir := t.TempDir()
	threeHours(t, dir)
	folder := testStream.dir(dir)
	rows := func() {
		t.Helper()
		got, err := Verify(t.Context(), dir, nil)
		if err != nil || len(got.Problems) > 0 || got.Rows != 48 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	rows()
	hour := func() (names []fileName) {
		all, err := listFiles(folder)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(all, func(f fileName) bool { return f.hour != testHour+2*hourNs })
	}
	s := newSealer("r", 1024)
	s.remove = func(path string) error { return &os.PathError{Op: "remove", Path: path, Err: os.ErrPermission} }
	parts := hour()
	left, err := s.merge(folder, parts[:2], fileName{testHour + 2*hourNs, 0, 1, false}, nil)
	if err != nil || left == nil || len(hour()) != 4 {
		t.Fatal(left, err, hour())
	}
	rows()
	for range 2 {
		if _, err = s.mergeHour(folder, hour(), nil); err == nil || !strings.Contains(err.Error(), parts[0].String()) {
			t.Error(err)
		}
		if names := hour(); names[0].from >= 0 || len(names) != 5 {
			t.Error(names)
		}
		rows()
	}
	if got, err := s.recover(folder, testHour+3*hourNs); err != nil || len(got.errs) == 0 || got.next != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	rows()
	if n, err := Compact(t.Context(), dir, nil); n != 0 || err != nil || len(hour()) != 1 {
		t.Error(n, err, hour())
	}
	rows()
	journal := writeJournal(t, dir, testStream, testHour+2*hourNs, 3, 18, []md.Record{tradeAt(0, 46, testHour+2*hourNs+300e9)})
	for range 2 {
		if got, err := s.seal(journal, false, nil); err != nil || got.left == nil || got.records != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if got, err := Verify(t.Context(), dir, nil); err != nil || got.Rows != 49 {
		t.Errorf("%+v, %v", got, err)
	}
	if merged, err := newSealer("r", 1024).mergeHour(folder, hour(), nil); !merged || err != nil || len(hour()) != 1 {
		t.Error(merged, err, hour())
	}
}
