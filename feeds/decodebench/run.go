package decodebench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"tickrelay/feeds"
	"tickrelay/ring/md"
	"tickrelay/ring/ringbench"
)

// Config says what to measure. The zero value measures the built-in frames.
type Config struct {
	Captures string        // folder of recorded sessions; "" for the built-in frames
	Rounds   int           // rounds per row, default 21
	Slice    time.Duration // time of one contender in one round, default 5 ms
	Seed     uint64        // of the built-in frames, default 1
	Venues   []string      // default all
}

func (c Config) withDefaults() Config {
	if c.Rounds <= 0 {
		c.Rounds = 21
	}
	if c.Slice <= 0 {
		c.Slice = 5 * time.Millisecond
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	return c
}

// What the decoders are held to against the fast general parser: each row, and
// the median over all.
const (
	goal       = "<=0.4"
	goalMedian = "<=0.25"
)

// Run measures every venue and channel, then the book.
func Run(ctx context.Context, c Config) (*ringbench.Report, error) {
	c = c.withDefaults()
	r := &ringbench.Report{Bench: "decode", Hardware: ringbench.Hardware()}
	var ratios []float64
	for _, v := range measured() {
		if len(c.Venues) > 0 && !slices.Contains(c.Venues, v.Spec().Name) {
			continue
		}
		sets, err := frameSets(v, c)
		if err != nil {
			return nil, err
		}
		for _, s := range sets {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			rows, err := measure(v, s, c)
			if err != nil {
				return nil, err
			}
			ratios = append(ratios, rows[0].Ratio)
			r.Rows = append(r.Rows, rows...)
		}
	}
	if len(ratios) > 0 {
		r.Rows = append(r.Rows, medianRow(ratios))
	}
	r.Rows = append(r.Rows, bookRows(c)...)
	return r, nil
}

// measured are the venues for which there are built-in frames and baselines.
func measured() []feeds.Venue {
	return slices.DeleteFunc(feeds.Venues(), func(v feeds.Venue) bool {
		_, ok := benchOf(v.Spec().Name)
		return !ok
	})
}

// frameSet is the frames of one venue and channel.
type frameSet struct {
	venue   string
	channel md.Channel
	frames  [][]byte
}

// contender reads one frame and leaves its records in dst.
type contender func(frame []byte, dst []md.Record) ([]md.Record, error)

// reader is a contender with its name.
type reader struct {
	name string
	read contender
}

// readers are who reads a set: ours, fastjson and, at some venues, encoding/json.
func readers(v feeds.Venue, ch md.Channel) ([]reader, error) {
	ours, err := decoder(v)
	if err != nil {
		return nil, fmt.Errorf("decodebench: %s: %w", v.Spec().Name, err)
	}
	name := v.Spec().Name
	all := []reader{{"tickrelay", ours}, {"valyala/fastjson", newFast(name, ch)}}
	if hasStd(name, ch) {
		all = append(all, reader{"encoding/json", newStd(name, ch)})
	}
	return all, nil
}

// measure times all readers on one set.
func measure(v feeds.Venue, s frameSet, c Config) ([]ringbench.Row, error) {
	all, err := readers(v, s.channel)
	if err != nil {
		return nil, err
	}
	bytes, recs, err := compare(s, all)
	if err != nil {
		return nil, err
	}
	times := interleave(c, all, s.frames)
	name := s.venue + " " + s.channel.String()
	mean := float64(bytes) / float64(len(s.frames))
	perRec := float64(len(s.frames)) / float64(recs)
	mine, fast := summary(times[0]), summary(times[1])
	fastName := all[1].name
	rows := []ringbench.Row{
		ringbench.NewRow(ringbench.Row{
			Name: fmt.Sprintf("%s, frame of %.0f bytes", name, mean), Unit: "ns/frame", Value: mine.p50,
			P50: mine.p50, P99: mine.p99, P999: mine.p999, Baseline: fastName, BaselineValue: fast.p50, Goal: goal}),
		ringbench.NewRow(ringbench.Row{
			Name: name + ", throughput", Unit: "MB/s", Value: mean / mine.p50 * 1e3, P50: mean / mine.p50 * 1e3,
			Baseline: fastName, BaselineValue: mean / fast.p50 * 1e3}),
		ringbench.NewRow(ringbench.Row{
			Name: name + ", per record", Unit: "ns/record", Value: mine.p50 * perRec, P50: mine.p50 * perRec,
			P99: mine.p99 * perRec, P999: mine.p999 * perRec, Baseline: fastName, BaselineValue: fast.p50 * perRec}),
	}
	if len(all) > 2 {
		rows = append(rows, ringbench.NewRow(ringbench.Row{
			Name: name + ", against " + all[2].name, Unit: "ns/frame", Value: mine.p50, P50: mine.p50, P99: mine.p99, P999: mine.p999,
			Baseline: all[2].name, BaselineValue: summary(times[2]).p50}))
	}
	return rows, nil
}

// medianRow is the median of the ratios of all rows that have a goal.
func medianRow(ratios []float64) ringbench.Row {
	slices.Sort(ratios)
	n := len(ratios)
	median := (ratios[(n-1)/2] + ratios[n/2]) / 2
	return ringbench.NewRow(ringbench.Row{
		Name: fmt.Sprintf("all %d kinds of frame, median of the ratio", n), Unit: "of the time", Value: median, P50: median,
		Baseline: "valyala/fastjson", BaselineValue: 1, Goal: goalMedian})
}

// compare runs every reader once over the set and holds the values of the
// baselines to ours.
func compare(s frameSet, all []reader) (bytes, recs int, err error) {
	for n, f := range s.frames {
		want, err := all[0].read(f, nil)
		if err != nil {
			return 0, 0, fmt.Errorf("decodebench: %s %s frame %d: %w: %s", s.venue, s.channel, n, err, f)
		}
		if len(want) == 0 {
			return 0, 0, fmt.Errorf("decodebench: %s %s frame %d has no records: %s", s.venue, s.channel, n, f)
		}
		bytes, recs = bytes+len(f), recs+len(want)
		// Which statistic comes first is ours to choose.
		slices.SortStableFunc(want, byKind)
		for _, r := range all[1:] {
			got, err := r.read(f, nil)
			if err != nil {
				return 0, 0, fmt.Errorf("decodebench: %s, %s %s frame %d: %w: %s", r.name, s.venue, s.channel, n, err, f)
			}
			slices.SortStableFunc(got, byKind)
			if !slices.Equal(got, want) {
				return 0, 0, fmt.Errorf("decodebench: %s finds other values than ours, %s %s frame %d: %s\n%+v\n%+v",
					r.name, s.venue, s.channel, n, f, got, want)
			}
		}
	}
	return bytes, recs, nil
}

// byKind orders by kind and, of statistics, by which one it is.
func byKind(a, b md.Record) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Level, b.Level))
}

