package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/ring"
)

// readyOptions are the flags of ready.
type readyOptions struct {
	target  *target
	file    string
	url     string
	ca      string
	part    string
	live    bool
	json    bool
	timeout time.Duration
	wait    time.Duration
}

func readyCommand() *cobra.Command {
	var o readyOptions
	c := &cobra.Command{
		Use:   "ready",
		Short: "Tell whether a running relay serves live data, for health checks and scripts",
		Long: `ready asks a running relay whether whoever asks it for data gets live data: every feed is
live, its rings are read, records flow. It says what is wrong, and ends with 0 if nothing
is and with 1 if something is or nobody answers. With --live it asks less: whether the
process runs and its loops turn, whatever the exchanges do.

It asks over the control socket of the relay that runs on this host, or of the one that
--relay, --socket or the configuration -c names. Of a relay in two processes each that
answers is asked; with --part one of them must be there. --url asks a gateway over HTTP,
/readyz or with --live /healthz, and needs no token; TICKRELAY_TOKEN has it say why.`,
		Args: usage(cobra.NoArgs),
	}
	o.target = addTargetFlags(c)
	c.Flags().StringVarP(&o.file, "config", "c", "", "configuration of the relay")
	c.Flags().StringVar(&o.url, "url", "", "a gateway's address, such as http://127.0.0.1:8080, instead of a control socket")
	c.Flags().StringVar(&o.ca, "ca", "", "PEM file of authorities trusted beside the system's, for --url")
	c.Flags().StringVar(&o.part, "part", "", "what must be there: feeds or gateway; without it whatever answers")
	c.Flags().BoolVar(&o.live, "live", false, "only whether the process runs and its loops turn")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().DurationVar(&o.timeout, "timeout", 5*time.Second, "longest wait for an answer, 10ms to 10m")
	c.Flags().DurationVar(&o.wait, "wait", 0, "go on asking for so long until it is ready, at most 1h")
	c.RunE = func(c *cobra.Command, _ []string) error { return runReady(c.Context(), &o, c.OutOrStdout()) }
	return c
}

func (o *readyOptions) check() error {
	switch {
	case o.timeout < 10*time.Millisecond || o.timeout > 10*time.Minute:
		return fmt.Errorf("--timeout %s: want 10ms to 10m", o.timeout)
	case o.wait < 0 || o.wait > time.Hour:
		return fmt.Errorf("--wait %s: want 0 to 1h", o.wait)
	case o.part != "" && o.part != processFeeds && o.part != processGateway:
		return fmt.Errorf("--part %q: want feeds or gateway%s", o.part, suggest(o.part, []string{processFeeds, processGateway}))
	case o.url != "" && (o.file != "" || o.target.relay != "" || o.target.socket != "" || o.part != ""):
		return errors.New("--url excludes -c, --relay, --socket and --part")
	case o.file != "" && (o.target.relay != "" || o.target.socket != ""):
		return errors.New("-c excludes --relay and --socket")
	case o.url == "" && o.ca != "":
		return errors.New("--ca is for --url")
	}
	if u, err := url.Parse(o.url); o.url != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("--url %q: want http://HOST:PORT or https://HOST:PORT", o.url)
	}
	return nil
}

