package dpdkbridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// ErrNotBuilt is what Open returns in a build without the tag dpdk.
var ErrNotBuilt = errors.New("dpdkbridge: this build has no DPDK: build with dpdkbridge/go-dpdk (build tag dpdk)")

// ErrBusy is wrapped by Open when another process has the device.
var ErrBusy = errors.New("the device is in use")

// Limits and defaults of Config.
const (
	// MaxQueues is the largest number of queue pairs: each has a copy of the
	// TCP stack of its own.
	MaxQueues = 16
	// DefaultMaxConns is how many connections one stack serves before it
	// refuses further ones with a reset.
	DefaultMaxConns = 4096
	// DefaultBuffers is the number of frame buffers of the port; more where
	// many queues need them.
	DefaultBuffers = 16384

	// buffersPerQueue fill a queue pair's two rings: with less, a queue starves.
	buffersPerQueue = 2048
)

// Config describes a port and the network on it. Device and Addresses are
// required; every other field's zero value is a working default.
type Config struct {
	// Device is what carries the frames: a PCI address (0000:00:06.0) of a NIC
	// bound to vfio-pci or owned by mlx5; or DRIVER:NAME with a driver of
	// af_xdp, af_packet (an interface of the kernel's), tap (an interface to
	// make) or memif (path of a socket).
	Device string
	// Args are further arguments of a virtual device, as DPDK writes them
	// (role=server, force_copy=1).
	Args string

	Addresses []netip.Prefix // ours: at most one IPv4 and two IPv6
	Gateways  []netip.Addr   // at most one of each family; default none: the local network only
	DNS       []netip.Addr   // name servers, asked over TCP (RFC 7766)
	// Neighbours are fixed hardware addresses of IPv4 neighbours.
	Neighbours map[netip.Addr]net.HardwareAddr

	MTU    int // default 1500; must be the path's
	Queues int // queue pairs, one for each hot loop; default 1
	// Ports is the range of local ports of dialled connections; default 20000
	// to 31999, below Linux's own range.
	Ports [2]uint16
	// Listen are local ports that Shared steers in besides.
	Listen []uint16
	// Shared says that the kernel has the same address: only the ports of Ports
	// and Listen are taken from it (af_xdp only). Default: every frame to
	// Addresses is.
	Shared bool

	MaxConns int // per stack; default DefaultMaxConns
	Buffers  int // frame buffers; default DefaultBuffers
	// TrustChecksums skips the check of received frames: for virtual links
	// whose sender leaves checksums to hardware that does not exist.
	TrustChecksums bool

	HugePages bool // back memory with huge pages; PCI devices need them
	MemoryMB  int  // of DPDK's; default 256
	// Threads that DPDK starts by itself stay on this processor; default the
	// first that is allowed.
	CPU *int

	Log *slog.Logger // default discards

	// orphanAfter is how long a closed connection's peer may acknowledge nothing
	// of what is left; default defaultOrphan. Tests shorten it.
	orphanAfter time.Duration
	// patience is how long one name server may take while there is another;
	// default serverPatience. Tests shorten it.
	patience time.Duration
}

// serverPatience leaves a caller of ordinary haste time for a second server.
const serverPatience = 3 * time.Second

// defaultOrphan is long enough for eight retransmissions on an ordinary path.
const defaultOrphan = 30 * time.Second

// device is Config.Device taken apart.
type device struct {
	driver string // pci, af_xdp, af_packet, tap, memif
	name   string // PCI address, interface or path
}

var pciRule = regexp.MustCompile(`^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$`)

// parseDevice reads Config.Device.
func parseDevice(s string) (device, error) {
	if pciRule.MatchString(s) {
		if strings.Count(s, ":") == 1 {
			s = "0000:" + s
		}
		return device{"pci", strings.ToLower(s)}, nil
	}
	driver, name, ok := strings.Cut(s, ":")
	if !ok || name == "" {
		return device{}, fmt.Errorf("device %q: want a PCI address such as 0000:00:06.0, or af_xdp:, af_packet:, tap: or memif: and a name", s)
	}
	switch driver {
	case "af_xdp", "af_packet", "tap":
		if len(name) > 15 || strings.ContainsAny(name, "/, ") {
			return device{}, fmt.Errorf("device %q: %q is no interface name", s, name)
		}
	case "memif":
		if len(name) > 100 || strings.Contains(name, ",") || !strings.HasPrefix(name, "/") {
			return device{}, fmt.Errorf("device %q: want the absolute path of a socket, 100 bytes at most, no commas", s)
		}
	default:
		return device{}, fmt.Errorf("device %q: unknown driver %q; known are af_xdp, af_packet, tap, memif and PCI addresses", s, driver)
	}
	return device{driver, name}, nil
}

