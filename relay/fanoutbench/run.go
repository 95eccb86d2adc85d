package fanoutbench

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sample is what one turn of one server gave.
type sample struct {
	cpu, user, system float64 // of the server, ns per delivery
	p50, p99, p999    float64 // ns from when an event was due until a subscriber had read it
	inTime            float64 // share of all that was due
	told              float64 // share of all that was due, delivered or named by a gap
	gaps              uint64
	peak              int64 // resident bytes
}

// settleStill is how long nothing may come before a turn is over although something is
// missing, settleMost how long it may go on at all.
const (
	settleStill = time.Second
	settleMost  = time.Minute
)

// run sends ticks for d and waits for what comes of them.
func (s *server) run(ctx context.Context, n int, r rate, d time.Duration) (sample, error) {
	var out sample
	pid := s.proc.cmd.Process.Pid
	if _, err := s.ask("begin"); err != nil {
		return out, err
	}
	before, err := processorTime(pid)
	if err != nil {
		return out, err
	}
	due, err := s.ticks(ctx, r, d, &out.peak)
	if err != nil {
		return out, err
	}
	want := uint64(due) * uint64(n)
	t, err := s.settle(ctx, want)
	if err != nil {
		return out, err
	}
	after, err := processorTime(pid)
	if err != nil {
		return out, err
	}
	if err := s.judge(t); err != nil || t.Received == 0 {
		return out, err
	}
	used := after.sub(before)
	got := float64(t.Received)
	share := used.total / max(used.user+used.system, 1)
	out.cpu, out.user, out.system = used.total/got, used.user*share/got, used.system*share/got
	h := hdrhistogram.Import(t.Latency)
	out.p50, out.p99, out.p999 = float64(h.ValueAtPercentile(50)), float64(h.ValueAtPercentile(99)), float64(h.ValueAtPercentile(99.9))
	out.inTime = float64(t.InTime) / float64(want)
	out.told = float64(t.Received+t.Missed) / float64(want)
	out.gaps = t.Gaps
	return out, nil
}

// judge ends the benchmark if ours lost something without a word. A peer that throws
// its subscribers out, or stops, has bad figures instead.
func (s *server) judge(t *tally) error {
	if s.name != nameOurs {
		return nil
	}
	switch {
	case t.Received == 0:
		return fmt.Errorf("fanoutbench: the gateway delivered nothing%s", s.proc.err.text())
	case t.Lost > 0:
		return fmt.Errorf("fanoutbench: the gateway lost %d subscribers%s", t.Lost, s.proc.err.text())
	case t.Holes > 0:
		return fmt.Errorf("fanoutbench: the gateway lost %d events without a word", t.Holes)
	}
	return nil
}

// ticks sends events on a fixed timetable and returns how many were due. An event is
// stamped with the time at which it was sent, or, if the server held the sender up, with
// the time at which it was due: waiting for the server is part of the latency.
func (s *server) ticks(ctx context.Context, r rate, d time.Duration, peak *int64) (due int, err error) {
	every := time.Second / time.Duration(r.hz)
	n := max(int(d/every), 1)
	start := time.Now().Add(time.Millisecond)
	for i := range n {
		at := start.Add(time.Duration(i) * every)
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
			at = time.Now()
		} else if -wait > 10*d+time.Second {
			break // it takes nothing any more; what was not sent counts as due
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := s.feed.tick(r.perTick, at.UnixNano()); err != nil {
			return 0, fmt.Errorf("fanoutbench: %s takes no events: %w%s", s.name, err, s.proc.err.text())
		}
		if rss, err := resident(s.proc.cmd.Process.Pid); err == nil {
			*peak = max(*peak, rss)
		}
	}
	return n * r.perTick, nil
}

// settle waits until everything has come, or nothing comes any more.
func (s *server) settle(ctx context.Context, want uint64) (*tally, error) {
	var last uint64
	start := time.Now()
	moved := start
	for {
		t, err := s.ask("report")
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if seen := t.Received + t.Missed; seen != last {
			last, moved = seen, now
		}
		if last >= want || now.Sub(moved) > settleStill || now.Sub(start) > settleMost {
			return t, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
