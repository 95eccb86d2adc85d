package xdp

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// Feeder denies addresses for a while in a filter that may come and go. It
// opens the filter's pins itself, and again every few seconds, so attaching,
// detaching and attaching anew need no restart of the program that feeds it.
type Feeder struct {
	c       FeederConfig
	queue   chan netip.Addr
	denied  atomic.Uint64
	dropped atomic.Uint64 // reports lost: no filter, or the queue was full
}

// FeederConfig is a Feeder's configuration.
type FeederConfig struct {
	Target
	For time.Duration // how long an address is denied; default 1 min
	Log *slog.Logger  // default discards; logs when the filter comes or goes
}

const (
	// feederQueue bounds the addresses that wait for the kernel.
	feederQueue = 256
	// feederPeriod is how often pins are opened again and rules swept.
	feederPeriod = 5 * time.Second

	defaultDenyFor = time.Minute
)

// NewFeeder returns a Feeder; Run makes it work.
func NewFeeder(c FeederConfig) *Feeder {
	c.Target = c.Target.withDefaults()
	if c.For <= 0 {
		c.For = defaultDenyFor
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Feeder{c: c, queue: make(chan netip.Addr, feederQueue)}
}

// Deny asks for a to be denied. It never waits and is safe for concurrent use;
// loopback addresses, which no interface's filter sees, are ignored.
func (f *Feeder) Deny(a netip.Addr) {
	a = a.Unmap()
	if !a.IsValid() || a.IsLoopback() || a.IsUnspecified() {
		return
	}
	select {
	case f.queue <- a:
	default:
		f.dropped.Add(1)
	}
}

// Denied is the number of addresses put on the deny list so far; Lost those
// that could not be, because no filter was there or too many came at once.
func (f *Feeder) Denied() uint64 { return f.denied.Load() }

// Lost is described at Denied.
func (f *Feeder) Lost() uint64 { return f.dropped.Load() }

// Run works until ctx ends. It returns no error for a missing filter, which is
// logged once each time.
func (f *Feeder) Run(ctx context.Context) error {
	tick := time.NewTicker(feederPeriod)
	defer tick.Stop()
	var open *Filter
	var said string
	defer func() {
		if open != nil {
			_ = open.Close()
		}
	}()
	for {
		open, said = f.reopen(open, said)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case a := <-f.queue:
				f.deny(open, a)
			case <-tick.C:
				waiting = false
			}
		}
	}
}

// reopen opens the pins as they are now and sweeps the lists. said is the last
// state that was logged.
func (f *Feeder) reopen(old *Filter, said string) (*Filter, string) {
	if old != nil {
		_ = old.Close()
	}
	now, err := Open(f.c.Target)
	state := "open"
	if err != nil {
		state = err.Error()
	} else if _, err := now.Sweep(); err != nil {
		state = err.Error()
	}
	if state != said {
		if state == "open" {
			f.c.Log.Info("xdp: offenders will be dropped", "interface", f.c.Interface, "for", f.c.For)
		} else {
			f.c.Log.Warn("xdp: offenders are not dropped", "interface", f.c.Interface, "err", state)
		}
	}
	return now, state // nil with an error
}

func (f *Feeder) deny(open *Filter, a netip.Addr) {
	if open == nil || open.DenyFor(a, f.c.For) != nil {
		f.dropped.Add(1)
		return
	}
	f.denied.Add(1)
}
