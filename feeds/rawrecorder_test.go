package feeds

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/feeds/capture"
	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// recordedLines reads a recording: the lines that are not its own marks, and what these
// say is lost.
func recordedLines(t *testing.T, files []string) (lines, lost uint64) {
	t.Helper()
	for _, path := range files {
		r, err := capture.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for {
			l, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			switch l.Dir {
			case capture.Session:
			case capture.Lost:
				var n capture.LostNote
				if err := json.Unmarshal(l.Data, &n); err != nil {
					t.Fatal(err)
				}
				lost += n.Frames
			default:
				lines++
			}
		}
		r.Close()
	}
	return lines, lost
}

// TestRawRecorderDiskFull: while the disk is full the feed goes on as before; each line that
// is in no file is counted, and the recording says where how many are missing.
func TestRawRecorderDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a small file system can be mounted by root only")
	}
	disk := t.TempDir()
	if err := unix.Mount("tickrelay-test", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no small file system here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(disk, unix.MNT_DETACH) })
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 192<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	rec, err := RecordRaw(r.feed, RawConfig{Dir: disk, Compress: "none", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	stop := runFeed(t, r.feed)
	took := uint64(0)
	pump := func() {
		for {
			ok, err := rec.journal.Next(func(l *capture.Line, body []byte) {
				if l.Dir != capture.Session {
					took++
				}
				rec.line(l, body)
			})
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
		}
		rec.flush()
		r.seen.pump()
	}
	st := rec.Stats()
	wait := func(what string, cond func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s: %d lines, %d lost", what, st.Lines.Load(), st.Lost.Load())
			}
			pump()
		}
	}
	wait("a full disk", func() bool { return st.Failing.Load() && st.Lost.Load() > 50 })
	rest, err := os.OpenFile(filler, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil { // what the failure has freed
		_, err = rest.Write(make([]byte, 512))
	}
	rest.Close()
	frames := r.feed.Stats().Frames.Load()
	wait("more frames", func() bool {
		rec.retryAt = time.Time{}
		return r.feed.Stats().Frames.Load() > frames+50
	})
	for _, path := range recordingsOf(t, disk, "okx") {
		if in, err := os.Stat(path); err != nil || in.Size() == 0 {
			t.Errorf("%s: an attempt that failed left nothing but its name (%v)", path, err)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	wait("the recording to go on", func() bool {
		rec.retryAt = time.Time{}
		return !st.Failing.Load()
	})
	stop()
	pump()
	rec.close()
	lines, marked := recordedLines(t, recordingsOf(t, disk, "okx"))
	if lost := st.Lost.Load(); lines+lost != took || marked != lost {
		t.Errorf("%d lines noted; %d are in the files, %d lost, %d marked as lost", took, lines, lost, marked)
	}
	for _, want := range []string{"raw recording interrupted", "raw recording goes on"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("want %q once in the log:\n%s", want, log.String())
		}
	}
}

// TestRawRecorderKeeps: beyond the bounds the oldest finished files go, a file that is
// written stays.
func TestRawRecorderKeeps(t *testing.T) {
	r := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	dir := t.TempDir()
	rec, err := RecordRaw(r.feed, RawConfig{Dir: dir, Compress: "none", KeepAge: time.Hour, KeepBytes: 3000})
	if err != nil {
		t.Fatal(err)
	}
	age := map[string]time.Duration{"a.ndjson": 2 * time.Hour, "b.rest.ndjson": 30 * time.Minute, "c.ndjson": 20 * time.Minute,
		"d.ndjson": 10 * time.Minute, "e.open.ndjson": 3 * time.Hour, "notes.txt": 3 * time.Hour}
	for name, d := range age {
		path := filepath.Join(dir, "okx", name)
		if err := os.WriteFile(path, make([]byte, 1200), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-d)); err != nil {
			t.Fatal(err)
		}
	}
	rec.next(time.Now().UnixNano())
	rec.close()
	for name, want := range map[string]bool{"a.ndjson": false, "b.rest.ndjson": false, "c.ndjson": true, "d.ndjson": true, "e.open.ndjson": true, "notes.txt": true} {
		if _, err := os.Stat(filepath.Join(dir, "okx", name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := rec.Stats().Removed.Load(); n != 2 {
		t.Errorf("%d removed, want 2", n)
	}
}

// TestRawRecorderReselected: a file that is begun after a reload says what is selected now,
// so that it can be run without those before it.
func TestRawRecorderReselected(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	rec, err := RecordRaw(r.feed, RawConfig{Dir: dir, Compress: "none"})
	if err != nil {
		t.Fatal(err)
	}
	symbol := r.market.Symbols()[1]
	if err := r.feed.Reselect([]string{symbol}, []md.Channel{md.ChannelTrades}); err != nil {
		t.Fatal(err)
	}
	if err := r.feed.Reselect([]string{"*"}, []md.Channel{md.ChannelSignals}); err == nil {
		t.Fatal("a channel that the venue does not have was taken")
	}
	if _, err := rec.pump(); err != nil {
		t.Fatal(err)
	}
	rec.next(rec.until)
	rec.close()
	files := recordingsOf(t, dir, "okx")
	if len(files) != 2 {
		t.Fatalf("files %q", files)
	}
	f, err := capture.Open(files[1])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	h, err := header(&line)
	if err != nil {
		t.Fatal(err)
	}
	if e := h.Engine; h.Part != 2 || !slices.Equal(e.Instruments, []string{symbol}) || !slices.Equal(e.Channels, []string{"trades"}) {
		t.Errorf("part %d, instruments %q, channels %q", h.Part, e.Instruments, e.Channels)
	}
}

// TestRawRecorderCutLine: what a recorder that was killed left behind gets its name at the
// next start, without the line that was cut, which the log names.
func TestRawRecorderCutLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "okx"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"ts_recv_ns":1,"dir":"recv","frame":"a"}` + "\n" + `{"ts_recv_ns":2,"dir":"recv","frame":"b"}` + "\n" + `{"ts_recv_ns":3,"di`)
	if err := os.WriteFile(filepath.Join(dir, "okx", "x.open.ndjson"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	if _, err := RecordRaw(r.feed, RawConfig{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	if n, _ := recordedLines(t, []string{filepath.Join(dir, "okx", "x.ndjson")}); n != 2 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(log.String(), "its last line was cut") || !strings.Contains(log.String(), "line=3") {
		t.Errorf("the cut line is not named:\n%s", log.String())
	}
}