func (c Config) withDefaults() Config {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&c.MTU, 1500)
	set(&c.Queues, 1)
	set(&c.MaxConns, DefaultMaxConns)
	set(&c.Buffers, max(DefaultBuffers, buffersPerQueue*c.Queues))
	set(&c.MemoryMB, 256)
	if c.Ports == [2]uint16{} {
		c.Ports = [2]uint16{20000, 31999}
	}
	if c.orphanAfter == 0 {
		c.orphanAfter = defaultOrphan
	}
	if c.patience == 0 {
		c.patience = serverPatience
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate returns every problem of the configuration, joined.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	d, err := parseDevice(c.Device)
	if err != nil {
		errs = append(errs, err)
	}
	if strings.ContainsAny(c.Args, " \n") {
		bad("args %q: no blanks", c.Args)
	}
	c.validateNetwork(bad)
	within := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			bad("%s is %d, allowed are %d to %d", name, v, lo, hi)
		}
	}
	within("mtu", c.MTU, 576, 9001)
	within("queues", c.Queues, 1, MaxQueues)
	within("max_connections", c.MaxConns, 1, 1<<20)
	within("buffers", c.Buffers, buffersPerQueue, 1<<20)
	if c.Queues <= MaxQueues && c.Buffers >= buffersPerQueue && c.Buffers < buffersPerQueue*c.Queues {
		bad("buffers is %d: %d queues need %d", c.Buffers, c.Queues, buffersPerQueue*c.Queues)
	}
	within("memory_mb", c.MemoryMB, 64, 1<<20)
	if c.Ports[0] < 1024 || int(c.Ports[1])-int(c.Ports[0])+1 < 64*c.Queues {
		bad("ports %d-%d: want a range above 1023 with 64 ports or more for each queue", c.Ports[0], c.Ports[1])
	}
	for _, p := range c.Listen {
		if p >= c.Ports[0] && p <= c.Ports[1] {
			bad("listen: port %d is one of ports %d-%d, those of dialled connections: choose other ports", p, c.Ports[0], c.Ports[1])
		}
	}
	if c.Shared {
		c.validateShared(d, bad)
	}
	if d.driver == "pci" && !c.HugePages {
		bad("huge_pages: a PCI device needs them")
	}
	return errors.Join(errs...)
}

// validateShared: the kernel keeps what neighbours say of the address, so ours
// have to be told, and those of IPv6 cannot be.
func (c *Config) validateShared(d device, bad func(string, ...any)) {
	if d.driver != "af_xdp" {
		bad("shared: only af_xdp can leave the rest of an address to the kernel")
	}
	for _, p := range c.Addresses {
		if p.IsValid() && !p.Addr().Is4() {
			bad("shared: address %v: the kernel has what IPv6 neighbours answer; share an IPv4 address, or give the stack an IPv6 address of its own", p)
		}
	}
	if len(c.Neighbours) == 0 {
		bad("shared: neighbours is empty: name the hardware address of the gateway, or of each peer")
	}
	for _, g := range c.Gateways {
		if _, ok := c.Neighbours[g]; !ok && g.Is4() {
			bad("shared: gateway %v is not in neighbours", g)
		}
	}
}

func (c *Config) validateNetwork(bad func(string, ...any)) {
	n4, n6 := 0, 0
	for _, p := range c.Addresses {
		switch {
		case !p.IsValid() || p.Addr().IsUnspecified() || p.Addr().IsMulticast():
			bad("address %v: want an address with prefix length, such as 192.0.2.10/24", p)
		case p.Addr().Is4():
			n4++
		default:
			n6++
			if p.Bits() != 64 {
				bad("address %v: the stack knows IPv6 networks of /64 only", p)
			}
		}
	}
	if n4+n6 == 0 {
		bad("addresses is empty: the stack needs an address of its own")
	}
	if n4 > 1 || n6 > 2 {
		bad("addresses: at most one of IPv4 and two of IPv6")
	}
	g4, g6 := 0, 0
	for _, g := range c.Gateways {
		if g.Is4() {
			g4++
		} else {
			g6++
		}
		if !c.onLink(g) {
			bad("gateway %v is in none of the networks of addresses", g)
		}
	}
	if g4 > 1 || g6 > 1 {
		bad("gateway: at most one of each family")
	}
	for _, s := range c.DNS {
		if !c.reaches(s) {
			bad("dns %v: it is in none of the networks of addresses, and there is no gateway of its family", s)
		}
	}
	for a, mac := range c.Neighbours {
		if !a.Is4() || len(mac) != 6 || !c.onLink(a) {
			bad("neighbour %v: want an IPv4 address of the local network and a hardware address of six bytes", a)
		}
	}
}

// reaches reports whether there is a way to a: a neighbour, or by a gateway.
func (c *Config) reaches(a netip.Addr) bool {
	if c.onLink(a) {
		return true
	}
	for _, g := range c.Gateways {
		if g.Is4() == a.Unmap().Is4() {
			return true
		}
	}
	return false
}

// onLink reports whether a is a neighbour.
func (c *Config) onLink(a netip.Addr) bool {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range c.Addresses {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
