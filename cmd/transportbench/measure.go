package transportbench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tickrelay/feeds/wsconn"
	"tickrelay/nettune"
)

// Result is one measurement.
type Result struct {
	Messages       int     // round trips, or messages received
	P50, P99, P999 float64 // round trip, µs
	Rate           float64 // messages a second
	CPU            float64 // of both ends, µs per message
}

// Measure connects to a server and measures round trips and then the stream,
// each for d.
func Measure(ctx context.Context, e Endpoint, to netip.AddrPort, d time.Duration) (echo, stream Result, err error) {
	p, done, err := e.open()
	if err != nil {
		return echo, stream, err
	}
	defer done()
	if err = pin(e.CPU); err != nil {
		return echo, stream, err
	}
	m := &client{ctx: ctx, p: p, to: to}
	if echo, err = m.accounted(func() (Result, error) { return m.echo(d) }); err != nil {
		return echo, stream, fmt.Errorf("round trips: %w", err)
	}
	if stream, err = m.accounted(func() (Result, error) { return m.stream(d) }); err != nil {
		return echo, stream, fmt.Errorf("stream: %w", err)
	}
	return echo, stream, nil
}

// client is the measuring end.
type client struct {
	ctx    context.Context
	p      nettune.Poller
	to     netip.AddrPort
	events []nettune.Event
}

// patience bounds every wait.
const patience = 20 * time.Second

// dial opens a WebSocket.
func (m *client) dial(path string) (*wsconn.Conn, error) {
	until := time.Now().Add(patience)
	for {
		c, err := m.try(path, until)
		if err == nil || time.Now().After(until) || m.ctx.Err() != nil {
			return c, err
		}
		time.Sleep(20 * time.Millisecond) // the server may not be up yet
	}
}

func (m *client) try(path string, until time.Time) (*wsconn.Conn, error) {
	s, err := m.p.Dial(nettune.DialOptions{Addr: m.to, Timeout: 2 * time.Second})
	if err != nil {
		return nil, err
	}
	var c *wsconn.Conn
	for {
		if m.events, err = m.p.Poll(m.events[:0], 100*time.Millisecond); err != nil {
			return nil, err
		}
		for i := range m.events {
			ev := &m.events[i]
			switch {
			case ev.Stream != s:
				continue
			case ev.Flags&nettune.Closed != 0:
				return nil, ev.Err
			case ev.Flags&nettune.Connected != 0:
				c = wsconn.New(s, wsconn.Config{Host: m.to.String(), Path: path})
			}
			if c == nil {
				continue
			}
			if err = c.Handshake(); err == nil {
				return c, nil
			}
			if !errors.Is(err, nettune.ErrWouldBlock) {
				s.Close()
				return nil, err
			}
		}
		if time.Now().After(until) || m.ctx.Err() != nil {
			s.Close()
			return nil, fmt.Errorf("no WebSocket at %s in %v", m.to, patience)
		}
	}
}

// next waits for one message.
func (m *client) next(c *wsconn.Conn) ([]byte, error) {
	var until time.Time
	for {
		_, p, _, err := c.Read()
		if !errors.Is(err, nettune.ErrWouldBlock) {
			return p, err
		}
		if m.events, err = m.p.Poll(m.events[:0], 100*time.Millisecond); err != nil {
			return nil, err
		}
		if len(m.events) > 0 {
			continue
		}
		if until.IsZero() {
			until = time.Now().Add(patience)
		}
		if time.Now().After(until) || m.ctx.Err() != nil {
			return nil, fmt.Errorf("nothing received in %v", patience)
		}
	}
}

// usage asks how much CPU the server has used.
func (m *client) usage() (time.Duration, error) {
	c, err := m.dial(pathUsage)
	if err != nil {
		return 0, err
	}
	defer c.Stream().Close()
	p, err := m.next(c)
	if err != nil || len(p) != 8 {
		return 0, errors.Join(err, errors.New("no answer about CPU time"))
	}
	return time.Duration(binary.LittleEndian.Uint64(p)), nil
}

// accounted adds what both ends spent per message.
func (m *client) accounted(f func() (Result, error)) (Result, error) {
	there, err := m.usage()
	if err != nil {
		return Result{}, err
	}
	here := cpuTime()
	r, err := f()
	if err != nil {
		return r, err
	}
	here = cpuTime() - here
	after, err := m.usage()
	if err == nil && r.Messages > 0 {
		r.CPU = float64(here+after-there) / 1e3 / float64(r.Messages)
	}
	return r, err
}

func (m *client) echo(d time.Duration) (Result, error) {
	c, err := m.dial(pathEcho)
	if err != nil {
		return Result{}, err
	}
	defer c.Stream().Close()
	msg := make([]byte, MessageSize)
	took := make([]time.Duration, 0, 1<<20)
	start := time.Now()
	warm := start.Add(d / 10)
	for end := start.Add(d + d/10); ; {
		binary.LittleEndian.PutUint64(msg, uint64(len(took)))
		sent := time.Now()
		if err := c.WriteBinary(msg); err != nil {
			return Result{}, err
		}
		got, err := m.next(c)
		if err != nil {
			return Result{}, err
		}
		now := time.Now()
		if len(got) != MessageSize || binary.LittleEndian.Uint64(got) != uint64(len(took)) {
			return Result{}, errors.New("the echo differs")
		}
		if now.After(warm) && len(took) < cap(took) {
			took = append(took, now.Sub(sent))
		}
		if now.After(end) {
			break
		}
	}
	if len(took) == 0 {
		return Result{}, errors.New("no round trip was completed")
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))]) / 1e3 }
	return Result{Messages: len(took), P50: at(0.5), P99: at(0.99), P999: at(0.999), Rate: float64(len(took)) / d.Seconds()}, nil
}

func (m *client) stream(d time.Duration) (Result, error) {
	c, err := m.dial(pathStream)
	if err != nil {
		return Result{}, err
	}
	defer c.Stream().Close()
	n := 0
	start := time.Now()
	for {
		if _, err := m.next(c); err != nil {
			return Result{}, err
		}
		if n++; n%64 == 0 && time.Since(start) > d {
			break
		}
	}
	return Result{Messages: n, Rate: float64(n) / time.Since(start).Seconds()}, nil
}
