package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Config is how one round is measured. Addr must be set.
type Config struct {
	Addr      string        // host:port of Serve
	Pings     int           // messages there and back; default 400
	Gap       time.Duration // pause before each, so that CPUs fall idle as between frames; default 200 µs, negative none
	Message   int           // bytes each way; default 128
	Burst     int           // bytes of a transfer; default 1 MiB, at most MaxBurst
	Transfers int           // transfers each way; default 3
	Idle      time.Duration // pause before each transfer; beyond a second it shows tcp_slow_start_after_idle; default none
	Timeout   time.Duration // of a whole round; default 30 s
}

func (c Config) withDefaults() Config {
	if c.Pings == 0 {
		c.Pings = 400
	}
	if c.Gap == 0 {
		c.Gap = 200 * time.Microsecond
	}
	if c.Message == 0 {
		c.Message = 128
	}
	if c.Burst == 0 {
		c.Burst = 1 << 20
	}
	if c.Transfers == 0 {
		c.Transfers = 3
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	return c
}

func (c Config) validate() error {
	if c.Addr == "" || c.Pings < 1 || c.Transfers < 1 || c.Message < requestSize || c.Message > 1<<16 || c.Burst < c.Message || c.Burst > MaxBurst {
		return errors.New("probe: pings, transfers, message or burst out of range")
	}
	return nil
}

// Metrics names the figures of a Round, in their order.
func Metrics() []string { return []string{"ping p50", "ping p99", "burst down", "burst up"} }

// Round is one round's figures in ns, in the order of Metrics: the median and
// the 99th percentile of the messages, the median transfer each way.
type Round [4]float64

// Round connects, measures and closes.
func (c Config) Round(ctx context.Context) (Round, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return Round{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return Round{}, fmt.Errorf("probe: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r, err := c.measure(conn)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return Round{}, fmt.Errorf("probe %s: %w", c.Addr, err)
	}
	return r, nil
}

func (c Config) measure(conn net.Conn) (Round, error) {
	buf := make([]byte, 256<<10)
	small := c.Message - requestSize
	pings := make([]float64, 0, c.Pings)
	for i := range c.Pings + c.Pings/10 {
		if c.Gap > 0 {
			time.Sleep(c.Gap)
		}
		ns, err := exchange(conn, buf, request{uint32(small), uint32(c.Message)})
		if err != nil {
			return Round{}, err
		}
		if i >= c.Pings/10 { // the first tenth warms up
			pings = append(pings, ns)
		}
	}
	down, err := c.transfers(conn, buf, request{uint32(small), uint32(c.Burst)})
	if err != nil {
		return Round{}, err
	}
	up, err := c.transfers(conn, buf, request{uint32(c.Burst), uint32(c.Message)})
	if err != nil {
		return Round{}, err
	}
	slices.Sort(pings)
	return Round{quantile(pings, 0.5), quantile(pings, 0.99), down, up}, nil
}

func (c Config) transfers(conn net.Conn, buf []byte, r request) (float64, error) {
	times := make([]float64, c.Transfers)
	for i := range times {
		time.Sleep(c.Idle)
		ns, err := exchange(conn, buf, r)
		if err != nil {
			return 0, err
		}
		times[i] = ns
	}
	slices.Sort(times)
	return quantile(times, 0.5), nil
}

// exchange sends a request with its bytes and takes the answer; ns from the
// first byte out to the last one in.
func exchange(conn net.Conn, buf []byte, r request) (float64, error) {
	head := r.append(buf[:0])
	first := min(int(r.up), len(buf)-len(head))
	start := time.Now()
	if _, err := conn.Write(buf[:len(head)+first]); err != nil {
		return 0, err
	}
	if err := give(conn, buf, int(r.up)-first); err != nil {
		return 0, err
	}
	if err := take(conn, buf, int(r.down)); err != nil {
		return 0, err
	}
	return float64(time.Since(start).Nanoseconds()), nil
}

// quantile of an ascending slice, the nearest rank.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
