package fanoutbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"tickrelay/relay"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

const ringName = "gateway"

// Gateway is the process of our server: the gateway as it always is, reading the ring
// in the directory of the first argument; with CERT and KEY it speaks TLS. It prints
// where it listens and ends with its input.
func Gateway(ctx context.Context, args []string, in io.Reader, out io.Writer, log *slog.Logger) error {
	if len(args) != 1 && len(args) != 3 {
		return errors.New("fanoutbench: gateway: want DIR [CERT KEY]")
	}
	dir := args[0]
	view, done, err := ring.OpenTable(dir)
	if err != nil {
		return err
	}
	defer done()
	cfg := relay.Config{Listen: "127.0.0.1:0", Table: view, Log: log,
		OpenTable: func() (*md.TableView, error) { return view, nil },
		Limits:    relay.Limits{MaxConns: maxSubscribers}}
	if len(args) == 3 {
		cfg.TLS = &relay.TLSConfig{Cert: args[1], Key: args[2]}
	}
	g, err := relay.New(cfg)
	if err != nil {
		return err
	}
	g.AddRingPath(dir, ringName)
	if _, err := fmt.Fprintf(out, "listen %s\n", g.Addr()); err != nil {
		g.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	return g.Run(ctx)
}
