package capture

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// write makes a capture file, compressed as its name says.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var b bytes.Buffer
	var w io.WriteCloser
	switch filepath.Ext(name) {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".zst":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		b.WriteString(text)
	}
	if w != nil {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// read returns one string per line or error of a capture.
func read(t testing.TB, path string) (all []string) {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		l, err := r.Next()
		var bad *Error
		switch {
		case err == io.EOF:
			return all
		case errors.As(err, &bad):
			all = append(all, "error "+strings.TrimPrefix(bad.Error(), filepath.Dir(path)+"/"))
		case err != nil:
			t.Fatalf("%v is no *Error", err)
		default:
			all = append(all, fmt.Sprintf("%d: %d %q %d %s %q %v", l.LineNo, l.RecvNs, l.Conn, l.Dir, l.URL, l.Frame, l.Binary))
		}
	}
}

func TestReader(t *testing.T) {
	const text = `{"recv_ns":5,"conn":"a","dir":"connect","url":"wss://x/y"}
{"recv_ns":6,"conn":"a","dir":"send","frame":"{\"op\":\"subscribe\"}"}

{"recv_ns":7,"conn":"a","dir":"recv","frame":"{\"e\":\"trade\",\"p\":\"0.10\"}"}
  {"recv_ns":8,"frame_b64":"AAEC/w=="}
{"e":"trade","recv":1}
[1,"hb"]
{"recv_ns":9,"dir":"close"}
{"recv_ns":10,"dir":"note","frame":"what"}
`
	want := []string{
		`1: 5 "a" 2 wss://x/y "" false`,
		`2: 6 "a" 1  "{\"op\":\"subscribe\"}" false`,
		`4: 7 "a" 0  "{\"e\":\"trade\",\"p\":\"0.10\"}" false`,
		`5: 8 "" 0  "\x00\x01\x02\xff" true`,
		`6: 8 "" 0  "{\"e\":\"trade\",\"recv\":1}" false`,
		`7: 8 "" 0  "[1,\"hb\"]" false`,
		`8: 9 "" 3  "" false`,
		`9: 10 "" 4  "what" false`,
	}
	for _, name := range []string{"x.ndjson", "x.ndjson.gz", "x.ndjson.zst"} {
		for _, text := range []string{text, strings.TrimSuffix(text, "\n"), strings.ReplaceAll(text, "\n", "\r\n")} {
			got := read(t, write(t, name, text))
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// TestReaderErrors: a broken line is told with its place, the others are read.
func TestReaderErrors(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`{"recv_ns":1,"frame":"a`, "not JSON"},
		{`{"recv_ns":"1","frame":"a"}`, "envelope"},
		{`{"recv_ns":1,"frame":5}`, "envelope"},
		{`{"recv_ns":1,"frame_b64":"*"}`, "frame_b64"},
		{`{"recv_ns":-1,"frame":"a"}`, "before 1970"},
		{`{"recv_ns":1}`, "without frame"},
		{"\xff\xfe", "not UTF-8"},
		{`nonsense`, "not JSON"},
	} {
		got := read(t, write(t, "x.ndjson", "{\"recv_ns\":1,\"frame\":\"x\"}\n"+c.line+"\n{\"recv_ns\":2,\"frame\":\"y\"}\n"))
		if len(got) != 3 || !strings.Contains(got[2], `"y"`) {
			t.Errorf("%s: the other lines: %v", c.line, got)
			continue
		}
		if !strings.HasPrefix(got[1], "error x.ndjson:2: ") || !strings.Contains(got[1], c.want) {
			t.Errorf("%s: %s, want an error with %q", c.line, got[1], c.want)
		}
	}
}

// TestReaderTruncated: a file that was cut is read up to there.
func TestReaderTruncated(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "{\"recv_ns\":%d,\"frame\":\"%d\"}\n", i, i*i*7919)
	}
	for _, name := range []string{"x.ndjson.gz", "x.ndjson.zst"} {
		path := write(t, name, text.String())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b[:len(b)-20], 0o644); err != nil {
			t.Fatal(err)
		}
		got := read(t, path)
		if n := len(got); n == 0 || !strings.Contains(got[n-1], "cannot read on") {
			t.Errorf("%s: %d lines, the last %q", name, n, got[max(0, n-1)])
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none.ndjson")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "x.ndjson.gz")
	if err := os.WriteFile(path, []byte("no gzip"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no gzip: %v", err)
	}
}

func TestREST(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"x.ndjson.gz", "x.rest.ndjson", "y.ndjson"} {
		text := `{"recv_ns":4,"url":"https://h/depth?symbol=A","body":"{\"a\":[1]}"}
{"body":{"b":2}}
{"recv_ns":5,"url":"u"}
broken
{"recv_ns":6,"body":"c"}`
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := RESTFile(filepath.Join(dir, "x.ndjson.gz"))
	if filepath.Base(path) != "x.rest.ndjson" || RESTFile(filepath.Join(dir, "y.ndjson")) != "" || RESTFile(path) != "" {
		t.Fatalf("REST file is %q", path)
	}
	all, err := ReadREST(path)
	if err == nil || !strings.Contains(err.Error(), "x.rest.ndjson:3: ") || !strings.Contains(err.Error(), "x.rest.ndjson:4: ") {
		t.Errorf("errors: %v", err)
	}
	var got []string
	for _, a := range all {
		got = append(got, fmt.Sprintf("%d %d %s %s", a.LineNo, a.RecvNs, a.URL, a.Body))
	}
	if want := `1 4 https://h/depth?symbol=A {"a":[1]}|2 0  {"b":2}|5 6  c`; strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

// FuzzParseLine: whatever a line holds, it is a frame or an error, and an
// envelope's frame is what was put in.
func FuzzParseLine(f *testing.F) {
	for _, s := range []string{`{"recv_ns":1,"frame":"a"}`, `{"recv_ns":1,"frame_b64":"AA=="}`, `{"recv_ns":1,"dir":"connect","url":"u"}`,
		`{"e":"trade"}`, `[1,2]`, `"x"`, `{"recv_ns":1e3,"frame":"a"}`, "\xff", `{"recv_ns":1,"frame":"\ud800"}`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLine(b, 7)
		if err != nil {
			return
		}
		if l.Dir == Recv && l.Frame == nil {
			t.Fatalf("%q: no frame and no error", b)
		}
		if l.RecvNs < 0 || l.Dir > Other {
			t.Fatalf("%q: %+v", b, l)
		}
		if _, err := parseAnswer(b); err == nil && len(b) == 0 {
			t.Fatal("an answer out of nothing")
		}
	})
}
