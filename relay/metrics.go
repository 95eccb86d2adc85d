package relay

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns the counters of the loops into metrics when they are asked for:
// nothing is added to the loops but the counting itself.
type collector struct {
	g *Gateway

	connections, accepted, closed, refused, pending                   *prometheus.Desc
	messages, bytes, writes                                           *prometheus.Desc
	overflows, conflated, dropped, clientGaps                         *prometheus.Desc
	requests, errors                                                  *prometheus.Desc
	records, events, hubGaps, duplicates, jumps, unknown              *prometheus.Desc
	stalls, topics, rings, ringsLost, ringErrors, encoded             *prometheus.Desc
	ringsDown, ringsOpened                                            *prometheus.Desc
	httpAnswers, resumed, replayed, history, candleBytes, candlesLost *prometheus.Desc
	deflated, deflateBytes, deflateSeconds, deflateSaved              *prometheus.Desc
	reloads, certExpiry, reauthFailed                                 *prometheus.Desc
	pasts, pastEvents                                                 *prometheus.Desc
	deliver, deliverNegative                                          *prometheus.Desc
}

func newCollector(g *Gateway) *collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tickrelay_"+name, help, labels, nil)
	}
	return &collector{
		g:               g,
		connections:     d("ws_connections", "WebSocket connections now."),
		accepted:        d("accepted_total", "TCP connections accepted."),
		closed:          d("ws_closed_total", "WebSocket connections that ended, by reason.", "reason"),
		refused:         d("refused_total", "Connections refused before they were served, by reason.", "reason"),
		pending:         d("heads_pending", "Request heads being read now."),
		messages:        d("ws_messages_sent_total", "WebSocket frames sent, by subprotocol of the client.", "format"),
		bytes:           d("ws_bytes_sent_total", "Bytes of WebSocket frames sent."),
		writes:          d("ws_writes_total", "Write calls for WebSocket frames."),
		overflows:       d("ws_queue_overflows_total", "Client queues that reached their bounds."),
		conflated:       d("ws_conflated_total", "State messages left out for slow clients, who get the newest state instead."),
		dropped:         d("ws_dropped_total", "Numbers left out for slow clients and told by gap messages: of trades, liquidations and signals, and of state where the policy is drop."),
		clientGaps:      d("ws_gaps_sent_total", "Gap messages made for what was left out."),
		deflated:        d("ws_deflate_frames_total", "Frames that went through compression, each once for all clients, by outcome: compressed, or sent as they were because that saves nothing.", "outcome"),
		deflateBytes:    d("ws_deflate_bytes_total", "Bytes of the frames compressed, before and after.", "side"),
		deflateSeconds:  d("ws_deflate_seconds_total", "Time that compression took of the hub."),
		deflateSaved:    d("ws_deflate_saved_bytes_total", "Bytes that were not sent because their frames were compressed, all clients together."),
		requests:        d("ws_requests_total", "Requests of clients, by operation.", "op"),
		errors:          d("ws_errors_total", "Error answers, by code.", "code"),
		records:         d("hub_records_total", "Records read from rings."),
		events:          d("hub_events_total", "Events in the records read from rings."),
		hubGaps:         d("hub_gaps_total", "Gap records among those read from rings."),
		duplicates:      d("hub_duplicates_total", "Events with a number that was seen before, not passed on."),
		jumps:           d("hub_jumps_total", "Numbers found missing that no gap record told of."),
		unknown:         d("hub_unknown_total", "Records of instruments that the table does not have."),
		stalls:          d("hub_stalls_total", "Times the hub waited for a fan-out loop that was behind."),
		topics:          d("hub_topics", "Topics known."),
		rings:           d("hub_rings", "Rings being read."),
		ringsLost:       d("hub_rings_lost_total", "Rings whose producer ended."),
		ringErrors:      d("hub_ring_errors_total", "Rings given up for another error than the end of their producer."),
		ringsDown:       d("hub_rings_down", "Rings that are not there and are looked for."),
		ringsOpened:     d("hub_rings_opened_total", "Rings opened by their path, the first time and again."),
		encoded:         d("hub_encoded_total", "Frames encoded, by format.", "format"),
		resumed:         d("resumed_topics_total", "Topics that clients resumed, by what they got.", "outcome"),
		replayed:        d("replayed_bytes_total", "Bytes made from histories for clients that resumed."),
		pasts:           d("replays", "Replays of the recording under way."),
		pastEvents:      d("replay_events_total", "Events of the recording in replays that have ended."),
		candleBytes:     d("candle_bytes", "Memory of all candles."),
		candlesLost:     d("candles_incomplete_total", "What candles do not show, by what: late trades, inexact bars (a quantity that no int64 holds), bars dropped for want of memory.", "what"),
		history:         d("history_bytes", "Memory of the topics' histories."),
		reloads:         d("reloads_total", "Times that files of the configuration were read again, by part and result.", "part", "result"),
		certExpiry:      d("tls_certificate_expiry_timestamp_seconds", "Unix time at which the certificate in force ends."),
		deliver:         d("deliver_seconds", "Reception to the sockets of all subscribers that keep up, of events sent at once; publish_seconds is a part of it.", "venue", "channel"),
		deliverNegative: d("deliver_negative_total", "Events delivered before they were received: the host's clock was set back.", "venue", "channel"),
		reauthFailed:    d("ws_auth_failed_total", "Tokens refused on open WebSocket connections."),
		httpAnswers:     d("http_answers_total", "HTTP answers, by class of status.", "class"),
	}
}

