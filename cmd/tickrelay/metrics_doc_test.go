package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

var updateMetrics = flag.Bool("update-metrics", false, "rewrite docs/metrics.md")

// exported is one metric as /metrics shows it.
type exported struct {
	help, kind string
	labels     []string
	samples    int
}

var sampleLine = regexp.MustCompile(`^([a-z0-9_]+)(?:\{(.*)\})? \S+$`)
var labelName = regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`)

// scrape reads a relay's metrics in the text format.
func scrape(t *testing.T, url string) map[string]*exported {
	t.Helper()
	out := map[string]*exported{}
	for line := range strings.Lines(fetch(t, url)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			out[name] = &exported{help: help}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			out[name].kind = kind
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a sample: %s", line)
		}
		e := out[m[1]]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(m[1], suffix); ok && e == nil {
				e = out[base]
			}
		}
		if e == nil {
			t.Fatalf("a sample without HELP: %s", line)
		}
		e.samples++
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" && !slices.Contains(e.labels, l[1]) {
				e.labels = append(e.labels, l[1])
			}
		}
	}
	return out
}

// liveDemo is a real relay with a WebSocket client that reads everything, until the
// test ends. It returns the gateway's address.
func liveDemo(t *testing.T) (page string) {
	t.Helper()
	d := start(t, "demo", "--listen", "127.0.0.1:0", "--rate", "200")
	page = d.line("page ")
	waitFlowing(t, page)
	conn, _, _, err := ws.Dial(t.Context(), strings.Replace(page, "http", "ws", 1)+"ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := wsutil.WriteClientText(conn, []byte(`{"op":"subscribe","id":1,"topics":["*.trades.*","*.book.*","*.bbo.*"]}`)); err != nil {
		t.Fatal(err)
	}
	got := make(chan struct{})
	go func() {
		for first := true; ; {
			text, err := wsutil.ReadServerText(conn)
			if err != nil {
				return
			}
			var m struct{ Type string }
			if json.Unmarshal(text, &m) == nil && m.Type == "trade" && first {
				close(got)
				first = false
			}
		}
	}()
	select {
	case <-got:
	case <-time.After(30 * time.Second):
		t.Fatal("no trade came")
	}
	return page
}

// TestMetrics looks at the metrics of a real relay, and at what a real Prometheus makes
// of them.
func TestMetrics(t *testing.T) {
	page := liveDemo(t)
	t.Run("docs", func(t *testing.T) { metricsDocumented(t, page) })
	t.Run("promtool", func(t *testing.T) {
		f, err := os.Open(writeFile(t, "metrics", fetch(t, page+"metrics")))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		promtool(t, f, "check", "metrics")
	})
	t.Run("prometheus", func(t *testing.T) { queriesAnswered(t, realPrometheus(t, append(overTheBus(t), page)...)) })
}

// fetch returns what an address answers.
func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return string(body)
}

// metricsDocumented holds the metrics really exported to those that the source declares
// and to docs/metrics.md; with -update-metrics it writes the page.
func metricsDocumented(t *testing.T, page string) {
	declared := declaredMetrics(t)
	live := scrape(t, page+"metrics")
	kinds := map[string]string{}
	for name, e := range live {
		if !strings.HasPrefix(name, "tickrelay_") {
			continue
		}
		kinds[name] = e.kind
		d, ok := declared[name]
		if !ok {
			t.Errorf("%s is exported and not found in the source", name)
			continue
		}
		if d.help != e.help || !slices.Equal(slices.Sorted(slices.Values(d.labels)), slices.Sorted(slices.Values(e.labels))) {
			t.Errorf("%s: exported with %q %q, declared with %q %q", name, e.help, e.labels, d.help, d.labels)
		}
	}
	if len(kinds) < 100 {
		t.Fatalf("only %d metrics are exported", len(kinds))
	}
	for name, d := range declared {
		if kinds[name] == "" { // what only some configurations export
			kinds[name] = "gauge"
			if strings.HasSuffix(name, "_total") {
				kinds[name] = "counter"
			} else if strings.HasSuffix(name, "_seconds") && !strings.HasSuffix(name, "_timestamp_seconds") {
				t.Errorf("%s (%s) may be a histogram: let the demo export it", name, d.file)
			}
		}
		wellNamed(t, name, kinds[name], d)
	}
	text := metricsPage(declared, kinds)
	path := filepath.Join(repoRoot, "docs/metrics.md")
	if *updateMetrics {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, text) {
		t.Errorf("docs/metrics.md is stale: go test ./cmd/tickrelay -run TestMetrics/docs -update-metrics")
	}
}

var metricName = regexp.MustCompile(`^tickrelay_[a-z][a-z0-9_]*[a-z0-9]$`)

// wellNamed wants base units and Prometheus' suffixes.
func wellNamed(t *testing.T, name, kind string, d metricDef) {
	t.Helper()
	total := strings.HasSuffix(name, "_total")
	switch {
	case !metricName.MatchString(name):
		t.Errorf("%s: %s is no good name", d.file, name)
	case total != (kind == "counter"):
		t.Errorf("%s: %s is a %s: _total is for counters, and all of them", d.file, name, kind)
	case regexp.MustCompile(`_(ms|us|ns|milliseconds|micros|nanos|kb|mb|kib|mib|percent)(_|$)`).MatchString(name):
		t.Errorf("%s: %s is not in a base unit (seconds, bytes, ratio)", d.file, name)
	case len(d.help) < 5 || !strings.HasSuffix(d.help, "."):
		t.Errorf("%s: the help of %s is no sentence: %q", d.file, name, d.help)
	}
}

// metricGroups are the parts of the page, by the first word of the name.
var metricGroups = []struct{ title, words string }{
	{"Stages of an event's way", "receive publish deliver"},
	{"Feeds", "feed"},
	{"Lines: a feed's connections", "line"},
	{"Rings", "ring shm"},
	{"The gateway's hub", "hub resumed replayed history candle candles"},
	{"The gateway's clients", "accepted refused heads ws http tls reloads raw"},
	{"The recorder", "record"},
	{"Replays of the past", "replay replays"},
	{"The bus", "bus"},
	{"Configuration and control socket", "config control"},
	{"Process and host", "build clock dpdk xdp"},
}

func metricsPage(declared map[string]metricDef, kinds map[string]string) []byte {
	b := []byte(`# Metrics

