package relay

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/ring/md"
)

// latencyBuckets is the number of buckets with an upper bound, the first of 1 µs, each
// twice the one before: up to 34 s. They are those of the feeds' histograms, so that
// stages can be compared.
const latencyBuckets = 26

// latency is a histogram of one venue's channel at one shard, which alone writes it.
type latency struct {
	buckets  [latencyBuckets + 1]atomic.Uint64 // the last one: above all bounds
	sum      atomic.Int64                      // ns
	negative atomic.Uint64                     // the clock was set back in between
}

func (l *latency) record(ns int64) {
	if ns < 0 {
		l.negative.Add(1)
		return
	}
	l.buckets[min(latencyBuckets, bits.Len64(uint64(max(0, ns-1))/1000))].Add(1)
	l.sum.Add(ns)
}

// venueSlots is more than there are venues; a number beyond it counts as venue 0.
const venueSlots = 64

// deliveries are a shard's histograms, made at a channel's first event.
type deliveries [venueSlots * md.NumChannels]atomic.Pointer[latency]

func (d *deliveries) of(info *streamInfo) *latency {
	at := int(info.channel)
	if info.venue < venueSlots {
		at += int(info.venue) * md.NumChannels
	}
	l := d[at].Load()
	if l == nil {
		l = &latency{}
		d[at].Store(l)
	}
	return l
}

// delivered counts how long the events of a turn took from their reception until all
// subscribers that keep up had them in their sockets. One look at the clock serves all.
func (s *shard) delivered(ds []delivery) {
	now := int64(0)
	for i := range ds {
		d := &ds[i]
		if d.op != deliverEvent || d.from == 0 {
			continue
		}
		if now == 0 {
			now = s.hub.wall()
		}
		s.stats.delivered.of(d.info).record(now - int64(d.from))
	}
}

// receivedAt is when the last record of a live event came, wall ns; 0 for what is not
// sent at once: snapshots, gaps, conflated messages and candles.
func (st *stream) receivedAt(ev []md.Record) uint64 {
	last := &ev[len(ev)-1]
	if st.opt.conflate > 0 || last.Kind == md.KindGap || last.Flags&md.FlagSnapshot != 0 ||
		st.channel == md.ChannelCandles1s || st.channel == md.ChannelCandles1m {
		return 0
	}
	return uint64(max(0, last.TsRecv))
}

// deliverMetrics sums the shards up.
func deliverMetrics(ch chan<- prometheus.Metric, seconds, negative *prometheus.Desc, shards []*shard) {
	for at := range len(deliveries{}) {
		var sum int64
		var below, count uint64
		var buckets map[float64]uint64
		for _, s := range shards {
			l := s.stats.delivered[at].Load()
			if l == nil {
				continue
			}
			if buckets == nil {
				buckets = make(map[float64]uint64, latencyBuckets)
			}
			within := uint64(0)
			for i := range latencyBuckets {
				within += l.buckets[i].Load()
				buckets[float64(int64(1000)<<i)/1e9] += within
			}
			count += within + l.buckets[latencyBuckets].Load()
			sum += l.sum.Load()
			below += l.negative.Load()
		}
		if buckets == nil {
			continue
		}
		venue, channel := md.Venue(at/md.NumChannels).String(), md.Channel(at%md.NumChannels).String()
		ch <- prometheus.MustNewConstHistogram(seconds, count, float64(sum)/1e9, buckets, venue, channel)
		counter(ch, negative, below, venue, channel)
	}
}
