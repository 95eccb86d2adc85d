package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/cmd/transportbench"
)

// worthwhile is the part of the busy kernel's median that a bypass must stay
// below to be called worth its trouble.
const worthwhile = 0.8

// probed is one way of the probe.
type probed struct {
	Way    string                `json:"way"`
	Echo   transportbench.Result `json:"round_trip"`
	Stream transportbench.Result `json:"stream"`
	Err    string                `json:"error,omitempty"`
}

func dpdkProbeCommand() *cobra.Command {
	var serve, connect string
	var asJSON bool
	e := transportbench.Endpoint{CPU: -1}
	duration := 3 * time.Second
	hold := 0
	c := &cobra.Command{
		Use:   "probe --serve ADDR | --connect ADDR",
		Short: "The same WebSocket over each transport between two hosts, and whether bypass pays",
		Long: `probe --serve answers on one host; probe --connect on the other measures round
trips of 128 bytes and a stream: the kernel's sockets asleep, busy, and, with
--device, DPDK. The last line says whether bypass pays on this path. Both hosts'
processors should be pinned (--cpu) and otherwise idle.`,
		Example: `  tickrelay dpdk probe --serve 10.0.1.5:7000 --cpu 2
  tickrelay dpdk probe --connect 10.0.1.5:7000 --cpu 2 --device af_xdp:ens6 --address 10.0.1.7/24`,
		Args: usage(cobra.NoArgs),
	}
	logger := addLogFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger()
		if err != nil {
			return err
		}
		if (serve == "") == (connect == "") {
			return usageError{fmt.Errorf("dpdk probe: either --serve or --connect is needed")}
		}
		at, err := netip.ParseAddrPort(serve + connect)
		if err != nil {
			return usageError{fmt.Errorf("dpdk probe: %q: want address:port", serve+connect)}
		}
		defer holdCPULatency(&hold, log)()
		if serve != "" {
			e.Busy = true
			return transportbench.Serve(c.Context(), e, at, func(a netip.AddrPort) {
				fmt.Fprintf(c.OutOrStdout(), "serving %s\n", a)
			})
		}
		list := probeWays(c.Context(), e, at, duration)
		verdict := judge(list)
		if asJSON {
			return json.NewEncoder(c.OutOrStdout()).Encode(map[string]any{"ways": list, "verdict": verdict})
		}
		return printProbe(c, list, verdict)
	}
	f := c.Flags()
	f.StringVar(&serve, "serve", "", "serve on this address")
	f.StringVar(&connect, "connect", "", "measure towards this address")
	f.StringVar(&e.Device, "device", "", "DPDK device, as in the configuration: PCI address or af_xdp:INTERFACE")
	f.StringVar(&e.Args, "args", "", "more arguments of the device")
	f.StringSliceVar(&e.Addresses, "address", nil, "address of the device's stack, with prefix length")
	f.StringSliceVar(&e.Gateways, "gateway", nil, "gateway of the device's stack")
	f.BoolVar(&e.HugePages, "huge-pages", false, "back the device's memory with huge pages")
	f.IntVar(&e.CPU, "cpu", -1, "processor of this end's loop")
	f.DurationVar(&duration, "duration", duration, "time per figure")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// probeWays measures each way, the device's last.
func probeWays(ctx context.Context, e transportbench.Endpoint, to netip.AddrPort, d time.Duration) []probed {
	ways := []struct {
		name string
		e    transportbench.Endpoint
	}{{"kernel, asleep", transportbench.Endpoint{CPU: e.CPU}}, {"kernel, busy", transportbench.Endpoint{CPU: e.CPU, Busy: true}}}
	if e.Device != "" {
		e.Busy = true
		ways = append(ways, struct {
			name string
			e    transportbench.Endpoint
		}{"dpdk " + e.Device, e})
	}
	var out []probed
	for _, w := range ways {
		p := probed{Way: w.name}
		done := make(chan error, 1)
		go func() { // Measure keeps its thread: this one ends with it
			var err error
			p.Echo, p.Stream, err = transportbench.Measure(ctx, w.e, to, d)
			done <- err
		}()
		if err := <-done; err != nil {
			p.Err = err.Error()
		}
		if out = append(out, p); ctx.Err() != nil {
			break
		}
	}
	return out
}

// judge says whether bypass pays.
func judge(list []probed) string {
	if len(list) < 3 {
		return "no DPDK device was measured: give one with --device"
	}
	busy, bypass := list[1], list[2]
	switch {
	case bypass.Err != "" || busy.Err != "":
		return "no verdict: " + bypass.Err + busy.Err
	case bypass.Echo.P50 <= worthwhile*busy.Echo.P50 && bypass.Echo.P99 <= busy.Echo.P99:
		return fmt.Sprintf("bypass pays here: median %.1f against %.1f µs of busy sockets, p99 %.1f against %.1f", bypass.Echo.P50, busy.Echo.P50, bypass.Echo.P99, busy.Echo.P99)
	}
	return fmt.Sprintf("bypass does not pay here: median %.1f against %.1f µs of busy sockets, p99 %.1f against %.1f; use poll: busy", bypass.Echo.P50, busy.Echo.P50, bypass.Echo.P99, busy.Echo.P99)
}

func printProbe(c *cobra.Command, list []probed, verdict string) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WAY\tP50 µs\tP99\tP99.9\tCPU µs/message\tSTREAM messages/s\tCPU µs/message")
	failed := 0
	for _, p := range list {
		if p.Err != "" {
			failed++
			fmt.Fprintf(w, "%s\t%s\n", p.Way, p.Err)
			continue
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.2f\n", p.Way, p.Echo.P50, p.Echo.P99, p.Echo.P999, p.Echo.CPU, p.Stream.Rate, p.Stream.CPU)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), verdict)
	if failed > 0 {
		return fmt.Errorf("dpdk probe: %d of %d ways could not be measured", failed, len(list))
	}
	return nil
}
