package soak

import (
	"math"
	"slices"

	"tickrelay/cmd/chart"
)

// plotPoints is how many points a line of a picture has at most.
const plotPoints = 300

type picture struct {
	name, file string
	svg        []byte
}

// pictures are the plots over the time of the run.
func (r *Result) pictures() []picture {
	var out []picture
	add := func(name, file string, l *chart.Lines) { out = append(out, picture{name, file, l.SVG()}) }
	for _, q := range []struct {
		name string
		p99  bool
	}{{"median", false}, {"p99", true}} {
		l := r.plot("Latency per stage, "+q.name, "µs", true)
		for _, name := range stageNames {
			l.Lines = append(l.Lines, r.stageLine(name, q.p99))
		}
		sum, of := median, func(x latency) float64 { return x.P50 }
		if q.p99 {
			sum, of = slices.Max[[]float64], func(x latency) float64 { return x.P99 }
		}
		l.Lines = append(l.Lines, r.series("strategies", sum, func(x *Sample) float64 { return some(of(x.Strategies)) }),
			r.series("WebSocket clients", sum, func(x *Sample) float64 { return some(of(x.Clients)) }))
		add("latency per stage, "+q.name+", over time", "soak-latency-"+q.name+".svg", l)
	}
	rate := r.plot("Market events per second, each shown by all its venues; thousands of records judged per second", "1/s", true)
	last := uint64(0)
	rate.Lines = []chart.Line{r.series("market events", average, func(x *Sample) float64 {
		if x.Calm {
			return math.NaN()
		}
		return x.Rate
	}), r.series("thousands of records judged", average, func(x *Sample) float64 {
		n := float64(x.Records) - float64(last)
		last = x.Records
		return some(max(0, n) / 1e3)
	})}
	add("rate over time", "soak-rate.svg", rate)
	mem, fds := r.plot("Memory of each process (RssAnon)", "MiB", false), r.plot("File descriptors", "", false)
	for _, name := range []string{"feeds", "gateway", "alpha", "beta", "gamma", "clients", slowClients} {
		mem.Lines = append(mem.Lines, r.series(name, average, func(x *Sample) float64 { return some(float64(x.Use[name].Anon) / mib) }))
		fds.Lines = append(fds.Lines, r.series(name, slices.Max[[]float64], func(x *Sample) float64 { return some(float64(x.Use[name].FDs)) }))
	}
	add("memory over time", "soak-memory.svg", mem)
	add("file descriptors over time", "soak-fds.svg", fds)
	return out
}

// stageLine is a stage's latency over time.
func (r *Result) stageLine(name string, p99 bool) chart.Line {
	l := chart.Line{Name: name}
	for _, x := range r.Stages {
		if x.Name == name {
			v := x.P50
			if p99 {
				v = x.P99
			}
			l.X, l.Y = append(l.X, x.T), append(l.Y, some(v))
		}
	}
	return l
}

// some makes a hole of what was not measured.
func some(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

// series is a line of a figure of the samples, neighbouring ones summed up.
func (r *Result) series(name string, sum func([]float64) float64, of func(*Sample) float64) chart.Line {
	l := chart.Line{Name: name}
	n := 1 + (len(r.Samples)-1)/plotPoints
	for i := 0; i < len(r.Samples); i += n {
		var vs []float64
		part := r.Samples[i:min(i+n, len(r.Samples))]
		for k := range part {
			if v := of(&part[k]); !math.IsNaN(v) {
				vs = append(vs, v)
			}
		}
		y := math.NaN()
		if len(vs) > 0 {
			y = sum(vs)
		}
		l.X, l.Y = append(l.X, part[len(part)-1].T), append(l.Y, y)
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
			l.Marks = append(l.Marks, chart.Mark{X: a.Done, Lane: lane, Label: a.String()})
		}
	}
	return l
}