Written from the code by ` + "`go test ./cmd/tickrelay -run TestMetrics/docs -update-metrics`" + `. The gateway serves them at ` + "`/metrics`" + `, a process with ` + "`--feeds-only`" + ` at the address ` + "`metrics`" + ` of its configuration. Names, units and labels are stable; seconds, bytes and records are never scaled. Every reason of a refusal, a loss or an end is exported at zero from the start; histograms appear with a channel's first event. Beside these there are the usual ` + "`go_…`" + ` and ` + "`process_…`" + `.

` + "`tickrelay_receive_seconds`, `tickrelay_publish_seconds` and `tickrelay_deliver_seconds`" + ` are the stages of an event's way. All three share their buckets, from 1 µs doubling to 34 s. The first compares the venue's clock with this host's and is wrong by the error of both; ` + "`tickrelay_clock_error_bound_seconds`" + ` is the host's. The third begins at reception too, since that is the time that a record carries, and so contains the second.

Alert rules and a dashboard are in ` + "`deploy/`" + `, see [deploy](deploy.md).
`)
	left := slices.Sorted(maps.Keys(declared))
	group := func(title string, in func(word string) bool) {
		var rest []string
		head := true
		for _, name := range left {
			word, _, _ := strings.Cut(strings.TrimPrefix(name, "tickrelay_"), "_")
			if !in(word) {
				rest = append(rest, name)
				continue
			}
			if head {
				b = fmt.Appendf(b, "\n## %s\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n", title)
				head = false
			}
			d := declared[name]
			b = fmt.Appendf(b, "| `%s` | %s | %s | %s |\n", name, kinds[name], strings.Join(d.labels, ", "), strings.ReplaceAll(d.help, "|", "\\|"))
		}
		left = rest
	}
	for _, g := range metricGroups {
		group(g.title, func(word string) bool { return slices.Contains(strings.Fields(g.words), word) })
	}
	group("Others", func(string) bool { return true })
	return b
}
