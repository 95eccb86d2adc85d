package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"tickrelay/dpdkbridge"
)

func TestDPDKCheckCommand(t *testing.T) {
	out, errs, code := tickrelay(t, "dpdk", "check", "--json")
	var got struct {
		Findings []struct {
			What, Found, Fix string
			OK               bool
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	missing := 0
	for _, f := range got.Findings {
		if !f.OK {
			missing++
			if f.Fix == "" {
				t.Errorf("%s is missing, but no command is named", f.What)
			}
		}
	}
	if want := map[bool]int{false: 0, true: 1}[missing > 0]; code != want || len(got.Findings) < 5 {
		t.Errorf("exit code %d with %d of %d missing", code, missing, len(got.Findings))
	}
	if _, errs, code := tickrelay(t, "dpdk", "bind", "--yes", "nosuchcard"); code != 1 || !strings.Contains(errs, "no network card") {
		t.Errorf("bind of nothing: %d, %s", code, errs)
	}
}

// TestDPDKProbeCommand measures the kernel's two ways over loopback.
func TestDPDKProbeCommand(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	server := startCommand(t, exec.Command(path, "dpdk", "probe", "--serve", "127.0.0.1:0"))
	addr := server.line("serving ")
	out, errs, code := tickrelay(t, "dpdk", "probe", "--connect", addr, "--duration", "50ms")
	if code != 0 || !strings.Contains(out, "kernel, busy") || !strings.Contains(out, "no DPDK device was measured") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if !dpdkbridge.Built {
		out, _, code := tickrelay(t, "dpdk", "probe", "--connect", addr, "--duration", "20ms", "--device", "tap:x0", "--address", "10.1.1.1/24")
		if code != 1 || !strings.Contains(out, "go-dpdk") {
			t.Errorf("without DPDK: %d\n%s", code, out)
		}
	}
	if code := server.stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	if _, err := netip.ParseAddrPort(addr); err != nil {
		t.Error(err)
	}
}

func TestDPDKConfig(t *testing.T) {
	feed := "feeds: [{venue: okx, instruments: [BTC-USDT]}]\n"
	for text, want := range map[string]string{
		"transport: dpdk\n":  "dpdk wants a block dpdk:",
		"transport: magic\n": "want kernel or dpdk",
		"dpdk: {device: 'af_xdp:eth0', addresses: [10.0.0.1/24]}\n":                                          "transport is kernel",
		"transport: dpdk\ndpdk: {device: eth0, addresses: [10.0.0.1/24]}\n":                                  "want a PCI address",
		"transport: dpdk\ndpdk: {device: 'af_xdp:eth0', addresses: [10.0.0.1]}\n":                            "with prefix length",
		"transport: dpdk\ndpdk: {device: 'af_xdp:eth0', addresses: [10.0.0.1/24], gateway: [10.0.9.1]}\n":    "none of the networks",
		"transport: dpdk\ndpdk: {device: '0000:00:06.0', addresses: [10.0.0.1/24]}\n":                        "huge_pages",
		"transport: dpdk\ndpdk: {device: 'af_packet:eth0', addresses: [10.0.0.1/24], shared: true}\n":        "only af_xdp",
		"transport: dpdk\ndpdk: {device: 'af_packet:eth0', addresses: [10.0.0.1/24], ports: [100, 200]}\n":   "above 1023",
		"transport: dpdk\ndpdk: {device: 'af_packet:eth0', addresses: [10.0.0.1/24], listen: elsewhere}\n":   "want dpdk or kernel",
		"transport: dpdk\ndpdk: {device: 'af_packet:eth0', addresses: [10.0.0.1/24], nonsense: elsewhere}\n": "nonsense",
	} {
		_, err := parseConfig("x.yaml", []byte(text+feed))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, err := parseConfig("x.yaml", fmt.Appendf(nil, "transport: dpdk\ndpdk: {device: 'af_xdp:eth0', addresses: [10.0.0.1/24], gateway: [10.0.0.254], dns: [10.0.0.2]}\nlisten: 10.0.0.1:8080\n%s", feed))
	if dpdkbridge.Built != (err == nil) || err != nil && !strings.Contains(err.Error(), "build tag dpdk") {
		t.Errorf("a good block: %v", err)
	}
}
