//go:build dpdk

package dpdkbridge

/*
#include <stdlib.h>
#define TR_CALLS
#include "bridge.h"
*/
import "C"

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"tickrelay/nettune"
)

// busyWait is how long Open tries again when the kernel has not yet let go of
// an AF_XDP queue that was closed a moment ago.
const busyWait = 2 * time.Second

// copies hands out the library's copies of the stack; eal.Mutex guards it.
var copies [MaxQueues]bool

// bridge implements Bridge.
type bridge struct {
	cfg    Config
	dev    device
	port   *C.struct_tr_port
	stacks []*stack
	closed atomic.Bool
	undo   []func()   // in the order in which they were done
	mu     sync.Mutex // port against Close

	unaccepted atomic.Uint64 // connections closed because nobody took them from a Listener
	answered   atomic.Int32  // index of the name server that answered last
}

// Open opens the device and starts a stack for each queue pair.
func Open(cfg Config) (Bridge, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("dpdkbridge: configuration: %w", err)
	}
	b := &bridge{cfg: cfg}
	b.dev, _ = parseDevice(cfg.Device)
	if err := b.open(); err != nil {
		_ = b.Close()
		return nil, err
	}
	i := b.Info()
	cfg.Log.Info("port open", "device", cfg.Device, "driver", i.Driver, "mac", i.MAC.String(), "queues", i.Queues, "mtu", i.MTU,
		"link", i.LinkUp, "rx_checksum", i.RxChecksum, "tx_checksum", i.TxChecksum)
	return b, nil
}

func (b *bridge) open() error {
	if !strings.Contains(b.cfg.Args, "role=client") { // many may connect to one memif
		release, err := lockDevice(b.dev)
		if err != nil {
			return err
		}
		b.undo = append(b.undo, release)
	}
	if name := b.dev.iface(); name != "" {
		if err := checkInterface(&b.cfg, name); err != nil {
			return err
		}
	}
	if b.dev.driver == "af_xdp" {
		if err := checkQueues(b.dev.name, b.cfg.Queues); err != nil {
			return err
		}
	}
	if b.dev.driver == "pci" {
		if _, err := os.Stat("/sys/bus/pci/devices/" + b.dev.name); err != nil {
			return fmt.Errorf("dpdkbridge: no PCI device %s (lspci -D lists them): %w", b.dev.name, err)
		}
	}
	if err := startEAL(&b.cfg); err != nil {
		return err
	}
	if err := b.openPort(); err != nil {
		return err
	}
	if name := b.dev.iface(); name != "" && len(sixes(b.cfg.Addresses)) > 0 {
		release, err := hearSolicitations(name, b.cfg.Addresses)
		if err != nil {
			return err
		}
		b.undo = append(b.undo, release)
	}
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return fmt.Errorf("dpdkbridge: %w", err)
	}
	for q := range b.cfg.Queues {
		s, err := newStack(b, q, secret)
		if err != nil {
			return err
		}
		b.stacks = append(b.stacks, s)
	}
	return nil
}

// deviceArgs is the device as DPDK names it, and its arguments; loaded is to be
// called once it is open.
func (b *bridge) deviceArgs() (name, args string, loaded func(), err error) {
	d := b.dev
	loaded = func() {}
	switch d.driver {
	case "pci":
		return d.name, b.cfg.Args, loaded, nil
	case "af_xdp":
		args = "iface=" + d.name + ",start_queue=0,queue_count=" + strconv.Itoa(b.cfg.Queues)
		prog, remove, err := writeSteering(&b.cfg)
		if err != nil {
			return "", "", nil, err
		}
		loaded = remove
		args += ",xdp_prog=" + prog
	case "af_packet":
		args = "iface=" + d.name + ",qpairs=" + strconv.Itoa(b.cfg.Queues) + ",framesz=" + strconv.Itoa(frameSize(b.cfg.MTU)) + ",framecnt=1024,blocksz=" + strconv.Itoa(32*frameSize(b.cfg.MTU)) + ",qdisc_bypass=1"
	case "tap":
		args = "iface=" + d.name
	case "memif":
		args = "socket=" + d.name + ",socket-abstract=no"
		if !strings.Contains(b.cfg.Args, "role=") {
			args += ",role=server"
		}
	}
	if b.cfg.Args != "" {
		args += "," + b.cfg.Args
	}
	// A name is the process's own: two ends of one memif may both be here.
	return fmt.Sprintf("net_%s%d", d.driver, deviceNumber()), args, loaded, nil
}

