package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// writeMarkdown writes the page of a report.
func (r *Result) writeMarkdown(w io.Writer) error {
	p := &page{w: w}
	p.f("# Soak: %s\n\n%s.\n\n", r.verdict(), r.head())
	p.f("Simulated exchanges of %d venues, the feeds, the gateway, three strategies and 18 WebSocket clients, each kind a process of its own, "+
		"with faults injected on the seed. To run it again:\n\n```\n%s\n```\n\n", r.Venues, r.command())
	p.table([]string{"what", "figure"}, r.totals())
	p.f("## Invariants\n\nEvery reader judges every record and message itself, as it comes. Between storms of faults the market stands still " +
		"and all books are compared. One violation of anything makes the exit code 1. That the soak can fail `--plant` shows: " +
		"one wrong price or side, one wrong level, one lost record, one topic that goes silent, one descriptor, goroutine or MiB that is forgotten every five seconds are each found.\n\n")
	var rows [][]string
	for _, x := range r.Invariants {
		rows = append(rows, []string{x.Name, x.Says, count(x.Checks) + " " + x.Unit, fmt.Sprint(x.Violated)})
	}
	p.table([]string{"invariant", "what always holds", "checked", "violated"}, rows)
	r.violations(p)
	p.f("## Faults\n\n%d of the plan, on the seed. A fault of an exchange happens to all its connections.\n\n", r.faults())
	p.table([]string{"kind", "what happened", "times"}, r.faultRows())
	r.differences(p)
	for _, x := range r.pictures() {
		p.f("![%s](img/%s)\n\n", x.name, x.file)
	}
	p.f("Shaded: the market stands still and every reader's books are compared with the exchanges'. The lowest rows are faults. "+
		"A line has a point per %.0f seconds: the mean of memory, the worst of the rest but medians.\n\n", max(1, r.Seconds/plotPoints))
	r.latencies(p)
	r.holdings(p)
	r.readings(p)
	p.f(limits)
	return p.err
}

// limits says what a soak does not show.
const limits = `## What this does not show

- The exchanges are simulated: that the decoders read the real ones' frames is for recorded frames to show.
- The gateway's history and candles are bounded more tightly than by default, so that they are full before memory is judged.
- Feeds wait as briefly as simulated exchanges allow (back-off, rate limits, silence); all that decides what is right is as always.
- The clock step is one of the feeds' own wall clock, forwards and back. The host's clock, which others use too, and the kernel's receive times are not stepped.
- Coinbase Exchange, Bitstamp and Kraken get no update lost or swapped within the exchange: their protocols cannot show it.
- All processes share one host's processors, readers and exchanges included: latencies are those of a host that is full, not of the relay alone.
- The last second before a reader is killed is judged, but not counted.
`

// command runs the same soak.
func (r *Result) command() string {
	s := fmt.Sprintf("tickrelay soak --for %s --seed %d --speed %s", secs(r.Asked), r.Seed, r.speed())
	if r.Plant != "" {
		s += " --plant " + r.Plant
	}
	return s
}

func (r *Result) violations(p *page) {
	if len(r.Violations) == 0 {
		return
	}
	p.f("### Violations\n\n")
	for _, v := range r.Violations {
		p.f("- %s, %.1f s, %s %s: %s (after %s)\n", v.Invariant, v.Into, v.Who, v.Topic, strings.ReplaceAll(v.What, "\n", " "), v.During)
	}
	p.f("\n")
}

