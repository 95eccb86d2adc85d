package top

import (
	"math"
	"time"

	"tickrelay/relay"
)

// span is how far back the history goes: troubles are those of that time.
const span = time.Minute

// latencySpan is what percentiles are taken over.
const latencySpan = 10 * time.Second

// maxSamples bounds the history, whatever the interval.
const maxSamples = 600

// History holds the samples of the last minute. One goroutine.
type History struct {
	samples []*relay.Overview // oldest first
}

// Add takes a sample. One of another process, whose counters began again, or of an
// earlier time begins the history anew.
func (h *History) Add(o *relay.Overview) {
	if last := h.Last(); last != nil && (o.NowNs <= last.NowNs || o.Relay != last.Relay || restarted(last, o)) {
		h.samples = nil
	}
	h.samples = append(h.samples, o)
	for len(h.samples) > 2 && (len(h.samples) > maxSamples || o.NowNs-h.samples[0].NowNs > int64(span)) {
		h.samples = h.samples[1:]
	}
}

// restarted reports whether a counter fell.
func restarted(a, b *relay.Overview) bool {
	for i := range a.Feeds {
		if f := feedOf(b, a.Feeds[i].Name); f != nil && (f.Frames < a.Feeds[i].Frames || f.Records < a.Feeds[i].Records) {
			return true
		}
	}
	return a.Gateway != nil && b.Gateway != nil && b.Gateway.Messages < a.Gateway.Messages
}

// Last is the newest sample, nil before the first.
func (h *History) Last() *relay.Overview {
	if len(h.samples) == 0 {
		return nil
	}
	return h.samples[len(h.samples)-1]
}

// before is the newest sample that is at least d older than the last, or the oldest.
func (h *History) before(d time.Duration) *relay.Overview {
	last := h.Last()
	for i := len(h.samples) - 1; i >= 0; i-- {
		if last.NowNs-h.samples[i].NowNs >= int64(d) {
			return h.samples[i]
		}
	}
	return h.samples[0]
}

func feedOf(o *relay.Overview, name string) *relay.FeedStatus {
	for i := range o.Feeds {
		if o.Feeds[i].Name == name {
			return &o.Feeds[i]
		}
	}
	return nil
}

func ringOf(o *relay.Overview, name string) *relay.RingStatus {
	for i := range o.Rings {
		if o.Rings[i].Name == name {
			return &o.Rings[i]
		}
	}
	return nil
}

// since is by how much a counter of the last sample has grown since an earlier one; 0 if
// it began again.
func since(now, was uint64) uint64 {
	if now < was {
		return 0
	}
	return now - was
}

// rate is a growth per second between two samples.
func rate(n uint64, from, to *relay.Overview) float64 {
	d := float64(to.NowNs-from.NowNs) / 1e9
	if d <= 0 {
		return 0
	}
	return float64(n) / d
}

// Latency is what one stage of an event's way took, of Count events; ns.
type Latency struct {
	Stage string `json:"stage"`
	Count uint64 `json:"count"`
	P50   int64  `json:"p50_ns"`
	P99   int64  `json:"p99_ns"`
	P999  int64  `json:"p999_ns"`
}

// stageNames are the stages in the order of an event's way.
var stageNames = []string{"receive", "publish", "deliver"}

// stages are the histograms of a sample, those of all feeds together, or of one.
func stages(o *relay.Overview, name, feed string) (bounds []int64, counts []uint64) {
	add := func(s *relay.StageStatus) {
		if s.Name != name || len(s.Counts) != len(s.BoundsNs)+1 {
			return
		}
		if bounds == nil {
			bounds, counts = s.BoundsNs, make([]uint64, len(s.Counts))
		}
		if len(s.Counts) == len(counts) {
			for i, n := range s.Counts {
				counts[i] += n
			}
		}
	}
	for i := range o.Feeds {
		if feed != "" && o.Feeds[i].Name != feed {
			continue
		}
		for k := range o.Feeds[i].Stages {
			add(&o.Feeds[i].Stages[k])
		}
	}
	if o.Gateway != nil && feed == "" {
		add(&o.Gateway.Deliver)
	}
	return bounds, counts
}

// latency is that of a stage between two samples.
func latency(from, to *relay.Overview, stage, feed string) Latency {
	l := Latency{Stage: stage}
	bounds, now := stages(to, stage, feed)
	_, was := stages(from, stage, feed)
	if from != to && len(was) == len(now) {
		for i := range now {
			now[i] = since(now[i], was[i])
		}
	}
	for _, n := range now {
		l.Count += n
	}
	l.P50, l.P99, l.P999 = quantile(bounds, now, l.Count, 0.5), quantile(bounds, now, l.Count, 0.99), quantile(bounds, now, l.Count, 0.999)
	return l
}

// quantile reads a percentile off a histogram: between the bounds of its bucket, in
// proportion on a logarithmic scale. What is above all bounds counts as the highest.
func quantile(bounds []int64, counts []uint64, total uint64, q float64) int64 {
	if total == 0 {
		return 0
	}
	rank, below := q*float64(total), 0.0
	for i, n := range counts {
		if n > 0 && below+float64(n) >= rank {
			if i == len(bounds) {
				return bounds[len(bounds)-1]
			}
			low := float64(bounds[i]) / 2
			if i > 0 {
				low = float64(bounds[i-1])
			}
			part := (rank - below) / float64(n)
			return int64(low * math.Pow(float64(bounds[i])/low, part))
		}
		below += float64(n)
	}
	return bounds[len(bounds)-1]
}

// Latencies are those of all stages over the last ten seconds.
func (h *History) Latencies() []Latency {
	var out []Latency
	if h.Last() == nil {
		return out
	}
	from := h.before(latencySpan)
	for _, name := range stageNames {
		if bounds, _ := stages(h.Last(), name, ""); bounds != nil {
			out = append(out, latency(from, h.Last(), name, ""))
		}
	}
	return out
}

// trace is a value of each pair of neighbouring samples, oldest first, at most n.
func (h *History) trace(n int, value func(from, to *relay.Overview) float64) []float64 {
	var out []float64
	for i := max(1, len(h.samples)-n); i < len(h.samples); i++ {
		out = append(out, value(h.samples[i-1], h.samples[i]))
	}
	return out
}