// frameSize is a slot of af_packet's ring: a power of two with room for its head.
func frameSize(mtu int) int {
	n := 2048
	for n < mtu+160 {
		n *= 2
	}
	return n
}

// openPort attaches the device.
func (b *bridge) openPort() error {
	if b.dev.driver == "memif" && !strings.Contains(b.cfg.Args, "role=client") {
		unlinkStale(b.dev.name)
		b.undo = append(b.undo, func() { _ = os.Remove(b.dev.name) })
	}
	if name := b.dev.iface(); b.dev.driver == "af_xdp" {
		if err := refuseOtherXDP(name); err != nil {
			return err
		}
		b.undo = append(b.undo, func() { detachXDP(name) })
	}
	name, args, loaded, err := b.deviceArgs()
	if err != nil {
		return err
	}
	defer loaded()
	cname, cargs := C.CString(name), C.CString(args)
	defer C.free(unsafe.Pointer(cname))
	defer C.free(unsafe.Pointer(cargs))
	c := C.struct_tr_port_config{device: cname, args: cargs, queues: C.int(b.cfg.Queues), rx_desc: 1024, tx_desc: 1024,
		mbufs: C.int(b.cfg.Buffers), mtu: C.int(b.cfg.MTU)}
	if b.cfg.TrustChecksums {
		c.trust_rx = 1
	}
	var text [256]C.char
	until := time.Now().Add(busyWait)
	for {
		_ = ealLog()
		b.port = C.tr_port_open(&c, &text[0], C.int(len(text)))
		if b.port != nil {
			return nil
		}
		said := C.GoString(&text[0])
		if b.dev.driver != "af_xdp" || time.Now().After(until) || os.Geteuid() != 0 {
			return fmt.Errorf("dpdkbridge: open %s (%s): %s%s%s", b.cfg.Device, args, said, ealLog(), b.hint())
		}
		_ = refuseOtherXDP(b.dev.name)
		time.Sleep(100 * time.Millisecond)
	}
}

// hint says what most often is the matter.
func (b *bridge) hint() string {
	switch {
	case b.dev.driver == "pci":
		return "; is it bound to vfio-pci? (tickrelay dpdk check)"
	case b.dev.driver != "memif" && os.Geteuid() != 0:
		return "; " + b.dev.driver + " needs the capabilities CAP_NET_RAW and CAP_NET_ADMIN, af_xdp CAP_BPF too"
	case b.dev.driver == "af_xdp":
		return "; does the interface have that many queues (ethtool -l), and no other AF_XDP socket?"
	}
	return ""
}

