package fanoutbench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tickrelay/ring/ringbench"
)

// results are the samples by server and rate.
type results map[string]map[rate][]sample

func (r results) add(name string, at rate, s sample) {
	if r[name] == nil {
		r[name] = map[rate][]sample{}
	}
	r[name][at] = append(r[name][at], s)
}

// median of one figure over the rounds.
func (r results) median(name string, at rate, figure func(*sample) float64) float64 {
	var v []float64
	for i := range r[name][at] {
		v = append(v, figure(&r[name][at][i]))
	}
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// beside fills in a row's baseline. Without one the row says why and has no goal.
func beside(row ringbench.Row, k *kind, value float64, goal string) ringbench.Row {
	row.Baseline = k.name
	if k.skip != "" {
		row.Baseline = k.name + " (left out: " + k.skip + ")"
		return ringbench.NewRow(row)
	}
	if value == 0 && goal == "<=1" {
		row.Baseline, goal = k.name+" (delivered nothing)", ""
	}
	row.BaselineValue, row.Goal = value, goal
	return ringbench.NewRow(row)
}

// floorGoal is what may be added to the kernel's cost at one event per tick.
const floorGoal = "<=1.15"

func (r results) rows(kinds []*kind, secure bool) (out []ringbench.Row) {
	over := ""
	if secure {
		over = ", TLS"
	}
	cpu := func(s *sample) float64 { return s.cpu / 1e3 }
	p99 := func(s *sample) float64 { return s.p99 / 1e3 }
	for _, at := range rates() {
		ours := func(f func(*sample) float64) float64 { return r.median(nameOurs, at, f) }
		for _, k := range kinds[1:] {
			goal := "<=1"
			if k.name == nameFloor {
				goal = ""
				if at.perTick == 1 {
					goal = floorGoal
				}
			}
			row := ringbench.Row{Name: fmt.Sprintf("CPU per delivery, %s%s", at, over), Unit: "µs", Value: ours(cpu)}
			out = append(out, beside(row, k, r.median(k.name, at, cpu), goal))
		}
		for _, part := range []struct {
			name string
			of   func(*sample) float64
		}{{"user", func(s *sample) float64 { return s.user / 1e3 }}, {"system", func(s *sample) float64 { return s.system / 1e3 }}} {
			row := ringbench.Row{Name: fmt.Sprintf("of it %s time, %s%s", part.name, at, over), Unit: "µs", Value: ours(part.of)}
			for _, k := range kinds[1:] {
				out = append(out, beside(row, k, r.median(k.name, at, part.of), ""))
			}
		}
		for _, k := range kinds[1:] {
			row := ringbench.Row{Name: fmt.Sprintf("p99 delivery latency, %s%s", at, over), Unit: "µs", Value: ours(p99),
				P50: ours(func(s *sample) float64 { return s.p50 / 1e3 }), P99: ours(p99), P999: ours(func(s *sample) float64 { return s.p999 / 1e3 })}
			goal := "<=1"
			if k.name == nameFloor {
				goal = "" // it has one thread and no queue: shown for the scale
			}
			out = append(out, beside(row, k, r.median(k.name, at, p99), goal))
		}
		for _, k := range kinds[1:] {
			inTime := func(s *sample) float64 { return s.inTime }
			row := ringbench.Row{Name: fmt.Sprintf("share within 100 ms, %s%s", at, over), Unit: "of 1", Value: ours(inTime)}
			goal := ">=0.99"
			if k.name == nameFloor {
				goal = ""
			}
			out = append(out, beside(row, k, r.median(k.name, at, inTime), goal))
		}
	}
	return out
}

// saturate raises the rate until gws falls behind (or a limit, without gws) and holds
// ours at that rate: everything must come or be named by a gap, in bounded memory.
func (c *Config) saturate(ctx context.Context, servers []*server) ([]ringbench.Row, error) {
	find := func(name string) *server {
		for _, s := range servers {
			if s.name == name {
				return s
			}
		}
		return nil
	}
	gws, ours := find(nameGWS), find(nameOurs)
	var theirs sample
	at := rate{10, 100}
	k := &kind{name: nameGWS, skip: "it does not take part"}
	for gws != nil {
		var err error
		if theirs, err = gws.run(ctx, c.Subscribers, at, c.Duration); err != nil {
			return nil, err
		}
		k.skip = ""
		c.Log.Info("saturating gws", "events_per_s", at.perTick*at.hz, "in_time", theirs.inTime)
		if theirs.inTime < 0.9 || at.hz >= 1600 {
			break
		}
		at.hz *= 2
	}
	got, err := ours.run(ctx, c.Subscribers, at, c.Duration)
	if err != nil {
		return nil, err
	}
	c.Log.Info("ours at that rate", "in_time", got.inTime, "told", got.told, "gaps", got.gaps)
	label := fmt.Sprintf(" at %d events/s (%d subscribers)", at.perTick*at.hz, c.Subscribers)
	mib := func(b int64) float64 { return float64(b) / (1 << 20) }
	whole := &kind{name: "all of them"}
	rows := []ringbench.Row{
		beside(ringbench.Row{Name: "share within 100 ms" + label, Unit: "of 1", Value: got.inTime}, k, theirs.inTime, ">=1"),
		beside(ringbench.Row{Name: "delivered or named by a gap" + label, Unit: "of 1", Value: got.told}, whole, 1, ">=1"),
		beside(ringbench.Row{Name: "gap messages" + label, Unit: "messages", Value: float64(got.gaps)}, k, float64(theirs.gaps), ""),
		beside(ringbench.Row{Name: "resident memory, most" + label, Unit: "MiB", Value: mib(got.peak)}, k, mib(theirs.peak), "<=1"),
	}
	return rows, nil
}

// idleGoal is what a subscriber that gets nothing may take of resident memory.
const idleGoal = 1.5 // KiB

// idleRows measures what each server's resident memory grows by, per subscriber that is
// connected and gets nothing.
func (c *Config) idleRows(ctx context.Context, kinds []*kind) (rows []ringbench.Row, err error) {
	held := map[string]float64{}
	for _, k := range kinds {
		if k.skip != "" {
			continue
		}
		if held[k.name], err = c.idle(ctx, k); err != nil {
			return nil, err
		}
		c.Log.Info("idle memory", "server", k.name, "kib_each", held[k.name])
	}
	row := ringbench.Row{Name: fmt.Sprintf("resident memory per idle subscriber, %d connections", c.Idle), Unit: "KiB", Value: held[nameOurs]}
	rows = append(rows, beside(row, &kind{name: "the goal"}, idleGoal, "<=1"))
	for _, k := range kinds[1:] {
		if k.name != nameFloor {
			rows = append(rows, beside(row, k, held[k.name], "<=1"))
		}
	}
	return rows, nil
}

// idleRest lets a server come to rest after the handshakes.
const idleRest = 2 * time.Second

// idle is KiB per connection.
func (c *Config) idle(ctx context.Context, k *kind) (float64, error) {
	s, err := k.open(ctx)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if err := s.fill(ctx, c, c.Idle, "", k.greet); err != nil {
		return 0, err
	}
	time.Sleep(min(idleRest, c.Duration))
	now, err := resident(s.proc.cmd.Process.Pid)
	return max(float64(now-s.empty)/float64(c.Idle)/1024, 0.001), err
}