// faultRows are the faults by kind.
func (r *Result) faultRows() [][]string {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		rows = append(rows, []string{faultKind(name), name, fmt.Sprint(r.Faults[name])})
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	of := func(name, reason string) uint64 {
		if v := r.Readers[name]; v != nil {
			return v.Gaps[reason]
		}
		return 0
	}
	rows = append(rows, []string{"slow readers", "5 WebSocket clients that read with pauses, throughout: gaps (overrun) told to them", fmt.Sprint(of(slowClients, "overrun"))})
	if v := r.Readers[slowClients]; v != nil {
		rows = append(rows, []string{"slow readers", "8 WebSocket clients that come and go, throughout: connections", fmt.Sprint(v.Sessions)})
	}
	rows = append(rows, []string{"slow readers", "a strategy with small rings, throughout: gaps (overrun) told to it", fmt.Sprint(of(strategyNames[2], "overrun"))})
	for _, k := range slices.Sorted(maps.Keys(r.NotRun)) {
		rows = append(rows, []string{"not run", k, fmt.Sprint(r.NotRun[k])})
	}
	return rows
}

// faultKind sorts what happened.
func faultKind(name string) string {
	for _, k := range []struct {
		kind  string
		names string
	}{
		{"connections cut", "cut-mid-frame going-away notice refuse restart-exchange"},
		{"connections stalled", "stall silent mute slow-drip"},
		{"data damaged or lost", "garbage huge-frame bad-checksum missing-seq duplicate reorder lose truncate corrupt"},
		{"REST", "rest-error rest-truncated rest-stale rest-429"},
		{"processes killed", "kill-strategy kill-gateway kill-feeds kill-clients"},
		{"processes stopped or replaced", "pause-strategy pause-gateway takeover"},
	} {
		if slices.Contains(strings.Fields(k.names), strings.TrimPrefix(name, KindExchange+": ")) {
			return k.kind
		}
	}
	return "host"
}

// differences tells of the books that did not equal at once.
func (r *Result) differences(p *page) {
	p.f("### Books that did not equal at once\n\nWhere the last update before the comparison is what a fault took away, nobody can know before the next one. " +
		"The market goes on a little then, and all is compared once more. ")
	if len(r.Differences) == 0 {
		p.f("It did not happen.\n\n")
		return
	}
	p.f("%d of %d comparisons had that, with these books:\n\n", r.Repeated, r.Comparisons)
	type key struct {
		topic, fault string
		at           float64
	}
	seen := map[key][]string{}
	var order []key
	for _, d := range r.Differences {
		k := key{d.Topic, d.Fault, math1(d.Into - d.Ago)}
		if seen[k] == nil {
			order = append(order, k)
		}
		if !slices.Contains(seen[k], d.Who) {
			seen[k] = append(seen[k], d.Who)
		}
	}
	var rows [][]string
	for _, k := range order[:min(len(order), 40)] {
		fault := "**none**"
		if k.fault != "" {
			fault = fmt.Sprintf("%s at %.0f s", k.fault, k.at)
		}
		rows = append(rows, []string{k.topic, fault, strings.Join(seen[k], ", ")})
	}
	p.table([]string{"book", "fault that took its last update", "readers"}, rows)
}

func math1(v float64) float64 { return round(v, 0) }

// latencies is a table of stages over the whole run.
func (r *Result) latencies(p *page) {
	p.f("## Latency per stage\n\nThe first three are the relay's own metrics, read every %s as Prometheus would (buckets that double: within some 20 %%); the others are the readers'. Readings of the feeds while their clock was stepped are left out. "+
		"Medians and worst of the readings outside comparisons.\n\n", scrapeEvery)
	var rows [][]string
	for _, name := range stageNames {
		var a, b []float64
		var n uint64
		for _, x := range r.Stages {
			if x.Name == name {
				a, b, n = append(a, x.P50), append(b, x.P99), n+x.Count
			}
		}
		if len(a) > 0 {
			rows = append(rows, []string{stageSays(name), us(median(a)), us(median(b)), us(slices.Max(b)), count(n)})
		}
	}
	for _, x := range []struct {
		name string
		of   func(*Sample) latency
	}{{"receipt at the host → a strategy's record, the slower of alpha and beta", func(x *Sample) latency { return x.Strategies }},
		{"receipt at the host → a WebSocket client's message", func(x *Sample) latency { return x.Clients }}} {
		p50, p99, worst := r.lateness(x.of)
		n := int64(0)
		for i := range r.Samples {
			n += x.of(&r.Samples[i]).Count
		}
		rows = append(rows, []string{x.name, us(p50), us(p99), us(worst), count(uint64(n))})
	}
	p.table([]string{"stage", "p50", "p99", "worst p99 of a reading", "events"}, rows)
}

