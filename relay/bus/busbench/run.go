package busbench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"

	"tickrelay/relay/bus/natsserver"
	"tickrelay/ring/md"
	"tickrelay/ring/ringbench"
)

// Config of a run. Zero fields take the default.
type Config struct {
	Rounds   int           // default 5
	Duration time.Duration // of each figure and round, default 1 s
	Rate     int           // events per second while latency is measured, default 1000
}

func (c Config) withDefaults() Config {
	if c.Rounds == 0 {
		c.Rounds = 5
	}
	if c.Duration == 0 {
		c.Duration = time.Second
	}
	if c.Rate == 0 {
		c.Rate = 1000
	}
	return c
}

func (c *Config) validate() error {
	if c.Rounds < 1 || c.Duration < 10*time.Millisecond || c.Rate < 1 || c.Rate > 100_000 {
		return fmt.Errorf("busbench: %d rounds of %s at %d events per second: want 1 or more, 10ms or more, 1 to 100000", c.Rounds, c.Duration, c.Rate)
	}
	return nil
}

// perEvent is how many records one event has while the throughput is measured.
const perEvent = 32

// outstanding is how many records may be under way then.
const outstanding = 1 << 14

// way is what is measured: the bus, or bare NATS.
type way interface {
	// send sends an event of n records that carry the time now in TsRecv.
	send(n int, now int64) error
	// receive calls f for each record that has come, and waits a little for one.
	receive(f func(tsRecv int64)) error
	close()
}

// Run measures and reports. ctx ends it early with an error.
func Run(ctx context.Context, cfg Config) (*ringbench.Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	srv, err := natsserver.Start(natsserver.Config{Name: "bench"})
	if err != nil {
		return nil, err
	}
	defer srv.Stop()
	ours, err := newBusWay(ctx, srv.URL())
	if err != nil {
		return nil, err
	}
	defer ours.close()
	bare, err := newBareWay(srv.URL())
	if err != nil {
		return nil, err
	}
	defer bare.close()
	hists := [2]*hdrhistogram.Histogram{}
	rates := [2]float64{}
	for i := range hists {
		hists[i] = hdrhistogram.New(1, int64(10*time.Second), 3)
	}
	for range cfg.Rounds {
		for i, w := range []way{ours, bare} {
			if err := latency(ctx, w, cfg, hists[i]); err != nil {
				return nil, err
			}
			r, err := throughput(ctx, w, cfg.Duration)
			if err != nil {
				return nil, err
			}
			rates[i] += r / float64(cfg.Rounds)
		}
	}
	us := func(i int, q float64) float64 { return float64(hists[i].ValueAtQuantile(q)) / 1e3 }
	const base = "bare NATS, the same bytes"
	return &ringbench.Report{Bench: "bus", Hardware: ringbench.Hardware(), Rows: []ringbench.Row{
		ringbench.NewRow(ringbench.Row{Name: "feed to the other host's ring, p50", Value: us(0, 50), Unit: "us", P50: us(0, 50), P99: us(0, 99), P999: us(0, 99.9), Baseline: base, BaselineValue: us(1, 50)}),
		ringbench.NewRow(ringbench.Row{Name: "feed to the other host's ring, p99", Value: us(0, 99), Unit: "us", Baseline: base, BaselineValue: us(1, 99)}),
		ringbench.NewRow(ringbench.Row{Name: "added by the bus, p50", Value: us(0, 50) - us(1, 50), Unit: "us", Baseline: base, BaselineValue: us(1, 50)}),
		ringbench.NewRow(ringbench.Row{Name: "added by the bus, p99", Value: us(0, 99) - us(1, 99), Unit: "us", Baseline: base, BaselineValue: us(1, 99)}),
		ringbench.NewRow(ringbench.Row{Name: fmt.Sprintf("records, %d an event", perEvent), Value: rates[0] / 1e6, Unit: "million/s", Baseline: base, BaselineValue: rates[1] / 1e6}),
	}}, nil
}

// latency sends one record at a time at the configured pace.
func latency(ctx context.Context, w way, cfg Config, h *hdrhistogram.Histogram) error {
	n := max(1, int(cfg.Duration.Seconds()*float64(cfg.Rate)))
	every := time.Second / time.Duration(cfg.Rate)
	next := time.Now()
	for range n {
		for time.Now().Before(next) {
			runtime.Gosched()
		}
		next = time.Now().Add(every)
		if err := w.send(1, time.Now().UnixNano()); err != nil {
			return err
		}
		if err := await(ctx, w, 1, func(ts int64) { _ = h.RecordValue(max(1, time.Now().UnixNano()-ts)) }); err != nil {
			return err
		}
	}
	return nil
}

// stuck is how long nothing may come before a run is given up.
const stuck = 10 * time.Second

// await receives n records.
func await(ctx context.Context, w way, n int, f func(int64)) error {
	last := time.Now()
	for n > 0 {
		if err := w.receive(func(ts int64) { n--; f(ts); last = time.Now() }); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(last) > stuck {
			return fmt.Errorf("busbench: %d records did not arrive within %s", n, stuck)
		}
	}
	return nil
}

// throughput sends events as fast as they are taken and returns records per
// second.
func throughput(ctx context.Context, w way, d time.Duration) (float64, error) {
	sent, got := 0, 0
	count := func(int64) { got++ }
	began := time.Now()
	for time.Since(began) < d {
		for sent-got < outstanding {
			if err := w.send(perEvent, time.Now().UnixNano()); err != nil {
				return 0, err
			}
			sent += perEvent
		}
		if err := await(ctx, w, 1, count); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	n := got
	return float64(n) / took.Seconds(), await(ctx, w, sent-got, count)
}

// bareWay publishes and subscribes with the client alone.
type bareWay struct {
	pub, sub *nats.Conn
	in       chan *nats.Msg
	buf      []md.Record
	recs     []md.Record
}

func newBareWay(url string) (*bareWay, error) {
	b := &bareWay{in: make(chan *nats.Msg, 1<<16), buf: make([]md.Record, perEvent+1), recs: make([]md.Record, perEvent+1)}
	var err error
	if b.pub, err = nats.Connect(url); err != nil {
		return nil, err
	}
	if b.sub, err = nats.Connect(url); err != nil {
		b.pub.Close()
		return nil, err
	}
	if _, err = b.sub.ChanSubscribe("bare.trades.X", b.in); err == nil {
		err = b.sub.Flush()
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// send sends as many bytes as the bus does: a heartbeat and the records.
func (b *bareWay) send(n int, now int64) error {
	for i := range b.buf[:n+1] {
		b.buf[i].TsRecv = now
	}
	return b.pub.Publish("bare.trades.X", md.AsBytes(b.buf[:n+1]))
}

func (b *bareWay) receive(f func(int64)) error {
	select {
	case m := <-b.in:
		n := copy(md.AsBytes(b.recs), m.Data) / md.RecordSize
		for i := range b.recs[1:n] {
			f(b.recs[1+i].TsRecv)
		}
	case <-time.After(10 * time.Millisecond):
	}
	return nil
}

func (b *bareWay) close() {
	b.pub.Close()
	b.sub.Close()
}
