package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tickrelay/cmd/tickrelay/top"
	"tickrelay/relay"
)

// topOptions are the flags of top.
type topOptions struct {
	target    *target
	url       string
	tokenFile string
	ca        string
	every     time.Duration
	once      bool
	json      bool
	view      string
	width     int
}

// tokenEnv names the environment variable with the token for --url.
const tokenEnv = "TICKRELAY_TOKEN"

func topCommand() *cobra.Command {
	var o topOptions
	c := &cobra.Command{
		Use:   "top",
		Short: "Live terminal view of a relay: what is wrong, latency, feeds, lines, rings, clients",
		Long: `top shows how a running relay is doing, what is wrong first. It asks over the control
socket of the relay that runs on this host, or over HTTP with --url. Where feeds and
gateway run in processes of their own the gateway is asked, which shows both.

Keys: tab and 1 to 5 choose the view, s sorts by the next column, r reverses, p pauses,
? helps, q quits. --once prints one frame of plain text, after a second of measuring;
--json prints what top knows as a line of JSON, with --once one, else one at each interval.
With --url the token is taken from TICKRELAY_TOKEN or --token-file; it must grant metrics.`,
		Args: usage(cobra.NoArgs),
	}
	o.target = addTargetFlags(c)
	c.Flags().StringVar(&o.url, "url", "", "a gateway's address, such as http://127.0.0.1:8080, instead of a control socket")
	c.Flags().StringVar(&o.tokenFile, "token-file", "", "file with the token for --url")
	c.Flags().StringVar(&o.ca, "ca", "", "PEM file of authorities trusted beside the system's, for --url")
	c.Flags().DurationVar(&o.every, "interval", time.Second, "time between two looks, 100ms to 1m")
	c.Flags().BoolVar(&o.once, "once", false, "print one frame and end")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().StringVar(&o.view, "view", "all", "view to begin with: all, feeds, lines, rings or clients")
	c.Flags().IntVar(&o.width, "width", 120, "columns of a frame printed with --once")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return runTop(c.Context(), &o, c.InOrStdin(), c.OutOrStdout())
	}
	return c
}

func runTop(ctx context.Context, o *topOptions, in io.Reader, out io.Writer) error {
	if o.every < 100*time.Millisecond || o.every > time.Minute {
		return usageError{fmt.Errorf("--interval %s: want 100ms to 1m", o.every)}
	}
	view, err := viewOf(o.view)
	if err != nil {
		return usageError{err}
	}
	ask, err := o.source()
	if err != nil {
		return err
	}
	switch {
	case o.json:
		return topJSON(ctx, ask, o, out)
	case o.once:
		return topOnce(ctx, ask, top.Options{Width: o.width, View: view}, o.every, out)
	case !onTerminal(in) || !onTerminal(out):
		return usageError{errors.New("top wants a terminal; --once prints one frame, --json what a program can read")}
	}
	if _, err := ask(ctx); err != nil { // rather on the command line than on an empty screen
		return err
	}
	return top.Run(ctx, ask, o.every, view, in, out)
}

func viewOf(name string) (top.View, error) {
	var names []string
	for v := top.ViewAll; v <= top.ViewClients; v++ {
		if v.String() == name {
			return v, nil
		}
		names = append(names, v.String())
	}
	return 0, fmt.Errorf("--view %q: want one of %s%s", name, strings.Join(names, ", "), suggest(name, names))
}

// source is where top asks.
func (o *topOptions) source() (top.Source, error) {
	if o.url == "" {
		list, err := o.target.processes()
		if err != nil {
			return nil, err
		}
		return top.Socket(list[len(list)-1].socket), nil // a gateway alone tells of the feeds too
	}
	if o.target.relay != "" || o.target.socket != "" {
		return nil, usageError{errors.New("--url excludes --relay and --socket")}
	}
	token := os.Getenv(tokenEnv)
	if o.tokenFile != "" {
		text, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return nil, err
		}
		token = strings.TrimSpace(string(text))
	}
	var conf *tls.Config
	if o.ca != "" {
		var err error
		if conf, err = (&feedConfig{CA: o.ca}).authorities(); err != nil {
			return nil, err
		}
	}
	ask, err := top.HTTP(o.url, token, conf)
	if err != nil {
		return nil, usageError{err}
	}
	return ask, nil
}

// topOnce prints one frame, of two looks: rates and latencies want a time between.
func topOnce(ctx context.Context, ask top.Source, opt top.Options, every time.Duration, out io.Writer) error {
	var h top.History
	for i := range 2 {
		if i > 0 && !sleepFor(ctx, every) {
			break
		}
		o, err := ask(ctx)
		if err != nil {
			return err
		}
		h.Add(o)
	}
	_, err := fmt.Fprintln(out, top.Frame(&h, opt))
	return err
}

// topReport is a line of --json.
type topReport struct {
	*relay.Overview
	Troubles []top.Trouble `json:"troubles"`
	Latency  []top.Latency `json:"latency"`
}

func topJSON(ctx context.Context, ask top.Source, o *topOptions, out io.Writer) error {
	var h top.History
	for first := true; ; first = false {
		if !first && !sleepFor(ctx, o.every) {
			return nil
		}
		x, err := ask(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		h.Add(x)
		if first && o.once {
			continue
		}
		if err := json.NewEncoder(out).Encode(topReport{x, append([]top.Trouble{}, h.Troubles()...), append([]top.Latency{}, h.Latencies()...)}); err != nil || o.once {
			return err
		}
	}
}

func sleepFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// onTerminal reports whether f is a terminal that can be drawn on.
func onTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
