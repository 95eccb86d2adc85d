package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteJSON writes all that was found as one line of JSON.
func (r *Result) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// thinTo is how many of the seconds' readings the report's JSON keeps.
const thinTo = 60

// WriteReport writes soak.md, soak.json and the pictures of img/ into a folder, which
// is made if need be.
func (r *Result) WriteReport(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "img"), 0o755); err != nil {
		return err
	}
	var text strings.Builder
	errs := []error{r.writeMarkdown(&text)}
	thin := *r
	thin.Samples = nil
	for i := 0; i < len(r.Samples); i += 1 + len(r.Samples)/thinTo { // the pictures have all
		thin.Samples = append(thin.Samples, r.Samples[i])
	}
	data, err := json.Marshal(thin)
	errs = append(errs, err, os.WriteFile(filepath.Join(dir, "soak.json"), append(data, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "soak.md"), []byte(text.String()), 0o644))
	for _, p := range r.pictures() {
		errs = append(errs, os.WriteFile(filepath.Join(dir, "img", p.file), p.svg, 0o644))
	}
	return errors.Join(errs...)
}

// verdict says it in a line.
func (r *Result) verdict() string {
	s := fmt.Sprintf("%d violations", r.Violated)
	if r.Violated == 0 {
		s = "no violation"
	}
	if r.Interrupted {
		s += ", interrupted"
	}
	if r.Plant != "" {
		s += ", with a " + r.Plant + " planted on purpose"
	}
	return s
}

func (r *Result) head() string {
	h := r.Hardware
	speed := fmt.Sprintf("%g × a real market", r.Speed)
	if r.Speed == 0 {
		speed = "as fast as the host takes it"
	}
	return fmt.Sprintf("%s, seed %d, %s of %s asked, %s; tickrelay %s; %s, %s processors, %s of memory, Linux %s, %s", r.Started.UTC().Format("2006-01-02 15:04 MST"), r.Seed,
		secs(r.Seconds), secs(r.Asked), speed, r.Version, h["cpu"], h["cores"], h["memory"], h["kernel"], h["go"])
}

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)).Round(time.Second) }

// totals are the figures that matter, name and value.
func (r *Result) totals() [][]string {
	var all Readings
	gaps := map[string]uint64{}
	for _, v := range r.Readers {
		all.Records, all.Trades, all.Sessions = all.Records+v.Records, all.Trades+v.Trades, all.Sessions+v.Sessions
		for k, n := range v.Gaps {
			gaps[k] += n
		}
	}
	var losses []string
	for _, k := range slices.Sorted(maps.Keys(gaps)) {
		losses = append(losses, fmt.Sprintf("%s %s", k, count(gaps[k])))
	}
	p50, p99, worst := r.lateness(func(x *Sample) latency { return x.Strategies })
	c50, c99, cworst := r.lateness(func(x *Sample) latency { return x.Clients })
	calm := 0.0
	for _, c := range r.Calms {
		calm += c[1] - c[0]
	}
	each := func(n uint64) string { return count(uint64(float64(n)/max(1, r.Seconds))) + "/s" }
	return [][]string{
		{"violations", fmt.Sprint(r.Violated)},
		{"market events", fmt.Sprintf("%s, each shown by the venues of %d that list it", count(r.Events), r.Venues)},
		{fmt.Sprintf("pace outside comparisons, in real markets (%d events/s)", RealPace), fmt.Sprintf("%g in the mean, %g in the fastest second", r.Reached, r.Fastest)},
		{"records and messages judged by all readers", fmt.Sprintf("%s, %s over all of the run", count(all.Records), each(all.Records))},
		{"trades received", count(all.Trades)},
		{"faults", fmt.Sprintf("%d in %d storms of %s and pauses of %s in the mean", r.faults(), r.Storms, stormLength(secs(r.Asked)), secs(calm/float64(max(1, len(r.Calms)))))},
		{"comparisons of every book with the exchange's", fmt.Sprintf("%d: %s books, %s levels; %d were repeated", r.Comparisons, count(r.Books), count(r.Levels), r.Repeated)},
		{"gaps told to readers", strings.Join(losses, ", ")},
		{"connections to exchanges, of readers to the relay", fmt.Sprintf("%d, %s", r.Connect, count(all.Sessions))},
		{"host to strategy, all venues (median of the seconds' p50, p99; worst p99)", fmt.Sprintf("%s, %s; %s", us(p50), us(p99), us(worst))},
		{"host to WebSocket client, likewise", fmt.Sprintf("%s, %s; %s", us(c50), us(c99), us(cworst))},
		{"growth of /dev/shm from the first to the last third", fmt.Sprintf("%.1f MiB", float64(r.ShmGrowth)/mib)},
	}
}

// faults is how many of the plan happened.
func (r *Result) faults() (n int) {
	for _, k := range r.Faults {
		n += k
	}
	return n
}

func us(v float64) string {
	if v >= 1e4 {
		return fmt.Sprintf("%.1f ms", v/1e3)
	}
	return fmt.Sprintf("%.0f µs", v)
}

// lateness sums up latencies of the seconds outside comparisons.
func (r *Result) lateness(of func(*Sample) latency) (p50, p99, worst float64) {
	var a, b []float64
	for i := range r.Samples {
		if l := of(&r.Samples[i]); !r.Samples[i].Calm && l.Count > 0 {
			a, b = append(a, l.P50), append(b, l.P99)
		}
	}
	if len(a) == 0 {
		return 0, 0, 0
	}
	return median(a), median(b), slices.Max(b)
}

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "soak: %s\n%s\n\n", r.verdict(), r.head())
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range r.totals() {
		fmt.Fprintf(tw, "%s\t%s\n", t[0], t[1])
	}
	fmt.Fprintln(tw, "\nINVARIANT\tCHECKED\t\tVIOLATED")
	for _, x := range r.Invariants {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\n", x.Name, count(x.Checks), x.Unit, x.Violated)
	}
	fmt.Fprintln(tw, "\nPROCESS\tLIVES\tJUDGED\tMEMORY\tSLOPE PER HOUR\tFDS\tGROWTH\tGOROUTINES\tGROWTH")
	for _, h := range r.Processes {
		fmt.Fprintf(tw, "%s\t%d\t%s\t%.1f MiB\t%+.1f ± %.1f MiB\t%d\t%+.0f\t%d\t%+.0f\n", h.Name, h.Lives, judged(h), h.MemoryMiB, h.SlopeMiBh, h.SlopeErr,
			h.FDs, h.FDGrowth, h.Goroutines, h.GoGrowth)
	}
	fmt.Fprintln(tw, "\nFAULT\tTIMES")
	for _, k := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(tw, "%s\t%d\n", k, r.Faults[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.NotRun)) {
		fmt.Fprintf(tw, "not run: %s\t%d\n", k, r.NotRun[k])
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "\nVIOLATION seed %d, %.1f s, %s: %s %s: %s\n  after %s\n", r.Seed, v.Into, v.Invariant, v.Who, v.Topic, v.What, v.During)
	}
	return nil
}

// judged says over how long a life memory was judged.
func judged(h Holding) string {
	if !h.Judged {
		return "life too short"
	}
	return secs(h.Seconds).String()
}
