package feeds

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// captureLines writes a capture of envelopes, one per frame, a millisecond
// apart, and returns its name.
func captureLines(t testing.TB, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func enveloped(ns int64, frame string) string {
	return fmt.Sprintf(`{"recv_ns":%d,"frame":%q}`, ns, frame)
}

func normalizeText(t testing.TB, cfg NormalizeConfig, files ...string) (string, Summary, error) {
	t.Helper()
	var out bytes.Buffer
	cfg.Out = &out
	if cfg.Venue == nil {
		cfg.Venue = Binance{}
	}
	sum, err := Normalize(cfg, files)
	return out.String(), sum, err
}

// TestNormalizeJoinsRecordedSnapshots: with addresses, without, asked before and
// after they were recorded.
func TestNormalizeJoinsRecordedSnapshots(t *testing.T) {
	eth := func(s string) string { return strings.Replace(s, "BTCUSDT", "ETHUSDT", 1) }
	frames := []string{
		enveloped(1000, depth(90, 96, `["10","1"]`, ``)),
		enveloped(2000, eth(depth(190, 196, `["10","1"]`, ``))),
		enveloped(3000, depth(97, 98, `["9","1"]`, ``)),
		enveloped(4000, eth(depth(197, 198, `["8","2"]`, ``))),
	}
	rest := func(ns int, url, body string) string {
		return fmt.Sprintf(`{"recv_ns":%d,"url":%q,"body":%q}`, ns, url, body)
	}
	btc, other := restBook(95, `["10","5"]`, `["11","2"]`), restBook(195, `["7","7"]`, `["12","2"]`)
	for _, c := range []struct {
		what    string
		answers []string
	}{
		{"with addresses", []string{rest(500, "https://h/api/v3/depth?symbol=BTCUSDT&limit=5", btc), rest(2500, "https://h/api/v3/depth?symbol=ETHUSDT", other)}},
		{"by content", []string{rest(500, "", other), rest(3500, "", btc)}},
	} {
		dir := t.TempDir()
		path := captureLines(t, dir, "x.ndjson", frames...)
		captureLines(t, dir, "x.rest.ndjson", c.answers...)
		out, sum, err := normalizeText(t, NormalizeConfig{}, path)
		if err != nil || sum.Gaps != 0 || sum.BooksBuilt != 2 {
			t.Errorf("%s: %v\n%s", c.what, err, sum)
		}
		last := map[string]string{}
		for l := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
			_, rest, _ := strings.Cut(l, `"topic":"`)
			topic, _, _ := strings.Cut(rest, `"`)
			last[topic] += l + "\n"
		}
		if b := last["binance.book.BTC-USDT"]; !strings.Contains(b, `"snapshot","bids":[["10","1"]`) || !strings.Contains(b, `["9","1"]`) {
			t.Errorf("%s: %s", c.what, b)
		}
		if b := last["binance.book.ETH-USDT"]; !strings.Contains(b, `"snapshot","bids":[["10","1"],["7","7"]`) && !strings.Contains(b, `"snapshot","bids":[["10","1"],["8","2"],["7","7"]`) {
			t.Errorf("%s: %s", c.what, b)
		}
	}
}

// TestNormalizeBadLines: a broken line is told with its place, nothing else is
// lost; a frame that violates the document is counted.
func TestNormalizeBadLines(t *testing.T) {
	path := captureLines(t, t.TempDir(), "x.ndjson", enveloped(1000, tradeFrame(1, "10", "1")), `{"recv_ns":2000,"frame":`,
		enveloped(3000, `{"e":"trade","s":"BTCUSDT"}`), enveloped(4000, tradeFrame(2, "10", "1")))
	out, sum, err := normalizeText(t, NormalizeConfig{}, path, filepath.Join(t.TempDir(), "missing.ndjson"))
	if n := strings.Count(out, "\n"); n != 2 || sum.Records != 2 || sum.Rejected != 1 || sum.Gaps != 0 {
		t.Errorf("%d lines, %s", n, sum)
	}
	if err == nil || !strings.Contains(err.Error(), path+":2: ") || !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	if !strings.HasPrefix(sum.String(), "frames 3\nrecords 2\nrejected 1\ngaps 0\nchecksums_ok 0\nchecksums_bad 0\nbooks_crossed 0\n") {
		t.Errorf("summary %s", sum)
	}
}

