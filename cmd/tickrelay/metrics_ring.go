package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"tickrelay/ring"
)

// ringMetrics exports what can be seen of the shared-memory rings.
type ringMetrics struct {
	dir string
}

// ringCounter is one plain counter of a ring.
type ringCounter struct {
	desc *prometheus.Desc
	read func(*ring.Info) uint64
}

var (
	ringDepth     = desc("ring_depth_records", "Records that wait for the strategy.", "ring")
	ringCapacity  = desc("ring_capacity_records", "Records that the ring holds.", "ring")
	ringConsumer  = desc("ring_consumer_alive", "1 while a strategy holds the ring.", "ring")
	ringLag       = desc("ring_lag_seconds", "Age of the oldest record that waits, since its reception.", "ring")
	ringBytes     = desc("ring_bytes", "Memory of the ring.", "ring")
	ringBroken    = desc("ring_unreadable", "1 for a file in the relay's directory that should be a ring and cannot be read.", "ring")
	ringReaders   = desc("ring_readers", "Readers of a broadcast ring.", "ring")
	ringMissed    = desc("ring_readers_missed_records", "Records that the readers of a broadcast ring who are there now were too slow for.", "ring")
	shmSize       = desc("shm_size_bytes", "Size of the file system that holds the rings.")
	shmFree       = desc("shm_free_bytes", "What is free of the file system that holds the rings.")
	ringCountings = []ringCounter{
		{desc("ring_written_records_total", "Records written.", "ring"), func(i *ring.Info) uint64 { return i.Head }},
		{desc("ring_lost_records_total", "Records dropped because the strategy was too slow.", "ring"), func(i *ring.Info) uint64 { return i.Counters.LostRecords }},
		{desc("ring_lost_events_total", "Events dropped because the strategy was too slow.", "ring"), func(i *ring.Info) uint64 { return i.Counters.LostEvents }},
		{desc("ring_overruns_total", "Times that a topic was suppressed.", "ring"), func(i *ring.Info) uint64 { return i.Counters.Overruns }},
		{desc("ring_gaps_total", "Upstream gaps written.", "ring"), func(i *ring.Info) uint64 { return i.Counters.Gaps }},
		{desc("ring_snapshots_total", "Book snapshots completed.", "ring"), func(i *ring.Info) uint64 { return i.Counters.Snapshots }},
		{desc("ring_snapshot_levels_total", "Levels written for snapshots.", "ring"), func(i *ring.Info) uint64 { return i.Counters.Levels }},
		{desc("ring_wakes_total", "System calls made to wake the strategy.", "ring"), func(i *ring.Info) uint64 { return i.Counters.Wakes }},
		{desc("ring_attached_total", "Times that a strategy took the ring.", "ring"), func(i *ring.Info) uint64 { return i.Counters.Starts }},
	}
)

// Describe implements prometheus.Collector.
func (m *ringMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ringDepth, ringCapacity, ringConsumer, ringLag, ringBytes, ringBroken, ringReaders, ringMissed, shmSize, shmFree} {
		ch <- d
	}
	for _, c := range ringCountings {
		ch <- c.desc
	}
}

// Collect implements prometheus.Collector.
func (m *ringMetrics) Collect(ch chan<- prometheus.Metric) {
	var st unix.Statfs_t
	if unix.Statfs(ring.DefaultBase, &st) == nil {
		ch <- gauge(shmSize, float64(st.Blocks)*float64(st.Bsize))
		ch <- gauge(shmFree, float64(st.Bavail)*float64(st.Bsize))
	}
	list, err := ring.List(m.dir)
	if err != nil {
		return // the directory is gone: the relay is stopping
	}
	for i := range list {
		in := &list[i]
		if in.Err != "" {
			ch <- gauge(ringBroken, 1, in.Name)
			continue
		}
		alive := 0.0
		if in.Consumer.Alive || len(in.Readers) > 0 {
			alive = 1
		}
		ch <- gauge(ringBroken, 0, in.Name)
		ch <- gauge(ringDepth, float64(in.Depth), in.Name)
		ch <- gauge(ringCapacity, float64(in.Capacity), in.Name)
		ch <- gauge(ringConsumer, alive, in.Name)
		ch <- gauge(ringLag, float64(in.LagNs)/1e9, in.Name)
		ch <- gauge(ringBytes, float64(in.Bytes), in.Name)
		if in.Broadcast {
			missed := uint64(0)
			for _, r := range in.Readers {
				missed += r.Missed
			}
			ch <- gauge(ringReaders, float64(len(in.Readers)), in.Name)
			ch <- gauge(ringMissed, float64(missed), in.Name)
		}
		for _, c := range ringCountings {
			ch <- counter(c.desc, c.read(in), in.Name)
		}
	}
}
