package dpdkbridge

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseDevice(t *testing.T) {
	for in, want := range map[string]device{
		"0000:00:06.0": {"pci", "0000:00:06.0"}, "00:1F.7": {"pci", "0000:00:1f.7"}, "af_xdp:eth1": {"af_xdp", "eth1"},
		"memif:/run/x.sock": {"memif", "/run/x.sock"}, "tap:t0": {"tap", "t0"},
	} {
		if got, err := parseDevice(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "eth0", "00:06.8", "af_xdp:", "af_xdp:a/b", "memif:relative", "memif:/a,b", "usb:eth0", "af_packet:averyverylongname"} {
		if got, err := parseDevice(in); err == nil {
			t.Errorf("%q was taken as %+v", in, got)
		}
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	c := Config{Device: "af_packet:eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.1.1/24"),
		netip.MustParsePrefix("fd00::1/48")}, Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, MTU: 100, Queues: 99,
		Ports: [2]uint16{10, 20}, Shared: true, Buffers: 1, MaxConns: -1, Listen: []uint16{15}, DNS: []netip.Addr{netip.MustParseAddr("fd01::53")}}
	err := c.Validate()
	for _, want := range []string{"/64", "at most one of IPv4", "gateway 192.0.2.1", "mtu is 100", "queues is 99", "ports 10-20", "shared: only af_xdp", "shared: address fd00::1", "shared: neighbours is empty",
		"shared: gateway 192.0.2.1", "buffers", "max_connections", "listen: port 15", "dns fd01::53"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
	few := Config{Device: "af_xdp:eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, Queues: 16, Buffers: 4096}
	if err := few.Validate(); err == nil || !strings.Contains(err.Error(), "16 queues need 32768") {
		t.Errorf("fewer buffers than rings: %v", err)
	}
	few.Buffers = 0 // the default is enough
	if err := few.Validate(); err != nil {
		t.Error(err)
	}
	good := Config{Device: "af_xdp:eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")},
		Gateways: []netip.Addr{netip.MustParseAddr("10.0.0.254"), netip.MustParseAddr("fe80::1")}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := Open(good); !Built && !errors.Is(err, ErrNotBuilt) {
		t.Errorf("open in a build without DPDK: %v", err)
	}
}
