//go:build dpdk

package dpdkbridge

/*
#include <stdlib.h>
#include <string.h>
#define TR_CALLS
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"tickrelay/nettune"
)

// maxEvents are taken from a stack per turn.
const maxEvents = 256

// lingerFor bounds how long Close waits for peers to take what was sent before.
const lingerFor = 2 * time.Second

// stack is one copy of lwIP over one queue pair: a nettune.Transport. Several
// pollers may share it; its lock is then what they share.
type stack struct {
	b     *bridge
	queue int
	copy  int
	ops   *C.struct_tr_ops

	mu      sync.Mutex // everything below, and all calls of ops
	open    bool       // the C side is
	closing bool       // nothing new begins
	slots   []slot
	free    []uint32
	events  *[maxEvents]C.struct_tr_event
	pollers map[*poller]struct{}
	pump    *pump // of blocking connections, nil until there is one

	leader atomic.Pointer[poller] // the napping poller that looks most often
}

// slot ties a handle to a stream or a listener.
type slot struct {
	stream   *stream
	listener *listener
	gen      uint32
}

var _ nettune.Transport = (*stack)(nil)

func newStack(b *bridge, queue int, secret [16]byte) (*stack, error) {
	n, err := takeCopy()
	if err != nil {
		return nil, err
	}
	s := &stack{b: b, queue: queue, copy: n, ops: C.tr_stack_ops(C.int(n)), pollers: map[*poller]struct{}{}}
	s.events = (*[maxEvents]C.struct_tr_event)(C.malloc(C.size_t(unsafe.Sizeof(*s.events))))
	cfg := s.config(secret)
	if s.open = C.trc_open(s.ops, &cfg) == 0; !s.open {
		s.end()
		return nil, fmt.Errorf("dpdkbridge: stack %d did not start", queue)
	}
	for a, mac := range b.cfg.Neighbours {
		addr := toAddr(netip.AddrPortFrom(a, 1))
		if C.trc_neighbour(s.ops, &addr, (*C.uint8_t)(&mac[0])) != 0 {
			s.end()
			return nil, fmt.Errorf("dpdkbridge: neighbour %v not taken", a)
		}
	}
	return s, nil
}

// config fills the C side's configuration.
func (s *stack) config(secret [16]byte) C.struct_tr_stack_config {
	c := &s.b.cfg
	var i C.struct_tr_port_info
	C.tr_port_info(s.b.port, &i)
	out := C.struct_tr_stack_config{port: s.b.port, queue: C.int(s.queue), mtu: C.int(c.MTU), rx_checksum: i.rx_checksum,
		tx_checksum: i.tx_checksum, max_conns: C.uint32_t(c.MaxConns), orphan_ms: C.uint32_t(c.orphanAfter.Milliseconds())}
	if s.queue > 0 {
		out.quiet = 1
	}
	for k, b := range secret {
		out.secret[k] = C.uint8_t(b)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&out.mac[0])), 6), unsafe.Slice((*byte)(unsafe.Pointer(&i.mac[0])), 6))
	for _, p := range c.Addresses {
		if p.Addr().Is4() {
			out.has4 = 1
			put(&out.ip4[0], p.Addr())
			put(&out.mask4[0], netip.AddrFrom4([4]byte(net.CIDRMask(p.Bits(), 32))))
		} else {
			put(&out.ip6[out.n6][0], p.Addr())
			out.n6++
		}
	}
	for _, g := range c.Gateways {
		if g.Is4() {
			out.has_gw4 = 1
			put(&out.gw4[0], g)
		} else {
			out.has_gw6 = 1
			put(&out.gw6[0], g)
		}
	}
	put(&out.ll[0], linkLocal(c.Addresses))
	share := (int(c.Ports[1]) - int(c.Ports[0]) + 1) / c.Queues
	lo := int(c.Ports[0]) + s.queue*share
	out.port_lo, out.port_hi = C.uint16_t(lo), C.uint16_t(lo+share-1)
	return out
}

// put writes an address's bytes.
func put(dst *C.uint8_t, a netip.Addr) {
	b := a.AsSlice()
	copy(unsafe.Slice((*byte)(unsafe.Pointer(dst)), len(b)), b)
}

func toAddr(a netip.AddrPort) C.struct_tr_addr {
	ip := a.Addr().Unmap()
	out := C.struct_tr_addr{port: C.uint16_t(a.Port())}
	if ip.Is6() {
		out.v6 = 1
	}
	put(&out.ip[0], ip)
	return out
}

func fromAddr(a *C.struct_tr_addr) netip.AddrPort {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&a.ip[0])), 16)
	ip := netip.AddrFrom4([4]byte(b[:4]))
	if a.v6 != 0 {
		ip = netip.AddrFrom16([16]byte(b))
	}
	return netip.AddrPortFrom(ip, uint16(a.port))
}

// Name returns "dpdk".
func (s *stack) Name() string { return "dpdk" }

// NewPoller returns a poller of this stack.
func (s *stack) NewPoller(cfg nettune.PollerConfig) (nettune.Poller, error) {
	p, err := s.newPoller(cfg)
	if err != nil {
		return nil, err
	}
	return nettune.Layered(p), nil
}

func (s *stack) newPoller(cfg nettune.PollerConfig) (*poller, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, net.ErrClosed
	}
	p := &poller{s: s, busy: cfg.Busy}
	s.pollers[p] = struct{}{}
	return p, nil
}

// take gives a stream or listener a handle. mu is held.
func (s *stack) take(st *stream, l *listener) uint64 {
	var i uint32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		i = uint32(len(s.slots))
		s.slots = append(s.slots, slot{gen: 1})
	}
	s.slots[i].stream, s.slots[i].listener = st, l
	return uint64(s.slots[i].gen)<<32 | uint64(i)
}

// give frees a handle. mu is held.
func (s *stack) give(h uint64) {
	sl := &s.slots[uint32(h)]
	sl.stream, sl.listener = nil, nil
	sl.gen++
	s.free = append(s.free, uint32(h))
}

// turn runs the stack once and hands its events to the pollers that own the
// streams. mu is held. Those of another poller are woken.
func (s *stack) turn(by *poller, spins int) {
	n := int(C.trc_poll(s.ops, &s.events[0], maxEvents, C.int(spins), (*C.uint32_t)(unsafe.Pointer(&by.woken))))
	for i := range s.events[:n] {
		ev := &s.events[i]
		sl := &s.slots[uint32(ev.handle)]
		if sl.gen != uint32(ev.handle>>32) {
			continue
		}
		var owner *poller
		switch {
		case sl.stream != nil:
			owner = sl.stream.p
			sl.stream.note(uint32(ev.flags))
		case sl.listener != nil:
			owner = sl.listener.p
			sl.listener.note()
		}
		if owner != nil && owner != by {
			owner.nudge()
		}
	}
}

// rxTime is when the last burst of a connection came in.
func rxTime(c *C.struct_tr_conn) int64 {
	if c.rx_ns != 0 {
		return int64(c.rx_ns)
	}
	return time.Now().UnixNano()
}

func (s *stack) stats() (out C.struct_tr_stack_stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		C.trc_stats(s.ops, &out)
	}
	return out
}

// stop closes every connection and listener; what was sent is still on its way.
func (s *stack) stop() {
	s.mu.Lock()
	s.closing = true
	pump, all := s.pump, slices.Collect(maps.Keys(s.pollers))
	s.mu.Unlock()
	for _, p := range all {
		_ = p.Close()
	}
	if pump != nil {
		pump.p.Wake()
		<-pump.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots { // released and adopted by nobody
		if st := s.slots[i].stream; st != nil {
			st.closeLocked()
		}
	}
}

// settle runs a stopped stack once and returns how many connections have
// something left that their peers lack.
func (s *stack) settle(by *poller) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return 0
	}
	s.turn(by, 1)
	var st C.struct_tr_stack_stats
	C.trc_stats(s.ops, &st)
	return int(st.leaving)
}

// end gives the copy of lwIP back.
func (s *stack) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		s.open = false
		C.trc_close(s.ops)
	}
	C.free(unsafe.Pointer(s.events))
	giveCopy(s.copy)
}

// reason turns the C side's error into Go's.
func reason(code C.int, connected bool) error {
	switch code {
	case C.TR_E_RESET:
		if !connected {
			return errRefused
		}
		return errReset
	case C.TR_E_TIMEOUT:
		return errTimeout
	case C.TR_E_UNREACHABLE:
		return errUnreachable
	case C.TR_E_NOMEM:
		return errFull
	case C.TR_E_REFUSED:
		return errInUse
	}
	return errAborted
}

var errFull = errors.New("dpdkbridge: no more connections or local ports (max_connections, ports)")
