package transportbench

import (
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/dpdkbridge"
	"tickrelay/nettune"
)

// MessageSize is the payload of a message in bytes.
const MessageSize = 128

// Endpoint is one end: which stack, and how it waits.
type Endpoint struct {
	Device    string   `json:"device,omitempty"` // as dpdkbridge's; "" for the kernel's sockets
	Args      string   `json:"args,omitempty"`
	Addresses []string `json:"addresses,omitempty"` // with a device
	Gateways  []string `json:"gateways,omitempty"`
	HugePages bool     `json:"huge_pages,omitempty"`
	Busy      bool     `json:"busy,omitempty"`
	CPU       int      `json:"cpu"` // -1: not pinned
}

// open returns a poller of the endpoint's stack.
func (e *Endpoint) open() (p nettune.Poller, done func(), err error) {
	var tr nettune.Transport = nettune.KernelTransport()
	port := func() {}
	if e.Device != "" {
		c := dpdkbridge.Config{Device: e.Device, Args: e.Args, HugePages: e.HugePages}
		for _, a := range e.Addresses {
			p, err := netip.ParsePrefix(a)
			if err != nil {
				return nil, nil, fmt.Errorf("address %q: want one with prefix length, such as 192.0.2.10/24", a)
			}
			c.Addresses = append(c.Addresses, p)
		}
		for _, a := range e.Gateways {
			g, err := netip.ParseAddr(a)
			if err != nil {
				return nil, nil, fmt.Errorf("gateway %q is no IP address", a)
			}
			c.Gateways = append(c.Gateways, g)
		}
		b, err := dpdkbridge.Open(c)
		if err != nil {
			return nil, nil, err
		}
		tr, port = b.Transport(0), func() { _ = b.Close() }
	}
	if p, err = tr.NewPoller(nettune.PollerConfig{Busy: e.Busy}); err != nil {
		port()
		return nil, nil, err
	}
	return p, func() { _ = p.Close(); port() }, nil
}

// pin locks the goroutine to its thread, for good, and the thread to a processor.
func pin(cpu int) error {
	runtime.LockOSThread()
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to processor %d: %w", cpu, err)
	}
	return nil
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
