package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/cilium/ebpf"
)

// Filter is an open handle on an attached filter, or on the lists that a crash
// left. It does not keep the filter alive. Methods are safe for concurrent use.
type Filter struct {
	target Target
	maps   filterMaps
}

// Open opens the lists and counters of the filter on t's interface; the error
// matches ErrNotAttached if there is none.
func Open(t Target) (*Filter, error) {
	t = t.withDefaults()
	p, err := findPins(t)
	if err != nil {
		return nil, err
	}
	f := &Filter{target: t}
	for _, m := range []struct {
		name string
		dst  **ebpf.Map
	}{
		{filterMapAllow, &f.maps.Allow}, {filterMapDeny, &f.maps.Deny}, {filterMapConfig, &f.maps.Config},
		{filterMapCounters, &f.maps.Counters}, {filterMapSources, &f.maps.Sources},
	} {
		if *m.dst, err = ebpf.LoadPinnedMap(p.path(m.name), nil); err != nil {
			_ = f.Close()
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrInvalid) {
				return nil, fmt.Errorf("xdp: %s: %w; attach it: tickrelay xdp attach %s --port PORT", t.Interface, ErrNotAttached, t.Interface)
			}
			return nil, explain("open the filter on "+t.Interface, err)
		}
	}
	return f, nil
}

// Close frees the handle; the filter stays.
func (f *Filter) Close() error {
	var errs []error
	for _, m := range []*ebpf.Map{f.maps.Allow, f.maps.Deny, f.maps.Config, f.maps.Counters, f.maps.Sources} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// Stats is a filter as seen at one moment.
type Stats struct {
	Interface string             `json:"interface"`
	Attached  bool               `json:"attached"` // false: only lists are there, or the interface is gone
	Mode      string             `json:"mode"`     // native or generic, empty if not attached
	Port      uint16             `json:"port"`
	SYN       Budget             `json:"-"`
	Packets   Budget             `json:"-"`
	Counts    [NumReasons]uint64 `json:"-"` // packets by Reason since the maps were made
	Allowed   int                `json:"allow_rules"`
	Denied    int                `json:"deny_rules"` // expired ones not yet removed included
}

// Dropped is the number of packets dropped for any reason.
func (s *Stats) Dropped() (n uint64) {
	for r := range NumReasons {
		if r.Drops() {
			n += s.Counts[r]
		}
	}
	return n
}

// Stats reads settings and counters.
func (f *Filter) Stats() (Stats, error) {
	s := Stats{Interface: f.target.Interface}
	var set filterSettings
	if err := f.maps.Config.Lookup(uint32(0), &set); err != nil {
		return s, explain("read settings", err)
	}
	s.Port = swap16(set.Port)
	s.SYN, s.Packets = budget(set.SynGap, set.SynSlack), budget(set.PacketGap, set.PacketSlack)
	var perCPU []uint64
	for r := range NumReasons {
		if err := f.maps.Counters.Lookup(uint32(r), &perCPU); err != nil {
			return s, explain("read counters", err)
		}
		for _, n := range perCPU {
			s.Counts[r] += n
		}
	}
	var err error
	if s.Allowed, err = count(f.maps.Allow); err != nil {
		return s, explain("count rules", err)
	}
	if s.Denied, err = count(f.maps.Deny); err != nil {
		return s, explain("count rules", err)
	}
	dev, err := findDevice(f.target.Interface)
	if err != nil {
		return s, nil // gone: not attached
	}
	p, err := findPins(f.target)
	if err != nil {
		return s, err
	}
	if s.Attached = attachedTo(p, dev); s.Attached {
		s.Mode = dev.mode.String()
	}
	return s, nil
}

// Lists of rules.
type List string

// The two lists; what is allowed is never denied.
const (
	Allow List = "allow"
	Deny  List = "deny"
)

// Rule is one entry of a list.
type Rule struct {
	Prefix  netip.Prefix  `json:"prefix"`
	Left    time.Duration `json:"left_ns"` // until it ends; 0 never does
	Cut     bool          `json:"cut"`     // deny list: connections that exist are cut off too
	Expired bool          `json:"-"`       // over, and not yet removed
}

func (f *Filter) list(l List) *ebpf.Map {
	if l == Allow {
		return f.maps.Allow
	}
	return f.maps.Deny
}
