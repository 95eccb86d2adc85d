package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/ring"
)

func runCommand() *cobra.Command {
	var file string
	var o runOptions
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run the relay",
		Long: `run starts the feeds, the rings and the gateway of a configuration and serves until
Ctrl-C. With --feeds-only and --gateway-only the two run in processes of their own, of
the same configuration: the gateway then reads the rings of the feeds, and of what
comes over the bus, in shared memory as a strategy does, and can be restarted, or
replaced with --takeover, while feeds and strategies notice nothing.

SIGHUP, and tickrelay reload, take the configuration up anew: feeds, instruments,
channels, rings, tokens, limits, origins and certificates change without a touch of the
others. A configuration with problems changes nothing. A first SIGTERM drains, a second
one ends at once. A listening socket opened by systemd
(LISTEN_FDS) is used instead of listen.`,
		Args: usage(cobra.NoArgs),
	}
	logger := addLogFlag(c)
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.Flags().BoolVar(&o.feedsOnly, "feeds-only", false, "feeds, bus and rings, no gateway")
	c.Flags().BoolVar(&o.gatewayOnly, "gateway-only", false, "the gateway, on the rings of a process with --feeds-only")
	c.Flags().BoolVar(&o.takeover, "takeover", false, "with --gateway-only: replace the gateway that runs, whose clients are asked to reconnect")
	c.Flags().StringVar(&o.debug, "debug", "", "serve pprof and traces on this loopback address or Unix socket, see docs/deploy.md")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.debug != "" {
			if err := checkDebugAddr(o.debug); err != nil {
				return err
			}
		}
		switch {
		case file == "":
			return usageError{fmt.Errorf("run: -c FILE is needed")}
		case o.feedsOnly && o.gatewayOnly:
			return usageError{errors.New("run: --feeds-only and --gateway-only exclude each other")}
		case o.takeover && !o.gatewayOnly:
			return usageError{errors.New("run: --takeover is for --gateway-only")}
		}
		log, err := logger()
		if err != nil {
			return err
		}
		cfg, _, err := readConfig(file)
		if err != nil {
			return err
		}
		if !o.feedsOnly {
			if o.listener = activated(log); o.listener != nil {
				defer o.listener.Close()
			}
		}
		o.file = file
		return runRelay(c.Context(), cfg, o, log, c.OutOrStdout())
	}
	return c
}

func runRelay(ctx context.Context, cfg *fileConfig, o runOptions, log *slog.Logger, out io.Writer) (err error) {
	var debug *debugServer
	if o.debug != "" {
		if debug, err = newDebugServer(o.debug, log); err != nil {
			return err
		}
		defer debug.l.Close()
	}
	var r *relayd
	if o.gatewayOnly {
		r, err = newGatewayd(ctx, cfg, o, log)
	} else {
		reclaim(ring.DefaultBase, log)
		defer holdCPULatency(cfg.CPULatency, log)()
		r, err = newRelayd(cfg, o, log)
	}
	if err != nil {
		return err
	}
	r.debug = debug
	r.welcome(out)
	return r.run(ctx)
}

// welcome prints where to find what this process serves.
func (r *relayd) welcome(out io.Writer) {
	if r.gw != nil {
		http, ws := r.cfg.TLS.schemes()
		fmt.Fprintf(out, "page %s://%s/\nwebsocket %s://%s/ws\n", http, r.gw.Addr(), ws, r.gw.Addr())
	}
	if r.dir != nil {
		fmt.Fprintf(out, "rings %s\n", r.dir.Path())
	}
	fmt.Fprintf(out, "socket %s\n", r.socket)
	if r.alone != nil {
		fmt.Fprintf(out, "control %s\n", gatewaySocket(r.socket))
	}
}

// reclaim removes what relays of this user that died have left behind: their
// directories, and the sockets that they named there.
func reclaim(base string, log *slog.Logger) {
	sockets := map[string]string{}
	own, err := ring.OwnDirs(base)
	for _, name := range own {
		if info, err := readInfo(filepath.Join(base, name)); err == nil {
			sockets[name] = info.Socket
		}
	}
	var gone []string
	if err == nil {
		gone, err = ring.ReclaimDead(base)
	}
	if err != nil {
		log.Warn("leftovers of dead relays not removed", "err", err)
	}
	for _, dir := range gone {
		removeDead(sockets[dir])
		log.Info("removed what a dead relay left", "dir", dir)
	}
}

// removeDead removes a socket of this user that nobody listens on. Other files
// refuse a connection as well and are left alone.
func removeDead(socket string) {
	st, err := os.Lstat(socket)
	if err != nil {
		return
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); st.Mode()&os.ModeSocket == 0 || !ok || int(sys.Uid) != os.Geteuid() {
		return
	}
	conn, err := net.DialTimeout("unix", socket, time.Second)
	switch {
	case err == nil:
		conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		os.Remove(socket)
	}
}