// Describe sends nothing, which leaves the collector unchecked: its metrics are fixed
// by this file. Those of the feeds are registered by who runs the feeds.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads all counters once.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.clients(ch)
	deliverMetrics(ch, c.deliver, c.deliverNegative, c.g.shards)
	c.hub(ch)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// sum adds one counter of all shards.
func (c *collector) sum(of func(*shardStats) *atomic.Uint64) uint64 {
	var n uint64
	for _, s := range c.g.shards {
		n += of(&s.stats).Load()
	}
	return n
}

func (c *collector) clients(ch chan<- prometheus.Metric) {
	g := c.g
	gauge(ch, c.connections, float64(g.connections()))
	counter(ch, c.accepted, g.accept.stats.accepted.Load())
	gauge(ch, c.pending, float64(g.accept.stats.pending.Load()))
	for i, name := range refuseReasons {
		counter(ch, c.refused, g.accept.stats.refused[i].Load(), name)
	}
	for i, name := range closeReasons {
		counter(ch, c.closed, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.closed[i] }), name)
	}
	for i, name := range operations {
		counter(ch, c.requests, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.requests[i] }), name)
	}
	for i, name := range errorCodes {
		n := c.sum(func(s *shardStats) *atomic.Uint64 { return &s.errors[i] })
		counter(ch, c.errors, n+g.hubStats.errors[i].Load(), name)
	}
	counter(ch, c.deflateSaved, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.saved }))
	for i, name := range []string{"json", "binary"} {
		n := c.sum(func(s *shardStats) *atomic.Uint64 { return &s.messages[i] })
		n += c.sum(func(s *shardStats) *atomic.Uint64 { return &s.messages[format(i).deflated()] })
		counter(ch, c.messages, n, name)
		counter(ch, c.encoded, g.hubStats.encoded[i].Load(), name)
	}
	counter(ch, c.reauthFailed, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.reauthFailed }))
	rawMetrics(ch, g.raws)
	for _, p := range g.reloads.parts {
		counter(ch, c.reloads, p.ok.Load(), p.part, "ok")
		counter(ch, c.reloads, p.failed.Load(), p.part, "failed")
	}
	if g.cert != nil {
		gauge(ch, c.certExpiry, float64(g.cert.current.Load().Leaf.NotAfter.Unix()))
	}
	counter(ch, c.bytes, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.bytes }))
	counter(ch, c.writes, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.writes }))
	counter(ch, c.overflows, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.overflows }))
	counter(ch, c.conflated, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.conflated }))
	counter(ch, c.dropped, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.dropped }))
	counter(ch, c.clientGaps, c.sum(func(s *shardStats) *atomic.Uint64 { return &s.gaps }))
	for i := 1; i < len(g.http.codes); i++ {
		counter(ch, c.httpAnswers, g.http.codes[i].Load(), fmt.Sprintf("%dxx", i))
	}
}

func (c *collector) hub(ch chan<- prometheus.Metric) {
	s := &c.g.hubStats
	counter(ch, c.records, s.records.Load())
	counter(ch, c.events, s.events.Load())
	counter(ch, c.hubGaps, s.gaps.Load())
	counter(ch, c.duplicates, s.duplicates.Load())
	counter(ch, c.jumps, s.jumps.Load())
	counter(ch, c.unknown, s.unknown.Load())
	counter(ch, c.stalls, s.stalls.Load())
	counter(ch, c.ringsLost, s.ringsLost.Load())
	counter(ch, c.ringErrors, s.ringErrors.Load())
	counter(ch, c.deflated, s.deflate.frames.Load(), "compressed")
	counter(ch, c.deflated, s.deflate.kept.Load(), "kept")
	counter(ch, c.deflateBytes, s.deflate.in.Load(), "before")
	counter(ch, c.deflateBytes, s.deflate.out.Load(), "after")
	ch <- prometheus.MustNewConstMetric(c.deflateSeconds, prometheus.CounterValue, float64(s.deflate.ns.Load())/1e9)
	for i, name := range resumeOutcomes {
		counter(ch, c.resumed, s.resumed[i].Load(), name)
	}
	counter(ch, c.replayed, s.replayed.Load())
	gauge(ch, c.pasts, float64(s.pasts.Load()))
	counter(ch, c.pastEvents, s.pastEvents.Load())
	gauge(ch, c.history, float64(s.history.Load()))
	gauge(ch, c.candleBytes, float64(s.candles.bytes.Load()))
	counter(ch, c.candlesLost, s.candles.late.Load(), "late")
	counter(ch, c.candlesLost, s.candles.inexact.Load(), "inexact")
	counter(ch, c.candlesLost, s.candles.dropped.Load(), "dropped")
	gauge(ch, c.topics, float64(s.topics.Load()))
	gauge(ch, c.ringsDown, float64(s.ringsDown.Load()))
	counter(ch, c.ringsOpened, s.ringsOpened.Load())
	gauge(ch, c.rings, float64(s.rings.Load()))
}