// interleave gives each contender a slice of time in every round and returns
// its ns per frame of each round.
func interleave(c Config, all []reader, frames [][]byte) [][]float64 {
	times, dst := make([][]float64, len(all)), make([][]md.Record, len(all))
	for round := -1; round < c.Rounds; round++ { // the first one warms up
		for k := range all {
			// Every other round goes backwards, so that the collection of the
			// garbage which encoding/json leaves falls to both neighbours.
			if round&1 != 0 {
				k = len(all) - 1 - k
			}
			f, laps := all[k].read, 0
			start := time.Now()
			for laps == 0 || time.Since(start) < c.Slice { // one lap at least, though the slice may be gone
				for _, frame := range frames {
					dst[k], _ = f(frame, dst[k][:0])
				}
				laps++
			}
			if round >= 0 {
				times[k] = append(times[k], float64(time.Since(start))/float64(laps*len(frames)))
			}
		}
	}
	return times
}

type quantiles struct{ p50, p99, p999 float64 }

// summary is the median and the upper quantiles over rounds.
func summary(x []float64) quantiles {
	slices.Sort(x)
	q := func(p float64) float64 { return x[min(int(p*float64(len(x))), len(x)-1)] }
	return quantiles{q(0.5), q(0.99), q(0.999)}
}
