package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/relay/record"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// recordCapacity is the ring between a feed and the recorder, in records: what the
// recorder may be behind before records are lost to it.
const recordCapacity = 1 << 17

// recordd is the recorder of this process. The zero value: none.
type recordd struct {
	rec     *record.Recorder
	rings   *record.Rings
	fromBus []*ring.Segment // rings of what comes over the bus
}

// openRecorder makes the recorder beside the feeds and the bus, over rings in this
// process's memory.
func (r *relayd) openRecorder() (err error) {
	c := r.cfg.Record
	if c == nil || c.Apart {
		return nil
	}
	if r.recorder.rec, err = record.New(c.recorder(r.cfg.Relay, r.log)); err != nil {
		return err
	}
	r.recorder.rings = record.NewRings(r.view)
	if r.bus.in != nil {
		if err = r.recordBus(); err != nil {
			return err
		}
	}
	return r.addReader(&feedReader{name: "record", capacity: recordCapacity, add: func(c *ring.Consumer) { r.recorder.rings.Add(c) }})
}

// recordBus has the recorder read what comes over the bus, from the end of the history on.
func (r *relayd) recordBus() error {
	for _, v := range r.bus.in.Venues() {
		m := r.meta("record")
		m.Name = ringName("record", busName(v.Venue))
		seg := ring.NewHeap(recordCapacity, m)
		r.recorder.fromBus = append(r.recorder.fromBus, seg)
		c, err := ring.OpenConsumer(seg)
		if err != nil {
			return err
		}
		r.recorder.rings.Add(c)
		if _, err := r.bus.in.Attach(v.Venue, seg, func(uint32, md.Channel) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

// startRecorder runs it. What the feeds publish up to their end is recorded too.
func (r *relayd) startRecorder() {
	if r.recorder.rec == nil {
		return
	}
	r.running.part("recorder", func(ctx context.Context) error {
		later, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		context.AfterFunc(ctx, func() {
			defer stop()
			late := time.After(feedsWithin)
			for _, f := range r.feeds() {
				select {
				case <-f.life.done:
				case <-late:
					return
				}
			}
		})
		return r.recorder.rec.Run(later, r.recorder.rings)
	})
}

// close gives back what was opened.
func (r *recordd) close() error {
	if r.rec == nil {
		return nil
	}
	errs := []error{r.rec.Close(), r.rings.Close()}
	for _, seg := range r.fromBus {
		errs = append(errs, seg.Close())
	}
	return errors.Join(errs...)
}

var (
	recordRecords   = desc("record_records_total", "Records taken into the recording, its own gaps and key frames included.")
	recordLost      = desc("record_lost_records_total", "Numbered records not recorded because the device was full or failed.")
	recordGaps      = desc("record_gaps_total", "Gap records that the recorder itself wrote.")
	recordDups      = desc("record_duplicates_total", "Records that the recording had already.")
	recordUnknown   = desc("record_unknown_total", "Records without an instrument entry, not recorded.")
	recordFrames    = desc("record_keyframes_total", "States of a topic written at the beginning of an hour.")
	recordSuspended = desc("record_suspended", "1 while nothing is written because the device is full or fails.")
	recordSuspends  = desc("record_suspends_total", "Times that this began.")
	recordUnfit     = desc("record_decimals_unfit_total", "Numbers that the DECIMAL columns do not hold and that are null there.")
	recordFiles     = desc("record_files_total", "Journals sealed into files.")
	recordFailures  = desc("record_seal_failures_total", "Attempts to seal that failed; they are repeated.")
	recordBacklog   = desc("record_backlog_journals", "Journals that wait to be sealed.")
	recordMerges    = desc("record_merges_total", "Hours, or runs of parts, merged into one file.")
	recordPruned    = desc("record_pruned_files_total", "Files deleted because of their age or of the space.")
	recordBytes     = desc("record_bytes", "Size of the recording on the device.")
	recordRecovered = desc("record_recovered_records_total", "Records found in journals at the start.")
	recordTorn      = desc("record_torn_bytes_total", "Bytes at the ends of those that were no whole block.")
	recordDamaged   = desc("record_damaged_files_total", "Files that could not be read at the start and were renamed to NAME.damaged.")
)

// Describe implements prometheus.Collector.
func (r *recordd) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{recordRecords, recordLost, recordGaps, recordDups, recordUnknown, recordFrames, recordSuspended,
		recordSuspends, recordUnfit, recordFiles, recordFailures, recordBacklog, recordMerges, recordPruned, recordBytes, recordRecovered, recordTorn, recordDamaged} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *recordd) Collect(ch chan<- prometheus.Metric) {
	if r.rec == nil {
		return
	}
	s := r.rec.Stats()
	ch <- counter(recordRecords, s.Records.Load())
	ch <- counter(recordLost, s.Lost.Load())
	ch <- counter(recordGaps, s.Gaps.Load())
	ch <- counter(recordDups, s.Duplicates.Load())
	ch <- counter(recordUnknown, s.Unknown.Load())
	ch <- counter(recordFrames, s.KeyFrames.Load())
	suspended := 0.0
	if s.Suspended.Load() {
		suspended = 1
	}
	ch <- gauge(recordSuspended, suspended)
	ch <- counter(recordSuspends, s.Suspends.Load())
	ch <- counter(recordUnfit, s.Unfit.Load())
	ch <- counter(recordFiles, s.Files.Load())
	ch <- counter(recordFailures, s.SealErrors.Load())
	ch <- gauge(recordBacklog, float64(s.Backlog.Load()))
	ch <- counter(recordMerges, s.Merges.Load())
	ch <- counter(recordPruned, s.Pruned.Load())
	ch <- gauge(recordBytes, float64(s.Bytes.Load()))
	ch <- counter(recordRecovered, s.Recovered.Load())
	ch <- counter(recordTorn, s.Torn.Load())
	ch <- counter(recordDamaged, s.Damaged.Load())
}
