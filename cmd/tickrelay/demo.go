package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	listen      string
	listenGiven bool
	seed        uint64
	rate        float64
}

// demoSymbols are the instruments of the simulated exchanges.
var demoSymbols = []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}

// demoVenues are the exchanges simulated, all that are known.
var demoVenues = []string{"binance", "bitget", "okx"}

const demoStrategy = "example"

func demoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Simulated exchanges → feeds → rings → gateway and page; no network, no configuration",
		Long: `demo runs simulated exchanges that speak each venue's own protocol over loopback
WebSockets, the feeds that connect to them, a ring with an example strategy that
reads it, and the gateway with its page. It writes nothing outside /dev/shm and
stops with Ctrl-C.

With --cluster the hosts of a larger installation are processes: three NATS servers,
two ingests of which one leads per venue, two gateways. Kill any of them.`,
		Args: usage(cobra.NoArgs),
	}
	logger := addLogFlag(c)
	c.Flags().Lookup("log").DefValue = "warn"
	_ = c.Flags().Set("log", "warn")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8080", "address of the page and of the WebSocket; if not given and taken, a free port")
	c.Flags().Uint64Var(&o.seed, "seed", 1, "seed of the simulated markets")
	cluster := c.Flags().Bool("cluster", false, "three NATS servers, two ingests and two gateways, each a process of its own")
	c.Flags().Float64Var(&o.rate, "rate", 400, "market events per second and venue")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger()
		if err != nil {
			return err
		}
		if !(o.rate > 0) || o.rate > 1e6 {
			return usageError{fmt.Errorf("--rate %v: want more than 0, at most 1000000", o.rate)}
		}
		o.listenGiven = c.Flags().Changed("listen")
		if *cluster {
			return demoCluster(c.Context(), o, log, c.OutOrStdout(), c.ErrOrStderr())
		}
		return demo(c.Context(), o, log, c.OutOrStdout())
	}
	c.AddCommand(natsCommand())
	return c
}

func demo(ctx context.Context, o demoOptions, log *slog.Logger, out io.Writer) error {
	reclaim(ring.DefaultBase, log)
	cfg := &fileConfig{Listen: o.listen}
	cfg.withDefaults()
	feeds, stopSim, err := demoExchanges(ctx, o, log)
	if err != nil {
		return err
	}
	cfg.Feeds = feeds
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopSim()
	cfg.Rings = []ringConfig{{Strategy: demoStrategy, Topics: []string{"binance.book.BTC-USDT", "binance.trades.BTC-USDT"}, Capacity: defaultRingCapacity}}
	r, err := newDemoRelay(cfg, o, log)
	if err != nil {
		return err
	}
	demoWelcome(out, r)
	s := newExampleStrategy(r)
	wg.Go(func() {
		if err := s.run(ctx); err != nil {
			log.Error("example strategy stopped", "err", err)
		}
	})
	wg.Go(func() { liveCounts(ctx, out, r, s) })
	return r.run(ctx)
}

// demoExchanges starts the simulated exchanges and says what feeds read them. They
// outlive the relay, so that its end is a clean one: until stop.
func demoExchanges(ctx context.Context, o demoOptions, log *slog.Logger) (feeds []feedConfig, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	var servers []*sim.Server
	stop = func() {
		cancel()
		for _, s := range servers {
			s.Close()
		}
		wg.Wait()
	}
	for i, venue := range demoVenues {
		m, err := sim.NewMarket(o.seed+uint64(i), demoSymbols)
		if err != nil {
			stop()
			return nil, nil, err
		}
		srv, err := sim.Serve(ctx, venue, "127.0.0.1:0", m, sim.Options{Log: log.With("exchange", venue)})
		if err != nil {
			stop()
			return nil, nil, err
		}
		servers = append(servers, srv)
		wg.Go(func() {
			if err := m.Run(ctx, o.rate); err != nil && ctx.Err() == nil {
				log.Error("simulated market stopped", "venue", venue, "err", err)
			}
		})
		feeds = append(feeds, feedConfig{Venue: venue, Name: venue, URL: srv.URL(), REST: srv.REST(), Lines: 1, Poll: "block",
			Instruments: demoSymbols, Channels: []string{"trades", "book", "bbo", "ticker"}})
	}
	return feeds, stop, nil
}

// newDemoRelay opens the relay under the first free name, and on a free port if
// the default one is taken and none was asked for.
func newDemoRelay(cfg *fileConfig, o demoOptions, log *slog.Logger) (*relayd, error) {
	for i := 1; ; i++ {
		cfg.Relay = "demo"
		if i > 1 {
			cfg.Relay += "-" + strconv.Itoa(i)
		}
		cfg.Socket = filepath.Join(ring.DefaultBase, cfg.Relay, "attach.sock")
		r, err := newRelayd(cfg, runOptions{}, log)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, ring.ErrBusy) && i < 100:
		case errors.Is(err, syscall.EADDRINUSE) && !o.listenGiven && cfg.Listen != "127.0.0.1:0":
			cfg.Listen = "127.0.0.1:0"
			i--
		default:
			return nil, err
		}
	}
}

func demoWelcome(out io.Writer, r *relayd) {
	ringPath := filepath.Join(r.dir.Path(), ringName(demoStrategy, "binance"))
	fmt.Fprintf(out, `tickrelay demo: simulated exchanges, real sockets, real rings

  page       http://%[1]s/
  websocket  ws://%[1]s/ws
  ring       %[2]s.data

Try in another terminal:
  %[3]s ring ls
  %[3]s ring stat %[4]s
  %[3]s ring tail binance.trades.BTC-USDT
  curl http://%[1]s/api/v1/book/binance/BTC-USDT?depth=3

Ctrl-C stops it and leaves nothing behind.

`, r.gw.Addr(), ringPath, self(), ringName(demoStrategy, "binance"))
}

// self is how the user can call this program again.
func self() string {
	exe, err := os.Executable()
	if err != nil {
		return "tickrelay"
	}
	if len(os.Args) > 0 && os.Args[0] != exe && filepath.Base(os.Args[0]) == os.Args[0] {
		return os.Args[0] // found on the PATH
	}
	if isGoRun(exe) {
		return "go run ./cmd/tickrelay"
	}
	return exe
}

// isGoRun recognises a binary that go run built and will delete.
func isGoRun(exe string) bool {
	return strings.Contains(exe, "/go-build") && filepath.Base(filepath.Dir(exe)) == "exe"
}

// liveCounts prints what passed: on a terminal one line rewritten each second,
// elsewhere a line every five seconds.
func liveCounts(ctx context.Context, out io.Writer, r *relayd, s *exampleStrategy) {
	every, end, start := 5*time.Second, "\n", ""
	if isTerminal(out) {
		every, end, start = time.Second, "", "\r\x1b[K"
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if start != "" {
				fmt.Fprintln(out)
			}
			return
		case <-tick.C:
		}
		var frames, records, gaps uint64
		for _, f := range r.status() {
			frames, records, gaps = frames+f.Frames, records+f.Records, gaps+f.Gaps
		}
		fmt.Fprintf(out, "%sframes %d  records %d  gaps %d  | strategy: %s%s", start, frames, records, gaps, s.summary(), end)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