func stageSays(name string) string {
	switch name {
	case "receive":
		return "exchange's time of the event → receipt at the host (`tickrelay_receive_seconds`)"
	case "publish":
		return "receipt → all rings (`tickrelay_publish_seconds`)"
	}
	return "receipt → all sockets of clients that keep up (`tickrelay_deliver_seconds`)"
}

// holdings is the table of what processes hold.
func (r *Result) holdings(p *page) {
	p.f("## What the processes hold\n\nOf the last life of each, without its first quarter (3 minutes at most). Memory is RssAnon; slopes are regressions over that life with their standard errors; "+
		"descriptors and goroutines are counted at the comparisons, their growth is the median of the last third against that of the first. "+
		"Judged: memory of lives of four minutes and more, a slope above three errors, above %.0f MiB + a quarter of the memory per hour, with more than %.0f MiB + a twentieth in the last third than in the second, for one step is no leak; of feeds and gateway what is alive after collections, by the same bound; "+
		"any growth of descriptors that are no socket, more than %d of all, more than %d goroutines.\n\n", slackMiB(0), lateSlack(0), fdSlack, goSlack)
	var rows [][]string
	for _, h := range r.Processes {
		rows = append(rows, []string{h.Name, fmt.Sprint(h.Lives), judged(h), fmt.Sprintf("%.1f MiB", h.MemoryMiB), fmt.Sprintf("%+.1f ± %.1f MiB/h", h.SlopeMiBh, h.SlopeErr), fmt.Sprintf("%+.1f MiB", h.LateMiB), alive(h),
			fmt.Sprintf("%d, %d no sockets", h.FDs, h.Files), fmt.Sprintf("%+.1f ± %.1f /h", h.FDSlope, h.FDSlopeErr), fmt.Sprintf("%+.0f, %+.0f", h.FDGrowth, h.FileGrowth),
			fmt.Sprint(h.Goroutines), fmt.Sprintf("%+.0f", h.GoGrowth)})
	}
	p.table([]string{"process", "lives", "judged", "memory", "slope", "last third", "alive", "descriptors", "slope", "growth: all, no sockets", "goroutines", "growth"}, rows)
	p.f("The exchanges are no part of the relay and not judged.\n\n")
}

// alive says what collections left, where it is known.
func alive(h Holding) string {
	if h.HeapMiB == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f MiB, %+.1f", h.HeapMiB, h.HeapLateMiB)
}

// readings is the table of readers.
func (r *Result) readings(p *page) {
	p.f("## Readers\n\n")
	var rows [][]string
	for _, name := range readerNames {
		if v := r.Readers[name]; v != nil {
			var gaps []string
			for _, k := range slices.Sorted(maps.Keys(v.Gaps)) {
				gaps = append(gaps, fmt.Sprintf("%s %s", k, count(v.Gaps[k])))
			}
			rows = append(rows, []string{name, fmt.Sprint(v.Lives), fmt.Sprint(v.Sessions), count(v.Records), count(v.Trades), strings.Join(gaps, ", ")})
		}
	}
	p.table([]string{"process", "lives", "sessions", "records or messages", "trades", "gaps told"}, rows)
}

// page writes Markdown and keeps the first error.
type page struct {
	w   io.Writer
	err error
}

func (p *page) f(format string, a ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, a...)
	}
}

func (p *page) table(head []string, rows [][]string) {
	p.f("| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		p.f("| %s |\n", strings.ReplaceAll(strings.Join(r, " | "), "\n", " "))
	}
	p.f("\n")
}

func (r *Result) speed() string {
	if r.Speed == 0 {
		return "max"
	}
	return fmt.Sprint(r.Speed)
}
