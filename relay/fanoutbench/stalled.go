package fanoutbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/ringbench"
)

// Stalled is a process of subscribers that subscribe and never read again: the
// address, how many, and the messages to send. It says "ready" and ends with its
// input.
func Stalled(_ context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("fanoutbench: stalled: want ADDR N [MESSAGE…]")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("fanoutbench: stalled: %w", err)
	}
	hello := []byte(upgrade)
	for _, m := range args[2:] {
		f, err := ws.CompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(m))))
		if err != nil {
			return fmt.Errorf("fanoutbench: stalled: %w", err)
		}
		hello = append(hello, f...)
	}
	for i := range n {
		c, err := net.DialTimeout("tcp", args[0], time.Minute)
		if err != nil {
			return fmt.Errorf("fanoutbench: stalled subscriber %d: %w", i, err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4096) // little waits in the kernel
		if _, err := c.Write(hello); err != nil {
			return fmt.Errorf("fanoutbench: stalled subscriber %d: %w", i, err)
		}
	}
	fmt.Fprintln(out, "ready")
	_, err = bufio.NewReader(in).ReadString('\n')
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// stalledRate fills a stalled subscriber's queue within a turn.
var stalledRate = rate{4, 100}

// stalledRows measures ours without and with a tenth more subscribers that never
// read, turn by turn; those that read must notice nothing.
func (c *Config) stalledRows(ctx context.Context, k *kind) ([]ringbench.Row, error) {
	s, err := k.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.fill(ctx, c, c.Subscribers, "", k.greet); err != nil {
		return nil, err
	}
	all := results{}
	stalled := max(1, c.Subscribers/10)
	for range c.Rounds {
		got, err := s.run(ctx, c.Subscribers, stalledRate, c.Duration)
		if err != nil {
			return nil, err
		}
		all.add("without", stalledRate, got)
		p, err := startProcess(c.child(ctx, append([]string{"stalled", s.addr, strconv.Itoa(stalled)}, k.greet...)...))
		if err != nil {
			return nil, err
		}
		if line, err := p.line(); err != nil || line != "ready" {
			p.stop()
			return nil, fmt.Errorf("fanoutbench: stalled subscribers said %q: %w", line, err)
		}
		got, err = s.run(ctx, c.Subscribers, stalledRate, c.Duration)
		p.stop()
		if err != nil {
			return nil, err
		}
		c.Log.Info("stalled subscribers", "p99_us", got.p99/1e3, "in_time", got.inTime)
		all.add("with", stalledRate, got)
	}
	label := fmt.Sprintf(" beside %d stalled, %s (%d subscribers)", stalled, stalledRate, c.Subscribers)
	alone := &kind{name: "without them"}
	p99 := func(x *sample) float64 { return x.p99 / 1e3 }
	share := func(x *sample) float64 { return x.inTime }
	told := func(x *sample) float64 { return x.told }
	with := func(f func(*sample) float64) float64 { return all.median("with", stalledRate, f) }
	without := func(f func(*sample) float64) float64 { return all.median("without", stalledRate, f) }
	return []ringbench.Row{
		beside(ringbench.Row{Name: "p99 delivery latency" + label, Unit: "µs", Value: with(p99),
			P50: with(func(x *sample) float64 { return x.p50 / 1e3 }), P99: with(p99), P999: with(func(x *sample) float64 { return x.p999 / 1e3 })},
			alone, without(p99), "<=1.3"),
		beside(ringbench.Row{Name: "share within 100 ms" + label, Unit: "of 1", Value: with(share)}, alone, without(share), ">=0.98"),
		beside(ringbench.Row{Name: "delivered or named by a gap" + label, Unit: "of 1", Value: with(told)}, alone, without(told), ">=1"),
	}, nil
}
