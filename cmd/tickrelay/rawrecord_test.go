package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickrelay/feeds"
	"tickrelay/feeds/capture"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// rawRecordings are the recordings of a feed in their order, with or without those that are
// still written.
func rawRecordings(t *testing.T, dir string, open bool) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(s string) bool {
		return strings.Contains(s, ".rest.") || !open && strings.Contains(s, ".open.")
	})
}

// numbered keeps the records that are the same in every ring of a feed.
func numbered(all []md.Record) (kept []md.Record) {
	for i := range all {
		if r := &all[i]; r.Kind == md.KindGap || r.Flags&md.FlagSnapshot == 0 && r.Kind != md.KindHeartbeat && r.Kind != md.KindInstrument {
			kept = append(kept, *r)
		}
	}
	return kept
}

// TestRecordRawRelay: tickrelay run with record_raw beside a gateway and a strategy's ring is
// killed with -9 while it writes: the strategy's records come out of the recording again as
// far as it goes, and all but the last moments are there. The next start gives the file its
// name; stopped by Ctrl-C, its recording is whole.
func TestRecordRawRelay(t *testing.T) {
	file, name, _, _ := lifeConfig(t)
	dir := t.TempDir()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "record_raw: {dir: %q}\n", dir)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "binance")
	for _, kill := range []bool{true, false} {
		p := start(t, "run", "-c", file)
		p.line("socket ")
		c, err := ring.Open(filepath.Join(ring.DefaultBase, name), "alpha-binance")
		if err != nil {
			t.Fatal(err)
		}
		var live []md.Record
		buf := make([]md.Record, 4096)
		pump := func() {
			for n, err := 1, error(nil); n > 0 && err == nil; {
				n, err = c.Poll(buf)
				live = append(live, buf[:n]...)
			}
		}
		size := func() (n int64) {
			for _, path := range rawRecordings(t, dir, true) {
				if st, err := os.Stat(path); err == nil && strings.Contains(path, ".open.") {
					n = st.Size()
				}
			}
			return n
		}
		first := size()
		for end := time.Now().Add(time.Minute); len(live) < 500 || size() == first || size() < 4<<10; time.Sleep(5 * time.Millisecond) {
			if pump(); time.Now().After(end) {
				t.Fatalf("%d records, %d bytes recorded", len(live), size())
			}
		}
		if kill {
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-p.exited
		} else if code := p.stop(); code != exitDone {
			t.Fatalf("exit %d\n%s", code, p.errors())
		}
		died := time.Now()
		pump()
		c.Close()
		open := len(rawRecordings(t, dir, true)) - len(rawRecordings(t, dir, false))
		if kill && open != 1 || !kill && open != 0 {
			t.Fatalf("killed %v: %d open files", kill, open)
		}
		files := rawRecordings(t, dir, true)
		recordedAgain(t, files[len(files)-1:], live, kill, died)
	}
	if files := rawRecordings(t, dir, false); len(files) != 2 {
		t.Errorf("%v, want the file of the relay that was killed and one more", files)
	}
}

// recordedAgain runs a recording again: the strategy's records are there, in their order,
// and whole but for the end where the recorder was killed.
func recordedAgain(t *testing.T, files []string, live []md.Record, killed bool, died time.Time) {
	t.Helper()
	var out bytes.Buffer
	sum, err := feeds.Normalize(feeds.NormalizeConfig{Records: &out}, files)
	if err != nil || sum.Inexact != "" {
		t.Fatalf("%v %s", err, sum.Inexact)
	}
	recs := make([]md.Record, out.Len()/md.RecordSize)
	copy(md.AsBytes(recs), out.Bytes())
	want, got := numbered(live), numbered(recs)
	// The strategy may have come to its ring after the first records.
	from := 0
	for from < len(got) && got[from] != want[0] {
		from++
	}
	got = got[from:]
	n := min(len(want), len(got))
	if n < 100 || !slices.Equal(want[:n], got[:n]) {
		t.Fatalf("killed %v: %d records live, %d recorded from %d on, and they are not the same", killed, len(want), len(got), from)
	}
	if !killed && len(got) < len(want) {
		t.Errorf("%d records live, %d recorded", len(want), len(got))
	}
	if tail := died.Sub(time.Unix(0, lastRecorded(t, files[0]))); killed && tail > 10*time.Second {
		t.Errorf("the last %s before the kill are missing", tail)
	}
	hash, errs, code := tickrelay(t, append([]string{"normalize", "--hash"}, files...)...)
	if code != exitDone || !strings.HasPrefix(hash, "sha256 ") {
		t.Errorf("exit %d: %s%s", code, hash, errs)
	}
}

// lastRecorded is the time of a recording's last line.
func lastRecorded(t *testing.T, path string) (at int64) {
	t.Helper()
	r, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for l, err := r.Next(); err == nil; l, err = r.Next() {
		at = l.RecvNs
	}
	return at
}
