package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"tickrelay/relay/record"
	"tickrelay/ring"
)

// recordOptions are the flags of record.
type recordOptions struct {
	config  string
	attach  string
	rings   []string
	dir     string
	topics  []string
	metrics string
}

func recordCommand() *cobra.Command {
	var o recordOptions
	c := &cobra.Command{
		Use:   "record (-c FILE | --attach RELAY --dir DIR)",
		Short: "Record a relay's records to Parquet files, in a process of its own",
		Long: `record reads a running relay's rings, as a strategy does, and writes Parquet files by
venue, channel and hour until Ctrl-C. It can be killed and started again at any time: what
it missed is a gap in the recording. It waits for a relay that is not there, and reads the
next one.

With -c it does what the configuration says below record:, which wants apart: true there;
without that, tickrelay run records by itself. --ring reads rings of the configuration by
path instead of the control socket.

docs/recording.md describes the files.`,
		Example: `  tickrelay record -c tickrelay.yaml
  tickrelay record --attach demo --dir /tmp/recording --topics 'binance.>'
  tickrelay record ls /tmp/recording`,
		Args: usage(noSuchCommand),
	}
	logger := addLogFlag(c)
	f := c.Flags()
	f.StringVarP(&o.config, "config", "c", "", "configuration file with a block record:")
	f.StringVar(&o.attach, "attach", "", "name of a relay, or its control socket")
	f.StringArrayVar(&o.rings, "ring", nil, "path of a ring, DIR/NAME; may be repeated, all of one DIR")
	f.StringVar(&o.dir, "dir", "", "folder of the recording")
	f.StringSliceVar(&o.topics, "topics", []string{">"}, "topic patterns to record")
	f.StringVar(&o.metrics, "metrics", "", "address of /metrics, such as 127.0.0.1:9101; default none")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger()
		if err != nil {
			return err
		}
		cfg, client, err := o.resolve(c.Flags().Changed("topics"), log)
		if err != nil {
			return err
		}
		return runRecorder(c.Context(), cfg, client, o.metrics, log, c.OutOrStdout())
	}
	c.AddCommand(recordListCommand(), recordVerifyCommand(), recordCompactCommand(), recordConvertCommand())
	return c
}

// resolve turns flags into what to record and where from.
func (o *recordOptions) resolve(topicsGiven bool, log *slog.Logger) (record.Config, ring.ClientConfig, error) {
	ways := 0
	for _, given := range []bool{o.config != "", o.attach != "", len(o.rings) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return record.Config{}, ring.ClientConfig{}, usageError{errors.New("record: one of -c FILE, --attach RELAY and --ring PATH is needed")}
	}
	if o.config != "" {
		if o.dir != "" || topicsGiven {
			return record.Config{}, ring.ClientConfig{}, usageError{errors.New("record: with -c, dir and topics are the configuration's")}
		}
		return o.fromConfig(log)
	}
	if o.dir == "" {
		return record.Config{}, ring.ClientConfig{}, usageError{errors.New("record: --dir DIR is needed")}
	}
	rc := recordConfig{Dir: o.dir, Topics: o.topics}
	if _, err := parsePatterns(o.topics); err != nil {
		return record.Config{}, ring.ClientConfig{}, usageError{err}
	}
	if len(o.rings) > 0 {
		client, relay, err := ringsByPath(o.rings)
		return rc.recorder(relay, log), client, err
	}
	socket, relay := o.attach, o.attach
	if strings.ContainsRune(o.attach, '/') {
		relay = strings.TrimSuffix(filepath.Base(o.attach), ".sock")
	} else if socket = ring.FindSocket(o.attach); true {
		if info, err := readInfo(filepath.Join(ring.DefaultBase, o.attach)); err == nil && info.Socket != "" {
			socket = info.Socket
		}
	}
	return rc.recorder(relay, log), attachTo(socket, o.topics), nil
}

func (o *recordOptions) fromConfig(log *slog.Logger) (record.Config, ring.ClientConfig, error) {
	cfg, err := loadConfig(o.config)
	if err != nil {
		return record.Config{}, ring.ClientConfig{}, err
	}
	switch {
	case cfg.Record == nil:
		return record.Config{}, ring.ClientConfig{}, fmt.Errorf("%s has no block record:; it says where the recording goes", o.config)
	case !cfg.Record.Apart:
		return record.Config{}, ring.ClientConfig{}, fmt.Errorf("%s: tickrelay run records by itself; set record.apart: true to do it here", o.config)
	}
	socket := cfg.Socket
	if socket == "" {
		socket = ring.FindSocket(cfg.Relay)
	}
	topics := cfg.Record.Topics
	if len(topics) == 0 {
		topics = []string{">"}
	}
	return cfg.Record.recorder(cfg.Relay, log), attachTo(socket, topics), nil
}

func attachTo(socket string, topics []string) ring.ClientConfig {
	return ring.ClientConfig{Socket: socket, Request: ring.AttachRequest{Strategy: "record", Topics: topics, Capacity: recordCapacity}}
}

// ringsByPath reads paths of rings, which must lie in one folder.
func ringsByPath(paths []string) (c ring.ClientConfig, relay string, err error) {
	for _, p := range paths {
		p = strings.TrimSuffix(p, ".data")
		if c.Dir != "" && c.Dir != filepath.Dir(p) {
			return c, "", usageError{fmt.Errorf("record: rings of %s and of %s: one recorder reads one relay", c.Dir, filepath.Dir(p))}
		}
		c.Dir = filepath.Dir(p)
		c.Rings = append(c.Rings, filepath.Base(p))
	}
	return c, filepath.Base(c.Dir), nil
}

// dialEvery is the pause between two looks for a relay.
const dialEvery = time.Second

func runRecorder(ctx context.Context, cfg record.Config, client ring.ClientConfig, metrics string, log *slog.Logger, out io.Writer) error {
	rec, err := record.New(cfg)
	if err != nil {
		return err
	}
	if metrics != "" {
		l, err := net.Listen("tcp", metrics)
		if err != nil {
			return errors.Join(err, rec.Close())
		}
		srv := serveRecorderMetrics(l, &recordd{rec: rec})
		defer srv.Close()
		log.Info("metrics are served", "addr", l.Addr().String())
	}
	c, err := dialRelay(ctx, client, log)
	if err != nil || c == nil {
		return errors.Join(err, rec.Close())
	}
	defer c.Close()
	fmt.Fprintf(out, "recording to %s\n", cfg.Dir)
	err = rec.Run(ctx, c)
	st := rec.Stats()
	fmt.Fprintf(out, "records %d\nlost %d\ngaps %d\n", st.Records.Load(), st.Lost.Load(), st.Gaps.Load())
	return err
}

// dialRelay attaches to a relay as soon as one is there; nil when ctx ends before.
func dialRelay(ctx context.Context, client ring.ClientConfig, log *slog.Logger) (*ring.Client, error) {
	told := false
	for {
		c, err := ring.Dial(ctx, client)
		switch {
		case err == nil:
			return c, nil
		case ctx.Err() != nil:
			return nil, nil
		case !errors.Is(err, ring.ErrNotRunning) && !errors.Is(err, ring.ErrProducerGone) && !errors.Is(err, os.ErrNotExist):
			return nil, err
		}
		if !told {
			told = true
			log.Warn("no relay is there yet; waiting", "reason", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(dialEvery):
		}
	}
}

func serveRecorderMetrics(l net.Listener, m *recordd) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(m), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10}
	go func() { _ = s.Serve(l) }()
	return s
}
