package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"tickrelay/cmd/chart"
	"tickrelay/ring/ringbench"
)

// markdown is the report, of which the plain text is good to read too.
func (r *allReport) markdown(pictures bool) string {
	var b strings.Builder
	h := r.Hardware
	fmt.Fprintf(&b, "# Benchmarks, %s\n\ntickrelay %s; %s, %s processors, Linux %s, %s, governor %s; load before: %s; %s size, %.1f minutes.\n", r.Date.Format("2006-01-02 15:04 MST"),
		r.Version, h["cpu"], h["cores"], h["kernel"], h["go"], h["governor"], r.Load, r.Size, r.Seconds/60)
	if r.Size == sizeQuick {
		b.WriteString("\n**Short runs: these figures say only that everything runs.**\n")
	}
	fmt.Fprintf(&b, "\nEach figure stands beside a baseline that was measured in the same run; a ratio is ours to the baseline's. A goal is one of the ratio. "+
		"To measure again, in the folder of the sources and on a machine that does nothing else: `tickrelay bench all --size %s --report DIR`. Every figure is in bench.json.\n\n", r.Size)
	table(&b, []string{"benchmark", "rows", "goals met", "took"}, r.summary())
	for _, name := range slices.Sorted(maps.Keys(r.NotRun)) {
		fmt.Fprintf(&b, "Not run: %s, %s.\n\n", name, r.NotRun[name])
	}
	r.missed(&b)
	for _, x := range r.Benches {
		fmt.Fprintf(&b, "## %s\n\n", x.Bench)
		if pictures {
			fmt.Fprintf(&b, "![%s](img/bench-%[1]s.svg)\n\n", x.Bench)
		}
		rows := x.Rows
		if x.Bench == "decode" {
			rows = decodeTable(&b, rows)
		}
		var out [][]string
		for _, row := range rows {
			out = append(out, benchRow(row))
		}
		table(&b, []string{"what", "value", "p99", "p99.9", "baseline", "its value", "ratio", "goal"}, out)
	}
	return b.String()
}

// summary is a row per benchmark.
func (r *allReport) summary() (rows [][]string) {
	met, all := 0, 0
	for _, x := range r.Benches {
		m, n := 0, 0
		for _, row := range x.Rows {
			if row.Goal != "" {
				if n++; row.Met {
					m++
				}
			}
		}
		met, all = met+m, all+n
		rows = append(rows, []string{x.Bench, strconv.Itoa(len(x.Rows)), fmt.Sprintf("%d of %d", m, n), fmt.Sprintf("%.0f s", r.Took[x.Bench])})
	}
	return append(rows, []string{"all", "", fmt.Sprintf("%d of %d", met, all), fmt.Sprintf("%.0f s", r.Seconds)})
}

// missed names the goals that were not met, first.
func (r *allReport) missed(b *strings.Builder) {
	var rows [][]string
	for _, x := range r.Benches {
		for _, row := range x.Rows {
			if row.Goal != "" && !row.Met {
				rows = append(rows, []string{x.Bench, row.Name, row.Baseline, ratio(row.Ratio), row.Goal})
			}
		}
	}
	if len(rows) == 0 {
		b.WriteString("Every goal was met.\n\n")
		return
	}
	b.WriteString("## Goals that were not met\n\n")
	table(b, []string{"benchmark", "what", "baseline", "ratio", "goal"}, rows)
}

func benchRow(row ringbench.Row) []string {
	goal := row.Goal
	if goal != "" && row.Met {
		goal += " met"
	} else if goal != "" {
		goal += " **not met**"
	}
	return []string{row.Name, reading(row.Value, row.Unit), reading(row.P99, row.Unit), reading(row.P999, row.Unit), row.Baseline, reading(row.BaselineValue, row.Unit), ratio(row.Ratio), goal}
}

// decodeTable writes the ratios of all kinds of frame, venues down and channels across,
// and returns the rows that are no kind of frame.
func decodeTable(b *strings.Builder, rows []ringbench.Row) (others []ringbench.Row) {
	var venues, channels []string
	cells := map[[2]string]ringbench.Row{}
	for _, row := range rows {
		kind, what, _ := strings.Cut(row.Name, ", ")
		venue, channel, ok := strings.Cut(kind, " ")
		switch {
		case ok && strings.HasPrefix(what, "frame of"):
			if !slices.Contains(venues, venue) {
				venues = append(venues, venue)
			}
			if !slices.Contains(channels, channel) {
				channels = append(channels, channel)
			}
			cells[[2]string{venue, channel}] = row
		case what == "throughput" || what == "per record" || strings.HasPrefix(what, "against "):
		default:
			others = append(others, row)
		}
	}
	if len(cells) == 0 {
		return others
	}
	b.WriteString("Time per frame, and its ratio to the baseline's; **bold** where the goal is not met.\n\n")
	var out [][]string
	for _, v := range venues {
		line := []string{v}
		for _, c := range channels {
			row, ok := cells[[2]string{v, c}]
			text := "–"
			if ok {
				text = reading(row.Value, "ns") + ", " + ratio(row.Ratio)
			}
			if ok && !row.Met {
				text = "**" + text + "**"
			}
			line = append(line, text)
		}
		out = append(out, line)
	}
	table(b, append([]string{"venue"}, channels...), out)
	return others
}

func table(b *strings.Builder, head []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(r, " | "))
	}
	b.WriteString("\n")
}

// reading writes a figure with its unit, times in the one that fits; "" for none.
func reading(v float64, unit string) string {
	if v == 0 {
		return ""
	}
	base, per, of := strings.Cut(unit, "/")
	if of {
		per = "/" + per
	}
	ns := map[string]float64{"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6}[base]
	switch t := v * ns; {
	case ns == 0:
		return three(v) + " " + unit
	case t < 1e3:
		return three(t) + " ns" + per
	case t < 1e6:
		return three(t/1e3) + " µs" + per
	default:
		return three(t/1e6) + " ms" + per
	}
}

// three writes three digits that matter, and k, M, G.
func three(v float64) string {
	if math.Abs(v) >= 1000 {
		return chart.Short(v)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func ratio(v float64) string {
	if v == 0 {
		return ""
	}
	return three(v)
}

// benchPicture shows each row as its ratio to the baseline's value, for rows have
// units of their own, and latencies with their percentiles where there is one unit.
func benchPicture(b *ringbench.Report) []byte {
	p := chart.Bars{Title: b.Bench + ": ours relative to the baseline of the same run", Unit: "× baseline", Series: []string{"ours / baseline"}, Log: true}
	lat := chart.Bars{Title: b.Bench + ": latency", Series: []string{"p50", "p99", "p99.9", "baseline"}, Log: true}
	units := map[string]bool{}
	for _, r := range b.Rows {
		if len(b.Rows) > 40 && r.Goal == "" {
			continue // the table has them
		}
		if r.Ratio > 0 {
			p.Rows = append(p.Rows, chart.Bar{Name: r.Name, Values: []float64{r.Ratio}, Note: r.Goal})
		}
		if r.P99 > 0 {
			units[r.Unit], lat.Unit = true, r.Unit
			lat.Rows = append(lat.Rows, chart.Bar{Name: r.Name, Values: []float64{r.P50, r.P99, r.P999, r.BaselineValue}})
		}
	}
	if len(lat.Rows) > 0 && len(units) == 1 {
		return lat.SVG()
	}
	return p.SVG()
}