// unlinkStale removes a memif socket that nobody answers on.
func unlinkStale(path string) {
	c, err := net.DialTimeout("unixpacket", path, time.Second)
	if err == nil {
		c.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}

// deviceNumber numbers virtual devices.
func deviceNumber() int {
	eal.Lock()
	defer eal.Unlock()
	eal.devices++
	return eal.devices
}

// takeCopy reserves a copy of lwIP.
func takeCopy() (int, error) {
	eal.Lock()
	defer eal.Unlock()
	for i, used := range copies {
		if !used {
			copies[i] = true
			return i, nil
		}
	}
	return 0, fmt.Errorf("dpdkbridge: more than %d queue pairs in one process", MaxQueues)
}

func giveCopy(i int) {
	eal.Lock()
	copies[i] = false
	eal.Unlock()
}

// Transport returns the stack of queue pair i.
func (b *bridge) Transport(i int) nettune.Transport { return b.stacks[i%len(b.stacks)] }

// Info describes the port.
func (b *bridge) Info() Info {
	out := Info{Device: b.cfg.Device, NUMANode: -1}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.port == nil {
		return out
	}
	var i C.struct_tr_port_info
	C.tr_port_info(b.port, &i)
	out.Driver = C.GoString(&i.driver[0])
	out.MAC = net.HardwareAddr(C.GoBytes(unsafe.Pointer(&i.mac[0]), 6))
	out.NUMANode, out.Queues, out.MTU = int(i.socket), int(i.queues), int(i.mtu)
	out.LinkUp, out.SpeedMbps = i.link_up != 0, uint32(i.speed_mbps)
	out.RxChecksum, out.TxChecksum = i.rx_checksum != 0, i.tx_checksum != 0
	out.PoolFree = int(C.tr_port_pool_free(b.port))
	if name := b.dev.iface(); name != "" { // these drivers say "up" whatever happens
		ifi, err := net.InterfaceByName(name)
		out.LinkUp = err == nil && ifi.Flags&net.FlagRunning != 0
	}
	return out
}

// Counters returns the device's statistics and the stacks'.
func (b *bridge) Counters() []Counter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.port == nil {
		return nil
	}
	var out []Counter
	buf := make([]C.struct_tr_counter, 1024)
	for _, c := range buf[:C.tr_port_counters(b.port, &buf[0], C.int(len(buf)))] {
		out = append(out, Counter{C.GoString(&c.name[0]), uint64(c.value)})
	}
	var sum C.struct_tr_stack_stats
	for _, s := range b.stacks {
		st := s.stats()
		sum.rx_frames += st.rx_frames
		sum.tx_frames += st.tx_frames
		sum.forwarded += st.forwarded
		sum.refused += st.refused
		sum.retransmits += st.retransmits
		sum.timeouts += st.timeouts
		sum.probes += st.probes
		sum.conns += st.conns
		sum.leaving += st.leaving
		sum.abandoned += st.abandoned
		sum.syn_dropped += st.syn_dropped
	}
	var rx, tx, handed C.uint64_t
	C.tr_port_lost(b.port, &rx, &tx, &handed)
	return append(out, Counter{"stack_rx_frames", uint64(sum.rx_frames)}, Counter{"stack_tx_frames", uint64(sum.tx_frames)},
		Counter{"stack_forwarded_frames", uint64(sum.forwarded)}, Counter{"stack_refused_connections", uint64(sum.refused)},
		Counter{"stack_retransmits", uint64(sum.retransmits)}, Counter{"stack_timeouts", uint64(sum.timeouts)},
		Counter{"stack_tail_probes", uint64(sum.probes)}, Counter{"stack_connections", uint64(sum.conns)},
		Counter{"stack_closing_connections", uint64(sum.leaving)}, Counter{"stack_abandoned_connections", uint64(sum.abandoned)},
		Counter{"stack_dropped_syns", uint64(sum.syn_dropped)}, Counter{"stack_unread_frames", uint64(rx)}, Counter{"stack_unsent_frames", uint64(tx)},
		Counter{"stack_lost_forwarded_frames", uint64(handed)}, Counter{"stack_unaccepted_connections", b.unaccepted.Load()})
}

// Close ends every connection and gives the device back.
func (b *bridge) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	for _, s := range b.stacks {
		s.stop()
	}
	b.linger()
	for _, s := range b.stacks {
		s.end()
	}
	b.mu.Lock()
	if b.port != nil {
		C.tr_port_close(b.port)
		b.port = nil
	}
	b.mu.Unlock()
	for i := len(b.undo) - 1; i >= 0; i-- {
		b.undo[i]()
	}
	return nil
}

// linger lets closed connections say their last. All stacks run meanwhile: an
// acknowledgement may come in on any queue.
func (b *bridge) linger() {
	nobody := &poller{}
	for until := time.Now().Add(lingerFor); time.Now().Before(until); time.Sleep(200 * time.Microsecond) {
		left := 0
		for _, s := range b.stacks {
			left += s.settle(nobody)
		}
		if left == 0 {
			return
		}
	}
}
