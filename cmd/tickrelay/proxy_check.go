package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"tickrelay/nettune/proxy"
)

// proxyPingInterval is the gateway's default.
const proxyPingInterval = proxy.DefaultPingInterval

// proxyForRelay fills in what a relay's configuration says and the command line does
// not. It returns what does not fit together, for people.
func proxyForRelay(file string, cfg *proxy.Config, given func(flag string) bool) (notes []string, err error) {
	c, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	if !given("upstream") {
		addr, err := resolveListen(c.Listen)
		if err != nil {
			return nil, err
		}
		cfg.Gateways = []string{reachable(addr).String()}
	}
	if !given("ping-interval") {
		cfg.PingInterval = c.Limits.ping()
	}
	trusted := c.proxyNetworks(func(string) {})
	if !given("proxy-protocol") {
		cfg.ProxyProtocol = len(trusted) > 0
	}
	if cfg.ProxyProtocol && len(trusted) == 0 {
		notes = append(notes, file+" has no proxy_protocol: the gateway will refuse every connection of this proxy")
	}
	for _, s := range cfg.Sources {
		inside := slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(s) })
		if cfg.ProxyProtocol && len(trusted) > 0 && !inside {
			notes = append(notes, fmt.Sprintf("proxy_protocol of %s does not list %s: the gateway will refuse connections from there", file, s))
		}
		if !cfg.ProxyProtocol && inside {
			notes = append(notes, fmt.Sprintf("proxy_protocol of %s lists %s: the gateway will refuse connections from there without --proxy-protocol", file, s))
		}
	}
	return notes, nil
}

// reachable is where a proxy on this host finds a gateway that listens on addr.
func reachable(addr netip.AddrPort) netip.AddrPort {
	if !addr.Addr().IsUnspecified() {
		return addr
	}
	local := netip.MustParseAddr("127.0.0.1")
	if addr.Addr().Is6() {
		local = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(local, addr.Port())
}

func proxyCheckCommand() *cobra.Command {
	var o proxy.CheckOptions
	var asJSON bool
	var relay string
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Name each setting of an nginx.conf or haproxy.cfg that will cut or delay a WebSocket",
		Long: `Read an existing nginx.conf (its includes are followed) or haproxy.cfg (several files,
or a folder of *.cfg, as haproxy -f takes them) and name each setting that will cut or
delay a WebSocket: file:line, severity, why, and what to write instead. Time-outs are
held against the gateway's ping interval.

The exit code is 0 if nothing was found or notes only, 1 if there are errors or warnings
or the file cannot be judged.`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			files, err := proxyFiles(args)
			if err != nil {
				return err
			}
			if relay != "" {
				cfg, err := loadConfig(relay)
				if err != nil {
					return err
				}
				if !c.Flags().Changed("ping-interval") {
					o.PingInterval = cfg.Limits.ping()
				}
			}
			r, err := proxy.Check(o, files...)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetEscapeHTML(false)
				e.SetIndent("", "  ")
				err = e.Encode(r)
			} else {
				err = printReport(c.OutOrStdout(), r)
			}
			if err == nil && r.Failed() {
				err = fmt.Errorf("proxy check: %s", proxyTally(r))
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVarP(&relay, "config", "c", "", "the relay's configuration: take the ping interval from there")
	f.DurationVar(&o.PingInterval, "ping-interval", proxyPingInterval, "the gateway's ping interval")
	f.IntVar(&o.MaxConns, "max-conns", 0, "WebSockets to bear; 0: numbers of connections are not judged")
	f.StringVar(&o.Path, "path", proxy.DefaultPath, "path of the WebSocket")
	f.StringVar(&o.ServerName, "server-name", "", "nginx: only servers of this name")
	f.StringVar(&o.Gateway, "upstream", "", "only what leads to this gateway, HOST:PORT")
	f.StringVar(&o.Kind, "kind", "", "nginx or haproxy (default: told by the text)")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

// proxyFiles replaces folders by their *.cfg, in the order of their names.
func proxyFiles(args []string) ([]string, error) {
	var out []string
	for _, a := range args {
		if st, err := os.Stat(a); err != nil || !st.IsDir() {
			out = append(out, a)
			continue
		}
		in, err := filepath.Glob(filepath.Join(a, "*.cfg"))
		if err != nil || len(in) == 0 {
			return nil, fmt.Errorf("proxy check: %s holds no *.cfg", a)
		}
		out = append(out, in...)
	}
	return out, nil
}

func proxyTally(r *proxy.Report) string {
	n := map[proxy.Severity]int{}
	for _, f := range r.Findings {
		n[f.Severity]++
	}
	return fmt.Sprintf("%d errors, %d warnings, %d notes", n[proxy.Error], n[proxy.Warning], n[proxy.Note])
}

// printReport writes the report for people.
func printReport(w io.Writer, r *proxy.Report) error {
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	line("%s, %d files, gateway pings every %s", r.Kind, len(r.Files), r.Ping)
	for _, j := range r.Judged {
		line("judged %s", j)
	}
	for _, f := range r.Findings {
		line("\n%s:%d: %s: %s\n    why: %s\n    fix: %s", f.File, f.Line, f.Severity, f.Setting, f.Why, f.Fix)
	}
	if len(r.Findings) == 0 {
		line("nothing here cuts or delays a WebSocket")
	}
	return err
}
