package main

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"tickrelay/nettune/proxy"
)

func proxyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Configurations of nginx and haproxy for the gateway: write one, check one",
		Args:  noSuchCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		proxyWriteCommand("nginx", "nginx.conf", "nginx -t -c /etc/nginx/nginx.conf", proxy.Nginx),
		proxyWriteCommand("haproxy", "haproxy.cfg", "haproxy -c -f /etc/haproxy/haproxy.cfg", proxy.HAProxy),
		proxyCheckCommand())
	return c
}

// proxyWriteCommand prints a configuration for one kind of proxy.
func proxyWriteCommand(kind, file, test string, write func(io.Writer, proxy.Config) error) *cobra.Command {
	var cfg proxy.Config
	var sources []string
	var relay string
	c := &cobra.Command{
		Use:   kind + " [flags]",
		Short: "Print a complete " + file + " for the gateway",
		Long: `Print a complete, commented ` + file + ` for a proxy in front of the gateway. Its
time-outs come from the gateway's ping interval, so that no living WebSocket is cut.

    tickrelay proxy ` + kind + ` --server-name md.example.net --tls-cert /etc/ssl/md.pem > /etc/` + kind + `/` + file + `
    ` + test,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var notes []string
			for _, s := range sources {
				a, err := netip.ParseAddr(s)
				if err != nil {
					return usageError{fmt.Errorf("--source %q: want an IP address of the proxy's host", s)}
				}
				cfg.Sources = append(cfg.Sources, a)
			}
			if relay != "" {
				var err error
				if notes, err = proxyForRelay(relay, &cfg, c.Flags().Changed); err != nil {
					return err
				}
			}
			if err := write(c.OutOrStdout(), cfg); err != nil {
				return usageError{err}
			}
			for _, w := range append(notes, cfg.Warnings()...) {
				fmt.Fprintf(c.ErrOrStderr(), "tickrelay: note: %s\n", w)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&relay, "config", "c", "", "the relay's configuration: take the gateway's address, its ping interval and whether it expects the PROXY protocol from there")
	f.StringArrayVar(&cfg.Gateways, "upstream", nil, "gateway's address IP:PORT; repeat for several (default "+proxy.DefaultGateway+")")
	f.StringArrayVar(&sources, "source", nil, "local address to connect to gateways from; repeat: each has ports for about 28,000 connections")
	f.StringVar(&cfg.Listen, "listen", "", "clients' address, IP:PORT or :PORT (default :443 with --tls-cert, else :80)")
	f.StringVar(&cfg.ServerName, "server-name", "", "host name to serve (default any)")
	f.StringVar(&cfg.TLSCert, "tls-cert", "", "PEM file of the certificate chain")
	f.StringVar(&cfg.TLSKey, "tls-key", "", "PEM file of the key (default in the certificate's file)")
	f.BoolVar(&cfg.ProxyProtocol, "proxy-protocol", false, "tell the gateway each client's address; it must trust the proxy (proxy_protocol in its configuration)")
	f.IntVar(&cfg.MaxConns, "max-conns", proxy.DefaultMaxConns, "client connections to bear")
	f.IntVar(&cfg.MaxPerClient, "max-per-client", 0, "connections of one client address, 0 for no bound")
	f.DurationVar(&cfg.PingInterval, "ping-interval", proxyPingInterval, "the gateway's ping interval")
	f.BoolVar(&cfg.FastOpen, "fastopen", false, "TCP Fast Open (also needs net.ipv4.tcp_fastopen=3)")
	return c
}
