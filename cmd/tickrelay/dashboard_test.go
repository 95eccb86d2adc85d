package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"tickrelay/relay/bus/natsserver"
)

const (
	dashboardFile = repoRoot + "/deploy/grafana/dashboards/tickrelay.json"
	rulesFile     = repoRoot + "/deploy/prometheus/rules.yml"
)

// panelQuery is one query of the dashboard.
type panelQuery struct{ panel, expr string }

// dashboardQueries reads every query of the dashboard, with its variables at All and
// the range that suits a scrape each second.
func dashboardQueries(t *testing.T) (out []panelQuery) {
	t.Helper()
	data, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	vars := strings.NewReplacer("$__rate_interval", "10s", "$instance", ".*", "$feed", ".*")
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			out = append(out, panelQuery{p.Title, vars.Replace(q.Expr)})
		}
	}
	return out
}

// alertRule is one alert.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alertRules(t *testing.T) (out []alertRule) {
	t.Helper()
	data, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Groups []struct {
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	for _, g := range f.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

var (
	selector = regexp.MustCompile(`\b(tickrelay_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
)

// knownMetrics wants every metric of an expression declared, with the labels that the
// expression selects by.
func knownMetrics(t *testing.T, where, expr string, declared map[string]metricDef) (n int) {
	t.Helper()
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		n++
		d, ok := declared[m[1]]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, has := strings.CutSuffix(m[1], suffix); has && !ok {
				d, ok = declared[base]
			}
		}
		if !ok {
			t.Errorf("%s: %s is not exported", where, m[1])
			continue
		}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(d.labels, l[1]) && l[1] != "instance" && l[1] != "job" {
				t.Errorf("%s: %s has no label %s, it has %q", where, m[1], l[1], d.labels)
			}
		}
	}
	return n
}

// TestDashboardNames holds dashboard and alerts to the metrics that the source declares.
func TestDashboardNames(t *testing.T) {
	declared := declaredMetrics(t)
	n := 0
	for _, q := range dashboardQueries(t) {
		n += knownMetrics(t, "panel "+q.panel, q.expr, declared)
	}
	rules := alertRules(t)
	for _, r := range rules {
		n += knownMetrics(t, "alert "+r.Alert, r.Expr, declared)
		if r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
			t.Errorf("alert %s does not say what is wrong and what to do", r.Alert)
		}
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("alert %s: severity %q, want page or ticket", r.Alert, s)
		}
		for _, word := range regexp.MustCompile(`tickrelay_[a-z0-9_]+`).FindAllString(r.Annotations["action"], -1) {
			if _, ok := declared[word]; !ok {
				t.Errorf("alert %s names %s, which is not exported", r.Alert, word)
			}
		}
	}
	if n < 80 || len(rules) < 20 {
		t.Errorf("only %d metrics in %d rules and the dashboard", n, len(rules))
	}
}

// promtool runs Prometheus' own checks, or skips.
func promtool(t *testing.T, stdin *os.File, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool (Debian: prometheus)")
	}
	cmd := exec.Command(path, args...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "tickrelay_") && stdin != nil {
		t.Errorf("promtool %s: %v\n%s", args, err, out)
	}
}

func TestPromtool(t *testing.T) {
	dir := repoRoot + "/deploy/prometheus/"
	promtool(t, nil, "check", "config", dir+"prometheus.yml")
	promtool(t, nil, "check", "rules", dir+"rules.yml")
	promtool(t, nil, "test", "rules", dir+"rules_test.yml")
}

// overTheBus are two relays beside the demo: one that publishes to NATS and records, as
// Parquet and raw, and a gateway that serves what comes over the bus and replays. It
// returns their pages.
func overTheBus(t *testing.T) []string {
	t.Helper()
	nats, err := natsserver.Start(natsserver.Config{Name: "one", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nats.Stop)
	srv := exchange(t, 100)
	dir, id := t.TempDir(), fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	records := filepath.Join(dir, "records")
	in := writeFile(t, "in.yaml", fmt.Sprintf(`
relay: in-%s
listen: %s
socket: %s/in
feeds: [{venue: binance, url: %s, rest: %s, instruments: ["BTC-USDT"], channels: [trades, book]}]
record: {dir: %s}
record_raw: {dir: %s}
bus: {nats: {url: %s, stream: ticks, lease: 1s}}
`, id, freePort(t), dir, srv.URL(), srv.REST(), records, filepath.Join(dir, "raw"), nats.URL()))
	out := writeFile(t, "gw.yaml", fmt.Sprintf(`
relay: gw-%s
listen: %s
socket: %s/gw
replay: {dir: %s}
bus: {nats: {url: %s, stream: ticks, subscribe: ["binance.>"]}}
`, id, freePort(t), dir, records, nats.URL()))
	return []string{start(t, "run", "-c", in).line("page "), start(t, "run", "-c", out).line("page ")}
}

// realPrometheus runs a real one that scrapes the relays, and returns its address.
func realPrometheus(t *testing.T, pages ...string) string {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus")
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var relays []string
	for _, p := range pages {
		relays = append(relays, strings.Trim(strings.TrimPrefix(p, "http://"), "/"))
	}
	dir, listen := t.TempDir(), freePort(t)
	config := writeFile(t, "prometheus.yml", strings.NewReplacer("RULES", rules, "RELAYS", strings.Join(relays, ", ")).Replace(
		`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["RULES"]
scrape_configs:
  - job_name: tickrelay
    static_configs: [{targets: [RELAYS]}]
`))
	startCommand(t, exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+dir, "--web.listen-address="+listen, "--log.level=warn"))
	return "http://" + listen
}

// ask evaluates an expression and returns how many series it has.
func ask(t *testing.T, server, expr string) (series int, problem string) {
	t.Helper()
	resp, err := http.Get(server + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var a struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return 0, err.Error()
	}
	for _, r := range a.Data.Result {
		if r.Value[1] != "NaN" {
			series++
		}
	}
	return series, a.Error
}

// queriesAnswered waits until each query of the dashboard has something to show, and
// wants no page of a relay that is well.
func queriesAnswered(t *testing.T, server string) {
	t.Helper()
	left := dashboardQueries(t)
	all := len(left)
	deadline := time.Now().Add(90 * time.Second)
	for len(left) > 0 {
		var rest []panelQuery
		why := ""
		for _, q := range left {
			n, problem := ask(t, server, q.expr)
			if n == 0 {
				rest, why = append(rest, q), problem
			}
		}
		if left = rest; len(left) > 0 && time.Now().After(deadline) {
			t.Fatalf("%d of %d queries have nothing to show (%s): %q", len(left), all, why, left)
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Logf("%d queries of the dashboard have something to show", all)
	for _, r := range alertRules(t) {
		if _, problem := ask(t, server, r.Expr); problem != "" {
			t.Errorf("alert %s: %s", r.Alert, problem)
		}
	}
	if n, _ := ask(t, server, `ALERTS{severity="page",alertstate="firing",alertname!="TickrelayShmFull"}`); n > 0 {
		t.Errorf("%d pages of a relay that is well", n)
	}
}
