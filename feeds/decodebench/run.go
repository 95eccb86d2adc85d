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

// goal is what the decoders are held to against the fast general parser.
const goal = "<=0.333"

// Run measures every venue and channel, then the book.
func Run(ctx context.Context, c Config) (*ringbench.Report, error) {
	c = c.withDefaults()
	r := &ringbench.Report{Bench: "decode", Hardware: ringbench.Hardware()}
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
			r.Rows = append(r.Rows, rows...)
		}
	}
	r.Rows = append(r.Rows, bookRows(c)...)
	return r, nil
}

// measured are the venues for which there are built-in frames and baselines.
func measured() []feeds.Venue {
	return slices.DeleteFunc(feeds.Venues(), func(v feeds.Venue) bool {
		_, ok := tickerKeys[v.Spec().Name]
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

// decoder is the venue's own.
func decoder(v feeds.Venue) contender {
	var d feeds.Decoded
	return func(frame []byte, dst []md.Record) ([]md.Record, error) {
		d.Recs = dst
		d.Reset()
		err := v.Decode(frame, &d)
		return d.Recs, err
	}
}

// measure times ours, encoding/json and fastjson on one set.
func measure(v feeds.Venue, s frameSet, c Config) ([]ringbench.Row, error) {
	contenders := [3]contender{decoder(v), newStd(s.venue, s.channel), newFast(s.venue, s.channel)}
	bytes, recs, err := compare(s, contenders)
	if err != nil {
		return nil, err
	}
	times := interleave(c, len(s.frames), contenders, s.frames)
	name := s.venue + " " + s.channel.String()
	mean := float64(bytes) / float64(len(s.frames))
	perRec := float64(len(s.frames)) / float64(recs)
	mine, std, fast := summary(times[0]), summary(times[1]), summary(times[2])
	row := ringbench.Row{
		Name: fmt.Sprintf("%s, frame of %.0f bytes", name, mean), Unit: "ns/frame", Value: mine.p50,
		P50: mine.p50, P99: mine.p99, P999: mine.p999,
		Baseline: "valyala/fastjson", BaselineValue: fast.p50, Ratio: mine.p50 / fast.p50, Goal: goal,
	}
	row.Met = row.Ratio <= 1.0/3
	return []ringbench.Row{
		row,
		{Name: name + ", against encoding/json", Unit: "ns/frame", Value: mine.p50, P50: mine.p50, P99: mine.p99, P999: mine.p999,
			Baseline: "encoding/json", BaselineValue: std.p50, Ratio: mine.p50 / std.p50, Met: true},
		{Name: name + ", per record", Unit: "ns/record", Value: mine.p50 * perRec, P50: mine.p50 * perRec, P99: mine.p99 * perRec,
			P999: mine.p999 * perRec, Baseline: "valyala/fastjson", BaselineValue: fast.p50 * perRec, Ratio: mine.p50 / fast.p50, Met: true},
		{Name: name + ", throughput", Unit: "MB/s", Value: mean / mine.p50 * 1e3, P50: mean / mine.p50 * 1e3,
			Baseline: "valyala/fastjson", BaselineValue: mean / fast.p50 * 1e3, Ratio: fast.p50 / mine.p50, Met: true},
	}, nil
}

// compare runs every contender once over the set and holds the values of the
// baselines to ours.
func compare(s frameSet, contenders [3]contender) (bytes, recs int, err error) {
	for n, f := range s.frames {
		want, err := contenders[0](f, nil)
		if err != nil {
			return 0, 0, fmt.Errorf("decodebench: %s %s frame %d: %w", s.venue, s.channel, n, err)
		}
		bytes, recs = bytes+len(f), recs+len(want)
		for k, name := range [...]string{1: "encoding/json", 2: "fastjson"} {
			if k == 0 {
				continue
			}
			got, err := contenders[k](f, nil)
			if err != nil {
				return 0, 0, fmt.Errorf("decodebench: %s, %s %s frame %d: %w", name, s.venue, s.channel, n, err)
			}
			if s.channel == md.ChannelTicker { // the order is ours to choose
				slices.SortFunc(got, byLevel)
				slices.SortFunc(want, byLevel)
			}
			if !slices.Equal(got, want) {
				return 0, 0, fmt.Errorf("decodebench: %s finds other values than ours, %s %s frame %d: %s", name, s.venue, s.channel, n, f)
			}
		}
	}
	return bytes, recs, nil
}

func byLevel(a, b md.Record) int { return cmp.Compare(a.Level, b.Level) }

// interleave gives each contender a slice of time in every round and returns
// its ns per frame of each round.
func interleave(c Config, n int, contenders [3]contender, frames [][]byte) (times [3][]float64) {
	var dst [3][]md.Record
	for round := -1; round < c.Rounds; round++ { // the first one warms up
		for k := range contenders {
			// Every other round goes backwards, so that the collection of the
			// garbage which encoding/json leaves falls to both neighbours.
			if round&1 != 0 {
				k = len(contenders) - 1 - k
			}
			f, laps := contenders[k], 0
			start := time.Now()
			for time.Since(start) < c.Slice {
				for _, frame := range frames {
					dst[k], _ = f(frame, dst[k][:0])
				}
				laps++
			}
			if round >= 0 {
				times[k] = append(times[k], float64(time.Since(start))/float64(laps*n))
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
