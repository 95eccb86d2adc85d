package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

const (
	familyBits = 32 // FAMILY_BITS in bpf/filter.h
	familyV4   = 4
	familyV6   = 6
	ruleCut    = 1 // RULE_CUT
)

// address is a as the program keeps it.
func address(a netip.Addr) filterAddress {
	out := filterAddress{Family: familyV6}
	b := a.AsSlice()
	if len(b) == 4 {
		out.Family = familyV4
	}
	for i := 0; i < len(b); i += 4 {
		out.Words[i/4] = binary.NativeEndian.Uint32(b[i:])
	}
	return out
}

// ruleKey is p's key; an IPv4 prefix written as IPv6 counts as IPv4.
func ruleKey(p netip.Prefix) (filterRuleKey, error) {
	if !p.IsValid() {
		return filterRuleKey{}, errors.New("xdp: not a prefix")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return filterRuleKey{}, fmt.Errorf("xdp: %s holds IPv4 and IPv6; name them apart", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	return filterRuleKey{Prefix: familyBits + uint32(p.Bits()), Addr: address(p.Addr())}, nil
}

// prefix is the reverse of ruleKey.
func (k *filterRuleKey) prefix() netip.Prefix {
	var b [16]byte
	for i, w := range k.Addr.Words {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	a := netip.AddrFrom16(b)
	if k.Addr.Family == familyV4 {
		a = netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.PrefixFrom(a, int(k.Prefix)-familyBits)
}

// monotonic is the clock of the program's expiries.
func monotonic() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("xdp: clock: %w", err)
	}
	return uint64(ts.Nano()), nil
}

// Add puts r on list l, replacing a rule of the same prefix; a Left of 0 never
// ends. A full list is swept first; then the error wraps syscall.ENOSPC.
func (f *Filter) Add(l List, r Rule) error {
	key, err := ruleKey(r.Prefix)
	if err != nil {
		return err
	}
	if r.Left < 0 {
		return fmt.Errorf("xdp: %s: %s is over already", r.Prefix, r.Left)
	}
	v := filterRule{Prefix: key.Prefix}
	if r.Cut {
		v.Flags = ruleCut
	}
	if r.Left > 0 {
		now, err := monotonic()
		if err != nil {
			return err
		}
		v.Expires = now + uint64(r.Left)
	}
	err = f.list(l).Put(key, v)
	if errors.Is(err, syscall.ENOSPC) {
		if _, err := f.Sweep(); err != nil {
			return err
		}
		err = f.list(l).Put(key, v)
	}
	return explain(fmt.Sprintf("%s %s", l, r.Prefix), err)
}

// Remove takes p off list l and says whether it was there.
func (f *Filter) Remove(l List, p netip.Prefix) (bool, error) {
	key, err := ruleKey(p)
	if err != nil {
		return false, err
	}
	err = f.list(l).Delete(key)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	return err == nil, explain(fmt.Sprintf("remove %s from the %s list", p, l), err)
}

// DenyFor denies a source for a while: an IPv4 address, or the /64 of an IPv6
// one, since whoever has one address of it has all. It never shortens or weakens what
// is in force for the address, by a rule of its own or of its network.
func (f *Filter) DenyFor(a netip.Addr, d time.Duration) error {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || d <= 0 {
		return fmt.Errorf("xdp: deny %v for %v: not an address and a time", a, d)
	}
	p, err := a.Prefix(min(a.BitLen(), 64))
	if err != nil {
		return fmt.Errorf("xdp: deny %v: %w", a, err)
	}
	key, err := ruleKey(p)
	if err != nil {
		return err
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	have, ok := find(f.maps.Deny, key, now)
	if ok && (have.Expires == 0 || have.Expires >= now+uint64(d)) {
		return nil
	}
	if ok && have.Flags&ruleCut != 0 {
		return f.Add(Deny, Rule{Prefix: p, Left: d, Cut: true})
	}
	return f.Add(Deny, Rule{Prefix: p, Left: d})
}

// find is find_rule of the program without its bound.
func find(m *ebpf.Map, key filterRuleKey, now uint64) (v filterRule, ok bool) {
	for {
		if err := m.Lookup(key, &v); err != nil {
			return v, false
		}
		if v.Expires == 0 || v.Expires > now {
			return v, true
		}
		if v.Prefix <= familyBits {
			return v, false
		}
		key.Prefix = v.Prefix - 1
	}
}

// Rules lists l in no order. Rules added or removed meanwhile may be missing.
func (f *Filter) Rules(l List) ([]Rule, error) {
	now, err := monotonic()
	if err != nil {
		return nil, err
	}
	rules := []Rule{}
	err = each(f.list(l), func(k *filterRuleKey, v *filterRule) {
		r := Rule{Prefix: k.prefix(), Cut: v.Flags&ruleCut != 0}
		if v.Expires != 0 {
			r.Left = time.Duration(v.Expires - now)
			r.Expired = v.Expires <= now
		}
		rules = append(rules, r)
	})
	return rules, explain(fmt.Sprintf("list the %s rules", l), err)
}

// Sweep removes expired rules of both lists. The program ignores them anyhow;
// sweeping makes room.
func (f *Filter) Sweep() (removed int, err error) {
	now, err := monotonic()
	if err != nil {
		return 0, err
	}
	for _, m := range []*ebpf.Map{f.maps.Allow, f.maps.Deny} {
		var over []filterRuleKey
		err := each(m, func(k *filterRuleKey, v *filterRule) {
			if v.Expires != 0 && v.Expires <= now {
				over = append(over, *k)
			}
		})
		if err != nil {
			return removed, explain("sweep", err)
		}
		for _, k := range over {
			if err := m.Delete(k); err == nil {
				removed++
			} else if !errors.Is(err, ebpf.ErrKeyNotExist) {
				return removed, explain("sweep", err)
			}
		}
	}
	return removed, nil
}

// each calls f for the rules of m. A list that changes under the walk may make
// it start again; ebpf ends that with an error, which is no harm here.
func each(m *ebpf.Map, f func(*filterRuleKey, *filterRule)) error {
	var k filterRuleKey
	var v filterRule
	it := m.Iterate()
	for it.Next(&k, &v) {
		f(&k, &v)
	}
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return err
	}
	return nil
}

func count(m *ebpf.Map) (n int, err error) {
	err = each(m, func(*filterRuleKey, *filterRule) { n++ })
	return n, err
}

// attachedTo says whether the pinned link holds dev; it changes nothing.
func attachedTo(p pins, dev device) bool {
	l, err := link.LoadPinnedLink(p.path(pinLink), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		l, err = link.LoadPinnedLink(p.path(pinLink), nil)
	}
	if err != nil {
		return false
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return false
	}
	x := info.XDP()
	return x != nil && int(x.Ifindex) == dev.index
}