// fromConfig makes the configuration's relay the target. What is wrong in the rest of the
// file is no matter: the relay that runs has read an older one.
func (o *readyOptions) fromConfig() error {
	data, err := os.ReadFile(o.file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	cfg, _, err := decodeConfig(o.file, data)
	if cfg.Relay == "" {
		return err
	}
	o.target.relay, o.target.socket = cfg.Relay, cfg.Socket
	return nil
}

func runReady(ctx context.Context, o *readyOptions, out io.Writer) error {
	if err := o.check(); err != nil {
		return usageError{err}
	}
	if o.file != "" {
		if err := o.fromConfig(); err != nil {
			return err
		}
	}
	const again = 200 * time.Millisecond
	for end := time.Now().Add(o.wait); ; {
		list, err := o.ask(ctx)
		if errors.As(err, new(usageError)) {
			return err
		}
		if allReady(list) && err == nil || !time.Now().Add(again).Before(end) || !sleepFor(ctx, again) {
			return o.print(out, list, err)
		}
	}
}

func allReady(list []processState) bool {
	for _, s := range list {
		if !s.Ready {
			return false
		}
	}
	return len(list) > 0
}

// ask asks every process that is meant.
func (o *readyOptions) ask(ctx context.Context) ([]processState, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("no answer within %s", o.timeout))
	defer cancel()
	if o.url != "" {
		s, err := o.get(ctx)
		if err != nil {
			return nil, err
		}
		return []processState{s}, nil
	}
	procs, err := o.target.processes()
	if err != nil {
		return nil, err
	}
	// Of two only the one that is meant is asked: the other may hang.
	switch {
	case len(procs) == 2 && o.part == processFeeds:
		procs = procs[:1]
	case len(procs) == 2 && o.part == processGateway:
		procs = procs[1:]
	}
	op := "ready"
	if o.live {
		op = "alive"
	}
	list := make([]processState, 0, len(procs))
	there := o.part == ""
	for _, p := range procs {
		var s processState
		if err := ring.Command(ctx, p.socket, op, &s); err != nil {
			return list, err
		}
		if o.part != "" && s.Process != o.part && s.Process != processRelay {
			continue
		}
		there = true
		list = append(list, s)
	}
	if !there {
		return list, fmt.Errorf("the %s of this relay does not run", o.part)
	}
	return list, nil
}

// get asks a gateway over HTTP.
func (o *readyOptions) get(ctx context.Context) (processState, error) {
	s := processState{Process: processGateway, Problems: []string{}}
	var conf *tls.Config
	if o.ca != "" {
		var err error
		if conf, err = (&feedConfig{CA: o.ca}).authorities(); err != nil {
			return s, err
		}
	}
	path := "/readyz"
	if o.live {
		path = "/healthz"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(o.url, "/")+path, nil)
	if err != nil {
		return s, err
	}
	if token := os.Getenv(tokenEnv); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%s: %w", o.url, context.Cause(ctx))
		}
		return s, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return s, err
	case o.live && resp.StatusCode == http.StatusOK:
		s.Ready = true
		return s, nil
	case o.live && resp.StatusCode == http.StatusServiceUnavailable:
		s.Problems = append(s.Problems, strings.TrimSpace(string(body)))
		return s, nil
	case !o.live && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusServiceUnavailable) && json.Unmarshal(body, &s) == nil:
		if !s.Ready && len(s.Problems) == 0 {
			s.Problems = append(s.Problems, "why is told to who has a token: set "+tokenEnv)
		}
		return s, nil
	}
	return s, fmt.Errorf("%s%s answers %s: is it a gateway of tickrelay?", o.url, path, resp.Status)
}

// readyReport is what --json prints.
type readyReport struct {
	Ready     bool           `json:"ready"`
	Error     string         `json:"error,omitempty"` // somebody could not be asked
	Processes []processState `json:"processes"`
}

// print tells the answers; the error makes the exit status.
func (o *readyOptions) print(out io.Writer, list []processState, problem error) error {
	r := readyReport{Ready: problem == nil && allReady(list), Processes: append([]processState{}, list...)}
	if o.json {
		if problem != nil {
			r.Error = problem.Error()
		}
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		word := "ready"
		if o.live {
			word = "alive"
		}
		for _, s := range list {
			if s.Ready {
				fmt.Fprintf(out, "%s: %s\n", s.Process, word)
				continue
			}
			fmt.Fprintf(out, "%s: not %s: %s\n", s.Process, word, strings.Join(s.Problems, "; "))
		}
		if problem != nil {
			return problem
		}
	}
	if !r.Ready {
		return foundError(exitFailed)
	}
	return nil
}
