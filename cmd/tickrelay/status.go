package main

import (
	"path/filepath"
	"strings"
	"time"

	"tickrelay/feeds"
	"tickrelay/relay"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// status tells the gateway, which knows nothing of feeds, how they are.
func (r *relayd) status() []relay.FeedStatus {
	out := make([]relay.FeedStatus, 0, len(r.feeds()))
	for _, f := range r.feeds() {
		out = append(out, feedStatus(f.Health(), f.Stats()))
	}
	return append(out, r.busStatus()...)
}

func feedStatus(h feeds.Health, st *feeds.Stats) relay.FeedStatus {
	s := relay.FeedStatus{
		Name: h.Name, Venue: h.Venue, State: plainState(h.State),
		LatencyP50Ns: h.Latency.P50, LatencyP99Ns: h.Latency.P99,
		Frames: st.Frames.Load(), Records: st.Records.Load(), Gaps: st.GapsTotal(),
		Rejected: st.RejectedTotal(), Resyncs: st.Resyncs.Load(),
		Stages: []relay.StageStatus{
			stage("receive", st, func(l *feeds.ChannelLatency) *feeds.Histogram { return &l.Receive }),
			stage("publish", st, func(l *feeds.ChannelLatency) *feeds.Histogram { return &l.Publish }),
		},
	}
	for _, t := range st.Topics() {
		if t.State != feeds.TopicLive && strings.Contains(t.Topic, "."+md.ChannelBook.String()+".") {
			s.BrokenBooks++
		}
	}
	for _, l := range h.Lines {
		ls := relay.LineStatus{
			Line: l.Line, State: plainState(l.State.String()), URL: h.URL, Remote: l.Remote, SinceNs: l.Since,
			Frames: l.Frames, Options: strings.Join(l.Options, " "), Error: l.LastError,
		}
		if l.Connects > 0 {
			ls.Reconnects = l.Connects - 1
		}
		s.LastRecvNs = max(s.LastRecvNs, l.LastFrame)
		s.Lines = append(s.Lines, ls)
	}
	return s
}

// ringsOf tells of the rings in a relay's directory.
func ringsOf(dir string) func() []relay.RingStatus {
	return func() []relay.RingStatus {
		list, err := ring.List(dir)
		if err != nil {
			return nil // the directory is gone: the relay is stopping
		}
		out := make([]relay.RingStatus, 0, len(list))
		for i := range list {
			in := &list[i]
			out = append(out, relay.RingStatus{Name: in.Name, Strategy: in.Strategy, Venue: in.VenueName, State: in.State, Alive: in.Consumer.Alive,
				Capacity: in.Capacity, Depth: in.Depth, LagNs: in.LagNs, Written: in.Head, Lost: in.Counters.LostRecords, Overruns: in.Counters.Overruns})
		}
		return out
	}
}

// overview is all of that, for the control socket.
func (r *relayd) overview() *relay.Overview {
	if r.gw != nil {
		return r.gw.Overview()
	}
	return &relay.Overview{NowNs: time.Now().UnixNano(), Relay: filepath.Base(r.dir.Path()), Feeds: r.status(), Rings: ringsOf(r.dir.Path())()}
}

// stage sums a histogram over the channels.
func stage(name string, st *feeds.Stats, of func(*feeds.ChannelLatency) *feeds.Histogram) relay.StageStatus {
	out := relay.StageStatus{Name: name, BoundsNs: feeds.HistogramBounds[:], Counts: make([]uint64, len(feeds.HistogramBounds)+1)}
	for c := range st.Latency {
		h, within := of(&st.Latency[c]), uint64(0)
		for i := range h.Buckets {
			n := h.Buckets[i].Load()
			out.Counts[i] += n
			within += n
		}
		if all := h.Count.Load(); all > within {
			out.Counts[len(out.Counts)-1] += all - within
		}
		out.Negative += h.Negative.Load()
	}
	return out
}

// plainState sums the steps of a connection up.
func plainState(s string) string {
	switch s {
	case "live", "backoff":
		return s
	case "idle":
		return "stopped"
	default:
		return "connecting"
	}
}
