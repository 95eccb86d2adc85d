package relay

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
)

// Overview is the state of a relay as one answer, for those on call. Counters start at
// 0 with the process.
type Overview struct {
	// NowNs is when it was made, CLOCK_REALTIME ns.
	NowNs int64        `json:"now_ns,string"`
	Relay string       `json:"relay"`
	Feeds []FeedStatus `json:"feeds"`
	Rings []RingStatus `json:"rings"`
	// Gateway is nil where the process that answers runs none.
	Gateway *GatewayStatus `json:"gateway,omitempty"`
}

// RingStatus is one ring in shared memory.
type RingStatus struct {
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
	Venue    string `json:"venue"`
	// State is "open", "closed", "broken", "dead" or "unreadable".
	State string `json:"state"`
	// Alive says that a strategy holds the ring.
	Alive bool `json:"alive"`
	// Capacity and Depth are in records: room, and what waits for the strategy.
	Capacity int `json:"capacity"`
	Depth    int `json:"depth"`
	// LagNs is the age of the oldest record that waits.
	LagNs int64 `json:"lag_ns"`
	// Written records, Lost ones because the strategy was too slow, and the times that
	// this began.
	Written  uint64 `json:"written"`
	Lost     uint64 `json:"lost"`
	Overruns uint64 `json:"overruns"`
}

// GatewayStatus is how a gateway is doing.
type GatewayStatus struct {
	Addr string `json:"addr"`
	// Connections are WebSockets now; Topics and Rings what is read.
	Connections int   `json:"connections"`
	Topics      int64 `json:"topics"`
	Rings       int64 `json:"rings"`
	RingsDown   int64 `json:"rings_down"`
	// Messages and Bytes sent over WebSocket.
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	// Overflows of client queues; state messages Conflated and numbers Dropped for
	// slow clients; connections closed for being slow, and refused ones.
	Overflows  uint64 `json:"overflows"`
	Conflated  uint64 `json:"conflated"`
	Dropped    uint64 `json:"dropped"`
	ClosedSlow uint64 `json:"closed_slow"`
	Refused    uint64 `json:"refused"`
	// Deliver is reception to the sockets of all subscribers that keep up.
	Deliver StageStatus `json:"deliver"`
	// Clients are the connections with most to wait for, at most MaxClientsShown.
	Clients []ClientStatus `json:"clients"`
}

// MaxClientsShown bounds GatewayStatus.Clients.
const MaxClientsShown = 100

// ClientStatus is one WebSocket connection.
type ClientStatus struct {
	// Client is its address, Who the name of its token, "" without one.
	Client string `json:"client"`
	Who    string `json:"who,omitempty"`
	// Format is "json" or "binary", or "raw" for a passthrough client.
	Format string `json:"format"`
	Topics int    `json:"topics"`
	// QueueMessages and QueueBytes wait for it; SlowNs is for how long its queue has
	// not been empty since it overflowed, 0 if it keeps up.
	QueueMessages int   `json:"queue_messages"`
	QueueBytes    int   `json:"queue_bytes"`
	SlowNs        int64 `json:"slow_ns"`
}

// overviewWithin bounds the wait for one fan-out loop.
const overviewWithin = time.Second

// Status tells how the gateway is doing. It asks each fan-out loop, and leaves the
// clients of one that does not answer within a second out. Any goroutine, once Run runs.
func (g *Gateway) Status() *GatewayStatus {
	hub := &g.hubStats
	s := &GatewayStatus{Addr: g.addr.String(), Connections: g.connections(), Topics: hub.topics.Load(), Rings: hub.rings.Load(),
		RingsDown: hub.ringsDown.Load(), Deliver: deliverStage(g.shards), Clients: []ClientStatus{}}
	for _, sh := range g.shards {
		st := &sh.stats
		for i := range st.messages {
			s.Messages += st.messages[i].Load()
		}
		s.Bytes += st.bytes.Load()
		s.Overflows += st.overflows.Load()
		s.Conflated += st.conflated.Load()
		s.Dropped += st.dropped.Load()
		s.ClosedSlow += st.closed[closedSlow].Load() + st.closed[closedPolicy].Load()
		s.Clients = append(s.Clients, sh.clients()...)
	}
	for i := range g.accept.stats.refused {
		s.Refused += g.accept.stats.refused[i].Load()
	}
	worst(s.Clients)
	s.Clients = s.Clients[:min(len(s.Clients), MaxClientsShown)]
	return s
}

func worst(list []ClientStatus) {
	slices.SortStableFunc(list, func(a, b ClientStatus) int {
		return cmp.Or(cmp.Compare(b.SlowNs, a.SlowNs), cmp.Compare(b.QueueBytes, a.QueueBytes), cmp.Compare(a.Client, b.Client))
	})
}

// clients asks the shard's goroutine for its connections, the worst of them.
func (s *shard) clients() []ClientStatus {
	answer := make(chan []ClientStatus, 1)
	s.calls.put(func() {
		list := make([]ClientStatus, 0, len(s.conns))
		for _, c := range s.conns {
			x := ClientStatus{Client: c.client.String(), Who: c.grant.Who(), Format: "json", Topics: c.subs.len(), QueueMessages: c.messages(), QueueBytes: c.bytes}
			switch {
			case c.raw != 0:
				x.Format = "raw"
			case c.format.plain() == formatBinary:
				x.Format = "binary"
			}
			if c.slowSince != 0 {
				x.SlowNs = s.mono() - c.slowSince
			}
			list = append(list, x)
		}
		worst(list)
		answer <- list[:min(len(list), MaxClientsShown)]
	})
	select {
	case list := <-answer:
		return list
	case <-time.After(overviewWithin):
		return nil
	}
}

// deliverStage sums the shards' histograms up.
func deliverStage(shards []*shard) StageStatus {
	st := StageStatus{Name: "deliver", BoundsNs: make([]int64, latencyBuckets), Counts: make([]uint64, latencyBuckets+1)}
	for i := range st.BoundsNs {
		st.BoundsNs[i] = 1000 << i
	}
	for _, s := range shards {
		for i := range s.stats.delivered {
			l := s.stats.delivered[i].Load()
			if l == nil {
				continue
			}
			for b := range l.buckets {
				st.Counts[b] += l.buckets[b].Load()
			}
			st.Negative += l.negative.Load()
		}
	}
	return st
}

// Overview is everything about a relay that its gateway knows, as /api/v1/overview tells
// it. Like Status it asks each fan-out loop. Any goroutine, once Run runs.
func (g *Gateway) Overview() *Overview {
	o := &Overview{NowNs: time.Now().UnixNano(), Relay: g.cfg.Relay, Feeds: g.feeds(), Rings: []RingStatus{}, Gateway: g.Status()}
	if g.cfg.Rings != nil {
		o.Rings = append(o.Rings, g.cfg.Rings()...)
	}
	return o
}

// overview answers with everything, for who may see /metrics: it names clients.
func (h *httpServer) overview(ctx *fasthttp.RequestCtx) {
	body, err := json.Marshal(h.g.Overview())
	if err != nil {
		problem(ctx, fasthttp.StatusInternalServerError, err.Error())
		return
	}
	reply(ctx, body)
}
