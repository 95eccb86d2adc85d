package capture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// names lists a folder.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func expectNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

// TestRetainPairs: a capture and its answers are removed together, by the time of the later
// of both; what is still written keeps its answers.
func TestRetainPairs(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, hours := range map[string]int{"a.ndjson": 3, "a.rest.ndjson": 9, "b.ndjson.zst": 2, "b.rest.ndjson.zst": 8,
		"c.open.ndjson": 1, "c.rest.ndjson": 7, "d.rest.ndjson": 4} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, now.Add(-time.Duration(hours)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	retain := func(age time.Duration, size int64, removed int, want ...string) {
		t.Helper()
		n, err := Retain(dir, age, size, now)
		if err != nil || n != removed {
			t.Errorf("removed %d, %v; want %d", n, err, removed)
		}
		expectNames(t, dir, want...)
	}
	retain(0, 400, 1, "a.ndjson", "a.rest.ndjson", "b.ndjson.zst", "b.rest.ndjson.zst", "c.open.ndjson", "c.rest.ndjson")
	retain(0, 399, 2, "b.ndjson.zst", "b.rest.ndjson.zst", "c.open.ndjson", "c.rest.ndjson")
	retain(3*time.Hour, 0, 0, "b.ndjson.zst", "b.rest.ndjson.zst", "c.open.ndjson", "c.rest.ndjson")
	retain(time.Hour, 0, 2, "c.open.ndjson", "c.rest.ndjson")
}

// TestAbandonEmpty: what a disk refuses from the first byte on leaves no file behind, and
// no answers without a capture that refers to them.
func TestAbandonEmpty(t *testing.T) {
	for _, ending := range suffixes {
		dir := t.TempDir()
		line := Line{RecvNs: 1, Frame: []byte("{}")}
		begin := func() *Writer {
			w, err := Create(filepath.Join(dir, "x"+ending))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(&line); err != nil {
				t.Fatal(err)
			}
			return w
		}
		abandon := func(w *Writer, lost int, want ...string) {
			t.Helper()
			if err := w.Flush(); err == nil {
				t.Error("no error")
			}
			if n := w.Abandon(); n != lost {
				t.Errorf("%d lines lost, want %d", n, lost)
			}
			expectNames(t, dir, want...)
		}
		w := begin()
		w.main.file.Close() // from now on it takes nothing
		abandon(w, 1)

		w = begin()
		if _, err := w.Answer(1, "https://h/u", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		w.main.file.Close()
		abandon(w, 1)

		w = begin()
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Answer(1, "https://h/u", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		w.rest.file.Close()
		if err := w.Write(&line); err != nil {
			t.Fatal(err)
		}
		abandon(w, 1, "x"+ending)
		if got := read(t, filepath.Join(dir, "x"+ending)); len(got) != 1 {
			t.Errorf("the capture holds %q", got)
		}
	}
}

// TestFinishLeavesNothing: what was left by a process that died while it finished a file is
// gone after the next time; a file without a whole line is removed.
func TestFinishLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		text string
		cut  int
		want []string
	}{
		{"{\"recv_ns\":1,\"frame\":\"a\"}\n{\"recv_", 2, []string{"x.ndjson"}},
		{"{\"recv_ns\":1,\"frame\":\"a\"}\n", 0, []string{"x.ndjson"}},
		{"{\"recv_", 1, nil},
		{"", 0, nil},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"x.open.ndjson": c.text, ".finish-x.open.ndjson.tmp": strings.Repeat("left\n", 100)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		list, err := Unfinished(dir)
		if err != nil || len(list) != 1 {
			t.Fatalf("unfinished: %q, %v", list, err)
		}
		cut, err := Finish(list[0])
		if err != nil || cut != c.cut {
			t.Errorf("%q: cut %d, %v; want %d", c.text, cut, err, c.cut)
		}
		expectNames(t, dir, c.want...)
		if c.want != nil {
			if got := read(t, filepath.Join(dir, "x.ndjson")); len(got) != 1 {
				t.Errorf("%q: read %q", c.text, got)
			}
		}
	}
	for _, ending := range suffixes {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.open"+ending)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Finish(path); err != nil {
			t.Error(err)
		}
		expectNames(t, dir)
	}
}
