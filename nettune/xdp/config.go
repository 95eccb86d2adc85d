package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Mode is where the program runs.
type Mode uint8

// Modes of attaching.
const (
	ModeAuto    Mode = iota // native; where the driver refuses, generic, and Attached.Fallback says so
	ModeNative              // in the driver, before the kernel allocates anything
	ModeGeneric             // in the kernel after the driver: any interface, slower
)

// String is native, generic or auto.
func (m Mode) String() string {
	switch m {
	case ModeNative:
		return "native"
	case ModeGeneric:
		return "generic"
	default:
		return "auto"
	}
}

// DefaultBPFFS is where the kernel's file system for pinned objects is mounted.
const DefaultBPFFS = "/sys/fs/bpf"

// Target names one filter: an interface of the calling thread's network
// namespace, and the bpffs that holds its pins.
type Target struct {
	Interface string
	BPFFS     string // default DefaultBPFFS
}

// Budget is a token bucket.
type Budget struct {
	Rate  uint32 // packets per second, 1 to 10,000,000; 0 is the default
	Burst uint32 // packets at once, 1 to 1,000,000; 0 is the default
	None  bool   // no limit
}

// Default budgets of a source: an IPv4 address or an IPv6 /64. An office of
// two hundred clients behind one address may come back at once.
const (
	DefaultSYNRate     = 50
	DefaultSYNBurst    = 200
	DefaultPacketRate  = 1000
	DefaultPacketBurst = 2000

	maxRate  = 10_000_000
	maxBurst = 1_000_000
)

// Config is a filter to attach. Interface and Port are needed.
type Config struct {
	Target
	Port    uint16 // TCP port of the gateway
	SYN     Budget // SYNs per source
	Packets Budget // packets per source that belong to no connection
	Mode    Mode
	Log     *slog.Logger // default discards; nothing per packet is ever logged

	step   func(string)                         // tests stop Attach between its steps
	update func(link.Link, *ebpf.Program) error // tests refuse the new program
}

func (t Target) withDefaults() Target {
	if t.BPFFS == "" {
		t.BPFFS = DefaultBPFFS
	}
	return t
}

func (b Budget) withDefaults(rate, burst uint32) Budget {
	if b.Rate == 0 {
		b.Rate = rate
	}
	if b.Burst == 0 {
		b.Burst = burst
	}
	return b
}

func (c Config) withDefaults() Config {
	c.Target = c.Target.withDefaults()
	c.SYN = c.SYN.withDefaults(DefaultSYNRate, DefaultSYNBurst)
	c.Packets = c.Packets.withDefaults(DefaultPacketRate, DefaultPacketBurst)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.update == nil {
		c.update = link.Link.Update
	}
	if c.step == nil {
		c.step = func(string) {}
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.Interface == "" {
		errs = append(errs, errors.New("xdp: no interface is named"))
	}
	if c.Port == 0 {
		errs = append(errs, errors.New("xdp: no port is named"))
	}
	for _, b := range []struct {
		name string
		Budget
	}{{"SYN", c.SYN}, {"packet", c.Packets}} {
		if b.Rate > maxRate || b.Burst > maxBurst {
			errs = append(errs, fmt.Errorf("xdp: %s budget of %d/s, burst %d: at most %d/s and %d", b.name, b.Rate, b.Burst, maxRate, maxBurst))
		}
	}
	return errors.Join(errs...)
}

// gcra is the budget as the program keeps it: ns between packets, and how far
// ahead of the clock a source may be.
func (b Budget) gcra() (gap, slack uint64) {
	if b.None {
		return 0, 0
	}
	gap = uint64(time.Second) / uint64(b.Rate)
	return gap, gap * uint64(b.Burst-1)
}

// budget is the reverse of gcra.
func budget(gap, slack uint64) Budget {
	if gap == 0 {
		return Budget{None: true}
	}
	return Budget{Rate: uint32(uint64(time.Second) / gap), Burst: uint32(slack/gap) + 1}
}

// String is "50/s burst 200" or "none".
func (b Budget) String() string {
	if b.None {
		return "none"
	}
	return fmt.Sprintf("%d/s burst %d", b.Rate, b.Burst)
}

func (c Config) settings() filterSettings {
	s := filterSettings{Port: swap16(c.Port)}
	s.SynGap, s.SynSlack = c.SYN.gcra()
	s.PacketGap, s.PacketSlack = c.Packets.gcra()
	return s
}

// swap16 turns a host-order port into the number whose bytes in memory are in
// network order, and back.
func swap16(p uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, p))
}
