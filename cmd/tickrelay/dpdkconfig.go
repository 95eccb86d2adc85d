package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/dpdkbridge"
	"tickrelay/feeds"
	"tickrelay/nettune"
)

// dpdkConfig is the port that carries everything with transport: dpdk.
type dpdkConfig struct {
	Device     string            `yaml:"device"`     // PCI address, or af_xdp:, af_packet:, tap:, memif: and a name
	Args       string            `yaml:"args"`       // more arguments of a virtual device; default none
	Addresses  []string          `yaml:"addresses"`  // ours, with prefix length
	Gateway    []string          `yaml:"gateway"`    // at most one of each family; default the local network only
	DNS        []string          `yaml:"dns"`        // name servers; default none
	Neighbours map[string]string `yaml:"neighbours"` // fixed hardware addresses; default none
	MTU        int               `yaml:"mtu"`        // default 1500
	Queues     int               `yaml:"queues"`     // queue pairs; default 1
	Ports      []int             `yaml:"ports"`      // first and last local port of dialled connections; default [20000, 31999]
	Shared     bool              `yaml:"shared"`     // the kernel has the address too: take our ports only
	Listen     string            `yaml:"listen"`     // who serves the gateway's port: dpdk (default) or kernel
	MaxConns   int               `yaml:"max_connections"`
	Buffers    int               `yaml:"buffers"`
	Trust      bool              `yaml:"trust_checksums"` // received checksums are not looked at
	HugePages  bool              `yaml:"huge_pages"`
	MemoryMB   int               `yaml:"memory_mb"`
	CPU        *int              `yaml:"cpu"` // of DPDK's own threads
}

func (c *fileConfig) validateTransport(d *yamlDecoder) {
	switch c.Transport {
	case "kernel":
		if c.DPDK != nil {
			d.at("dpdk", "given, but transport is kernel: set transport: dpdk, or leave it out")
		}
		return
	case "dpdk":
	default:
		d.at("transport", "%q: want kernel or dpdk%s", c.Transport, suggest(c.Transport, []string{"kernel", "dpdk"}))
		return
	}
	if c.DPDK == nil {
		d.at("transport", "dpdk wants a block dpdk: with device and addresses")
		return
	}
	if c.DPDK.Listen != "dpdk" && c.DPDK.Listen != "kernel" {
		d.at("dpdk.listen", "%q: want dpdk or kernel", c.DPDK.Listen)
	}
	bc, err := c.DPDK.bridge(c.Listen, nil)
	if err == nil {
		err = bc.Validate()
	}
	if err != nil {
		d.at("dpdk", "%v", err)
	}
	if !dpdkbridge.Built {
		d.at("transport", "dpdk is not in this build: %v", dpdkbridge.ErrNotBuilt)
	}
}

// bridge translates the block.
func (c *dpdkConfig) bridge(listen string, log *slog.Logger) (dpdkbridge.Config, error) {
	out := dpdkbridge.Config{Device: c.Device, Args: c.Args, MTU: c.MTU, Queues: c.Queues, Shared: c.Shared, MaxConns: c.MaxConns,
		Buffers: c.Buffers, TrustChecksums: c.Trust, HugePages: c.HugePages, MemoryMB: c.MemoryMB, CPU: c.CPU, Log: log}
	for _, a := range c.Addresses {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			return out, fmt.Errorf("addresses: %q: want an address with prefix length, such as 192.0.2.10/24", a)
		}
		out.Addresses = append(out.Addresses, p)
	}
	for name, list := range map[string]struct {
		from []string
		to   *[]netip.Addr
	}{"gateway": {c.Gateway, &out.Gateways}, "dns": {c.DNS, &out.DNS}} {
		for _, a := range list.from {
			ip, err := netip.ParseAddr(a)
			if err != nil {
				return out, fmt.Errorf("%s: %q is no IP address", name, a)
			}
			*list.to = append(*list.to, ip)
		}
	}
	for a, mac := range c.Neighbours {
		ip, err := netip.ParseAddr(a)
		hw, err2 := net.ParseMAC(mac)
		if err != nil || err2 != nil {
			return out, fmt.Errorf("neighbours: %q: %q: want an IP address and a hardware address", a, mac)
		}
		if out.Neighbours == nil {
			out.Neighbours = map[netip.Addr]net.HardwareAddr{}
		}
		out.Neighbours[ip] = hw
	}
	switch {
	case len(c.Ports) == 0:
	case len(c.Ports) == 2 && c.Ports[0] > 0 && c.Ports[1] < 1<<16 && c.Ports[0] < c.Ports[1]:
		out.Ports = [2]uint16{uint16(c.Ports[0]), uint16(c.Ports[1])}
	default:
		return out, fmt.Errorf("ports: want the first and the last, such as [20000, 31999]")
	}
	if c.Listen != "kernel" {
		if ap, err := netip.ParseAddrPort(listen); err == nil {
			out.Listen = []uint16{ap.Port()}
		}
	}
	return out, nil
}

// openBridge opens the port where the configuration wants one.
func (r *relayd) openBridge() error {
	if r.cfg.Transport != "dpdk" {
		return nil
	}
	bc, err := r.cfg.DPDK.bridge(r.cfg.Listen, r.log.With("part", "dpdk"))
	if err != nil {
		return err
	}
	r.bridge, err = dpdkbridge.Open(bc)
	return err
}

// feedTransport gives the n-th feed its stack: its connections, its REST
// requests and its name look-ups leave by the port.
func (r *relayd) feedTransport(fc *feeds.Config, n int) {
	if r.bridge == nil {
		fc.Transport = nettune.KernelTransport()
		return
	}
	fc.Transport = r.bridge.Transport(n)
	fc.DialREST = r.bridge.DialContext
	fc.Resolve = r.bridge.LookupNetIP
}

// gatewayTransport is the last stack: feeds come first.
func (r *relayd) gatewayTransport() nettune.Transport {
	if r.bridge == nil || r.cfg.DPDK.Listen == "kernel" {
		return nettune.KernelTransport()
	}
	return r.bridge.Transport(r.bridge.Info().Queues - 1)
}

// dpdkMetrics exports the port's state and counters.
type dpdkMetrics struct{ b dpdkbridge.Bridge }

var (
	dpdkLink  = desc("dpdk_link_up", "1 while the port's link is up.", "device")
	dpdkPool  = desc("dpdk_buffers_free_ratio", "Part of the frame buffers that is free.", "device")
	dpdkStats = desc("dpdk_counter_total", "The port's extended statistics and the stacks' own, as their sources name them.", "device", "name")
)

// Describe implements prometheus.Collector.
func (m dpdkMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{dpdkLink, dpdkPool, dpdkStats} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m dpdkMetrics) Collect(ch chan<- prometheus.Metric) {
	i := m.b.Info()
	up := 0.0
	if i.LinkUp {
		up = 1
	}
	ch <- prometheus.MustNewConstMetric(dpdkLink, prometheus.GaugeValue, up, i.Device)
	ch <- prometheus.MustNewConstMetric(dpdkPool, prometheus.GaugeValue, float64(i.PoolFree)/100, i.Device)
	for _, c := range m.b.Counters() {
		ch <- counter(dpdkStats, c.Value, i.Device, c.Name)
	}
}
