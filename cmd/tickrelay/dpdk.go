package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tickrelay/dpdkbridge"
	"tickrelay/dpdkbridge/nic"
)

func dpdkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "dpdk",
		Short: "Network cards under DPDK: what is missing, bind and unbind, whether it pays",
		Long: `dpdk prepares a host for transport: dpdk, and measures whether that pays. check,
bind and unbind need no DPDK in this build; probe does, for its DPDK row.`,
		Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(dpdkCheckCommand(), dpdkBindCommand(), dpdkUnbindCommand(), dpdkProbeCommand())
	return c
}

func nicHost() nic.Host { return nic.Host{SSH: sshConnection("/proc", os.Getpid())} }

// sshConnection is SSH_CONNECTION of a process or of the nearest parent that has
// it: sudo and su take it out of the environment.
func sshConnection(proc string, pid int) string {
	for range 64 {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		env, _ := os.ReadFile(dir + "/environ")
		for kv := range strings.SplitSeq(string(env), "\x00") {
			if v, ok := strings.CutPrefix(kv, "SSH_CONNECTION="); ok {
				return v
			}
		}
		stat, _ := os.ReadFile(dir + "/stat")
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // state, parent
		if len(f) < 2 {
			return ""
		}
		var err error
		if pid, err = strconv.Atoi(f[1]); err != nil || pid == 0 {
			return ""
		}
	}
	return ""
}

func dpdkCheckCommand() *cobra.Command {
	var asJSON bool
	memory := 256
	c := &cobra.Command{
		Use:   "check",
		Short: "What a network card under DPDK needs, and the command that fixes what is missing",
		Long: `check looks at cards, drivers, IOMMU, vfio-pci, huge pages (also those of the
card's NUMA node), memlock, and for ENA at write combining and low-latency
queues. It changes nothing. Exit code 1 says that something is missing.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			list, devices, err := nicHost().Check(memory)
			if err != nil {
				return err
			}
			build := nic.Finding{What: "this build", Found: "has DPDK", OK: true}
			if !dpdkbridge.Built {
				build = nic.Finding{What: "this build", Found: "has no DPDK", Fix: "dpdkbridge/go-dpdk build -o tickrelay ./cmd/tickrelay"}
			}
			list = append(list, build)
			if err := printFindings(c, asJSON, list, devices); err != nil {
				return err
			}
			for _, f := range list {
				if !f.OK {
					return foundError(exitFailed)
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().IntVar(&memory, "memory-mb", memory, "huge pages that the port will want, MiB")
	return c
}

func printFindings(c *cobra.Command, asJSON bool, list []nic.Finding, devices []nic.Device) error {
	if asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(map[string]any{"findings": list, "devices": devices})
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, f := range list {
		state := "ok"
		if !f.OK {
			state = "missing"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", state, f.What, f.Found)
		if f.Fix != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", f.Fix)
		}
	}
	return w.Flush()
}

func dpdkBindCommand() *cobra.Command {
	var force, yes bool
	driver := "vfio-pci"
	c := &cobra.Command{
		Use:   "bind CARD",
		Short: "Take a card (PCI address or interface) from the kernel for DPDK",
		Long: `bind writes a journal of the interface's addresses, routes and MTU, takes the
link down and gives the card to vfio-pci. It refuses the interface that carries
the default route or this SSH session, unless forced. unbind restores all of it.
The next boot knows nothing of this.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := nicHost().Find(args[0])
			if err != nil {
				return err
			}
			if !yes && !confirmed(c, fmt.Sprintf("Take %s (%s, driver %s) from the kernel?", d.PCI, d.Interface, d.Driver)) {
				return fmt.Errorf("dpdk bind: nothing was changed")
			}
			if d, err = nicHost().Bind(args[0], driver, force); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s bound to %s; undo with: tickrelay dpdk unbind %[1]s\n", d.PCI, d.Driver)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&driver, "driver", driver, "driver that DPDK works with: vfio-pci or igb_uio")
	f.BoolVar(&force, "force", false, "even if it is the way into this host")
	f.BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func dpdkUnbindCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "unbind CARD",
		Short: "Give a card back to the kernel, with the addresses and routes that it had",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if !yes && !confirmed(c, "Give "+args[0]+" back to the kernel?") {
				return fmt.Errorf("dpdk unbind: nothing was changed")
			}
			d, err := nicHost().Unbind(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s back with %s as %s\n", d.PCI, d.Driver, d.Interface)
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// confirmed asks on stderr and reads one line.
func confirmed(c *cobra.Command, question string) bool {
	fmt.Fprintf(c.ErrOrStderr(), "%s [y/N] ", question)
	line, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(line), "y")
}