// TestNormalizeConnections: recorded connections and a second file break what
// was live; raw frames need no envelope.
func TestNormalizeConnections(t *testing.T) {
	dir := t.TempDir()
	conn := func(ns int, dir string) string {
		return fmt.Sprintf(`{"recv_ns":%d,"conn":"a","dir":%q,"url":"wss://x"}`, ns, dir)
	}
	in := func(ns int, frame string) string {
		return fmt.Sprintf(`{"recv_ns":%d,"conn":"a","dir":"recv","frame":%q}`, ns, frame)
	}
	one := captureLines(t, dir, "one.ndjson", conn(1, "connect"), in(2, quoteFrame(5, "1", "2")), in(3, tradeFrame(1, "1", "1")),
		`{"recv_ns":4,"conn":"a","dir":"send","frame":"x"}`, conn(5, "connect"), in(6, quoteFrame(6, "1", "2")), in(7, tradeFrame(4, "1", "1")))
	two := captureLines(t, dir, "two.ndjson", quoteFrame(7, "1", "3"), tradeFrame(5, "1", "1"))
	out, sum, err := normalizeText(t, NormalizeConfig{Epoch: 77}, one, two)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for l := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		kind, _, _ := strings.Cut(strings.TrimPrefix(l, `{"type":"`), `"`)
		if strings.Contains(l, `"missed":2`) {
			kind += "2"
		}
		got = append(got, kind)
	}
	if want := "bbo trade gap bbo gap2 trade gap bbo trade"; strings.Join(got, " ") != want || sum.Gaps != 3 {
		t.Errorf("%s, want %s\n%s", strings.Join(got, " "), want, out)
	}
}

func TestNormalizePatterns(t *testing.T) {
	path := captureLines(t, t.TempDir(), "x.ndjson", enveloped(1, quoteFrame(5, "1", "2")), enveloped(2, tradeFrame(1, "1", "1")))
	out, sum, err := normalizeText(t, NormalizeConfig{Patterns: []string{"*.trades.*"}}, path)
	if err != nil || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"trade"`) || sum.Records != 3 {
		t.Errorf("%v %s %s", err, out, sum)
	}
	if _, _, err := normalizeText(t, NormalizeConfig{Patterns: []string{"nonsense"}}, path); err == nil {
		t.Error("a bad pattern was accepted")
	}
	if _, err := Normalize(NormalizeConfig{}, nil); err == nil {
		t.Error("no output was accepted")
	}
}

// TestNormalizeForeignFrames: frames of another dialect, alone or among others.
func TestNormalizeForeignFrames(t *testing.T) {
	usdm := strings.Replace(depth(1, 2, ``, ``), `"U"`, `"pu":0,"U"`, 1)
	for _, lines := range [][]string{
		{enveloped(1, usdm), enveloped(2, tradeFrame(1, "1", "1"))},
		{`{"recv_ns":1,"frame_b64":"q1ZKLUvNK1GyUiouTQ=="}`, `{"recv_ns":2,"frame_b64":"AAAA"}`},
	} {
		path := captureLines(t, t.TempDir(), "x.ndjson", lines...)
		if _, _, err := normalizeText(t, NormalizeConfig{}, path); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", lines[0], err)
		}
	}
}

// FuzzEngineFrame feeds hostile frames to a live engine of each venue: it never
// panics, what it publishes is valid, and it goes on.
func FuzzEngineFrame(f *testing.F) {
	for i, v := range steadyVenues {
		for _, frame := range steadyFrames(v.Spec().Name, 0) {
			f.Add(uint8(i), frame, []byte(`{}`))
		}
	}
	f.Add(uint8(0), []byte(depth(101, 102, `["1e-17","1"],["9e17","1"]`, `["0.5","9e18"]`)), []byte(restBook(102, `["1","1"]`, `["2","0.00000000000000000001"]`)))
	f.Add(uint8(0), []byte(depth(105, 106, ``, ``)), []byte(restBook(104, ``, ``)))
	f.Add(uint8(2), []byte(okxPush("snapshot", "-1", "1", ``, ``, "7")), []byte(`[]`))
	f.Fuzz(func(t *testing.T, venue uint8, frame, rest []byte) {
		v := steadyVenues[int(venue)%len(steadyVenues)]
		r, good := steadyRig(t, v, 2)
		r.eng.cfg.Open = true
		for range 2 {
			_ = r.eng.Frame(0, frame, r.now)
			r.settle()
			r.tick(300_000_000)
			for _, f := range append([]fetching(nil), r.eng.fetches...) {
				r.eng.Snapshot(f.req, rest, nil, r.now)
				r.settle()
			}
		}
		r.disconnect(0)
		r.connect(0)
		for _, g := range good[:4] {
			if err := r.eng.Frame(0, g, r.now); err != nil {
				t.Fatal(err)
			}
			r.settle()
		}
	})
}
