package record

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

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
