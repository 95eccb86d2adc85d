package soak

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"tickrelay/cmd/chart"
)

// writeMarkdown writes the page of a report.
func (r *Result) writeMarkdown(w io.Writer) error {
	ew := &errWriter{w: w}
	p := func(format string, a ...any) { fmt.Fprintf(ew, format, a...) }
	p("# Soak: %s\n\n%s.\n\n", r.verdict(), r.head())
	p("Simulated exchanges of %d venues, the feeds, the gateway, three strategies and 18 WebSocket clients, each process real, "+
		"with faults injected on the seed. `tickrelay soak --for %s --seed %d --speed %s` runs it again.\n\n", r.Venues, secs(r.Asked), r.Seed, r.speed())
	p("Every reader judges every record: numbers chain or a gap says which do not come, nothing comes twice, no book is crossed, no price " +
		"and size is one that the exchange never sent. Between storms of faults the market stands still until every reader's books equal the " +
		"exchange's, level by level. Memory, descriptors, goroutines and /dev/shm must not grow. Feeds wait as briefly as simulated exchanges allow " +
		"(back-off, rate limits, silence); all that decides what is right is as always. The clock step is one of the feeds' own " +
		"wall clock, forwards and back; the host's clock, which others use too, and the kernel's receive times are not stepped. Coinbase Exchange, Bitstamp and Kraken " +
		"get no update lost or swapped within the exchange: their protocols cannot show it.\n\n")
	p("| what | figure |\n|---|---|\n")
	for _, t := range r.totals() {
		p("| %s | %s |\n", t[0], t[1])
	}
	p("\n")
	for _, x := range r.pictures() {
		p("![%s](img/%s)\n\n", x.name, x.file)
	}
	p("Shaded: the market stands still and every reader's books are compared with the exchanges'. The lowest rows are faults.\n\n")
	p("## What the processes hold\n\nOf the last life of each, without its first quarter (3 minutes at most). Memory is RssAnon, the slope a regression over it; " +
		"descriptors and goroutines are counted at the comparisons, the growth is the median of the last third against the first.\n\n" +
		"| process | lives | judged | memory | slope per hour | descriptors | growth | goroutines | growth |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, h := range r.Processes {
		p("| %s | %d | %s | %.1f MiB | %+.1f ± %.1f MiB | %d | %+.0f | %d | %+.0f |\n", h.Name, h.Lives, judged(h), h.MemoryMiB, h.SlopeMiBh, h.SlopeErr,
			h.FDs, h.FDGrowth, h.Goroutines, h.GoGrowth)
	}
	p("\n## Faults\n\n| fault | times |\n|---|---|\n")
	for _, k := range slices.Sorted(maps.Keys(r.Faults)) {
		p("| %s | %d |\n", k, r.Faults[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.NotRun)) {
		p("| not run: %s | %d |\n", k, r.NotRun[k])
	}
	p("\n## Readers\n\n| process | lives | sessions | records or messages | prices checked | trades | gaps |\n|---|---|---|---|---|---|---|\n")
	for _, name := range readerNames {
		if v := r.Readers[name]; v != nil {
			var gaps []string
			for _, k := range slices.Sorted(maps.Keys(v.Gaps)) {
				gaps = append(gaps, fmt.Sprintf("%s %d", k, v.Gaps[k]))
			}
			p("| %s | %d | %d | %s | %s | %s | %s |\n", name, v.Lives, v.Sessions, count(v.Records), count(v.Checked), count(v.Trades), strings.Join(gaps, ", "))
		}
	}
	if len(r.Violations) > 0 {
		p("\n## Violations\n\n")
		for _, v := range r.Violations {
			p("- %.1f s, %s %s: %s (after %s)\n", v.Into, v.Who, v.Topic, strings.ReplaceAll(v.What, "\n", " "), v.During)
		}
	}
	return ew.err
}

func (r *Result) speed() string {
	if r.Speed == 0 {
		return "max"
	}
	return fmt.Sprint(r.Speed)
}

// errWriter keeps the first error.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(p []byte) (int, error) {
	if e.err == nil {
		_, e.err = e.w.Write(p)
	}
	return len(p), e.err
}

type picture struct {
	name, file string
	svg        []byte
}

// pictures are the plots over the time of the run.
func (r *Result) pictures() []picture {
	late := r.plot("Latency from the receipt at the host", "µs", true)
	late.Lines = []chart.Line{
		r.series("strategies p50", func(x *Sample) float64 { return some(x.Strategies.P50) }),
		r.series("strategies p99", func(x *Sample) float64 { return some(x.Strategies.P99) }),
		r.series("WebSocket clients p50", func(x *Sample) float64 { return some(x.Clients.P50) }),
		r.series("WebSocket clients p99", func(x *Sample) float64 { return some(x.Clients.P99) }),
	}
	rate := r.plot("Market events per second, shown by every venue", "events/s", false)
	rate.Lines = []chart.Line{r.series("market events", func(x *Sample) float64 {
		if x.Calm {
			return math.NaN()
		}
		return x.Rate
	})}
	mem := r.plot("Memory of each process (RssAnon)", "MiB", false)
	fds := r.plot("File descriptors", "", false)
	for _, name := range []string{"feeds", "gateway", "alpha", "beta", "gamma", "clients", "slow clients"} {
		mem.Lines = append(mem.Lines, r.series(name, func(x *Sample) float64 { return some(float64(x.Use[name].Anon) / mib) }))
		fds.Lines = append(fds.Lines, r.series(name, func(x *Sample) float64 { return some(float64(x.Use[name].FDs)) }))
	}
	return []picture{{"latency over time", "soak-latency.svg", late.SVG()}, {"rate over time", "soak-rate.svg", rate.SVG()},
		{"memory over time", "soak-memory.svg", mem.SVG()}, {"file descriptors over time", "soak-fds.svg", fds.SVG()}}
}

// some makes a hole of what was not measured.
func some(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

func (r *Result) series(name string, of func(*Sample) float64) chart.Line {
	l := chart.Line{Name: name}
	for i := range r.Samples {
		l.X, l.Y = append(l.X, r.Samples[i].T), append(l.Y, of(&r.Samples[i]))
	}
	return l
}

// plot is an empty one with the run's faults.
func (r *Result) plot(title, unit string, log bool) *chart.Lines {
	l := &chart.Lines{Title: title, X: "s into the run", Y: unit, Log: log, Bands: r.Calms,
		Lanes: []string{"exchanges", "strategies", "gateway", "feeds", "host"}}
	for _, a := range r.Plan {
		lane := 4
		switch a.Kind {
		case KindExchange, KindRestartExchange:
			lane = 0
		case KindKillStrategy, KindPauseStrategy:
			lane = 1
		case KindKillGateway, KindPauseGateway, KindTakeover, KindKillClients:
			lane = 2
		case KindKillFeeds:
			lane = 3
		}
		if a.Not == "" {
			l.Marks = append(l.Marks, chart.Mark{X: a.Done, Lane: lane, Label: strings.TrimSpace(fmt.Sprintf("%.1f s %s %s %s", a.Done, a.Kind, a.Target, a.Fault))})
		}
	}
	return l
}
