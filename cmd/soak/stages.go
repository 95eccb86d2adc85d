package soak

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stageNames are the histograms of the relay's own metrics that are sampled, in the
// order of an event's way; the first two are the feeds', the third is the gateway's.
var stageNames = []string{"receive", "publish", "deliver"}

// scrapeEvery is how often the relay's metrics are read, as Prometheus would.
const scrapeEvery = 5 * time.Second

// Stage is what a stage of an event's way took, within the time since the last reading.
type Stage struct {
	T     float64 `json:"t"`
	Name  string  `json:"stage"`
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
}

// buckets is a cumulative histogram by upper bound in seconds.
type buckets map[float64]uint64

// scraped is one reading of a process's metrics.
type scraped struct {
	at         time.Time
	stages     map[string]buckets
	goroutines int
	heap       int64 // bytes alive after the last collection: half of the next one's limit, at GOGC=100
}

// scrape reads a page of metrics; all series of a histogram are one.
func scrape(addr string) (scraped, error) {
	x := scraped{at: time.Now(), stages: map[string]buckets{}}
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + addr + "/metrics")
	if err != nil {
		return x, err
	}
	defer resp.Body.Close()
	s := bufio.NewScanner(io.LimitReader(resp.Body, 64<<20))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		x.line(s.Text())
	}
	return x, s.Err()
}

func (x *scraped) line(text string) {
	if v, ok := strings.CutPrefix(text, "go_goroutines "); ok {
		n, _ := strconv.ParseFloat(v, 64)
		x.goroutines = int(n)
		return
	}
	if v, ok := strings.CutPrefix(text, "go_memstats_next_gc_bytes "); ok {
		n, _ := strconv.ParseFloat(v, 64)
		x.heap = int64(n / 2)
		return
	}
	rest, ok := strings.CutPrefix(text, "tickrelay_")
	if !ok {
		return
	}
	name, labels, ok := strings.Cut(rest, "_seconds_bucket{")
	if !ok || !slices.Contains(stageNames, name) {
		return
	}
	_, bound, _ := strings.Cut(labels, `le="`)
	bound, value, _ := strings.Cut(bound, `"} `)
	le, err := strconv.ParseFloat(bound, 64)
	n, err2 := strconv.ParseFloat(value, 64)
	if err != nil || err2 != nil {
		return
	}
	if x.stages[name] == nil {
		x.stages[name] = buckets{}
	}
	x.stages[name][le] += uint64(n)
}

// since is what came since an earlier reading; nil if the process was started again
// meanwhile, or nothing came.
func (b buckets) since(old buckets) buckets {
	d, some := buckets{}, false
	for le, n := range b {
		if n < old[le] {
			return nil
		}
		d[le] = n - old[le]
		some = some || d[le] > 0
	}
	if !some {
		return nil
	}
	return d
}

// quantile is in seconds, linear within a bucket.
func (b buckets) quantile(q float64) (v float64, count uint64) {
	bounds := slices.Sorted(maps.Keys(b))
	count = b[bounds[len(bounds)-1]]
	want := q * float64(count)
	low, below := 0.0, uint64(0)
	for _, le := range bounds {
		if n := b[le]; float64(n) >= want {
			if le > 1e9 || n == below {
				return low, count
			}
			return low + (le-low)*(want-float64(below))/float64(n-below), count
		}
		low, below = le, b[le]
	}
	return low, count
}

// watchStages reads the metrics of a process again and again until ctx ends; address
// asks for where.
func watchStages(ctx context.Context, addr string, to chan<- scraped) {
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		x, err := scrape(addr)
		if err != nil {
			continue // it is just being started again
		}
		select {
		case to <- x:
		case <-ctx.Done():
			return
		}
	}
}

// stage takes a reading.
func (s *soak) stage(x scraped) {
	for _, name := range stageNames {
		b := x.stages[name]
		if b == nil {
			continue
		}
		// What a stepped clock made of it is no latency.
		right := x.at.Add(-scrapeEvery-time.Second).After(s.stepped) || name == stageNames[2]
		if d := b.since(s.stages[name]); right && d != nil && s.stages[name] != nil {
			p50, n := d.quantile(0.5)
			p99, _ := d.quantile(0.99)
			s.res.Stages = append(s.res.Stages, Stage{T: round(x.at.Sub(s.begun).Seconds(), 1), Name: name, Count: n, P50: round(p50*1e6, 1), P99: round(p99*1e6, 1)})
		}
		s.stages[name] = b
	}
}
