package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/feeds"
	"tickrelay/feeds/sim"
)

func replayCommand() *cobra.Command {
	var venue, listen, speed, conn, from string
	var loop, noWait, quiet bool
	var served servedFrames
	c := &cobra.Command{
		Use:   "replay [--venue V] --listen ADDR FILE…",
		Short: "Be an exchange over WebSocket, with recorded frames",
		Long: `replay serves capture files as the venue's own exchange: whoever connects and
subscribes gets the recorded frames in recorded order, REST answers included.
Point a feed at it with url: and rest: in the configuration. It goes on serving
until Ctrl-C; every connection sees the captures from the start.

Raw recordings (record_raw in the configuration) name their venue; captures of other
origin need --venue. Of a feed with redundant lines name one by --conn. With --speed
max the client is the pace: what it does not read is not sent. What was served so far
goes to stderr every few seconds, --quiet leaves it out.

--from says where the pace begins: an offset (10m) or a time of the recording
(2026-11-28T15:04:05Z). What lies before is sent at once, so that books are right.`,
		Example: `  tickrelay replay --venue okx --listen 127.0.0.1:9001 --speed max okx.ndjson.gz
  tickrelay replay --from 2026-11-28T15:04:05Z --speed 10 raw/okx/*.zst`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			if venue == "" {
				if venue = feeds.RawVenue(files[0]); venue == "" {
					return usageError{errors.New("--venue is needed: the first file is no raw recording, which would name it")}
				}
			}
			if _, ok := feeds.ByName(venue); !ok {
				return usageError{fmt.Errorf("--venue %q%s; known: %s", venue, suggest(venue, venueNames()), venueList())}
			}
			x, err := parseSpeed(speed)
			if err != nil {
				return usageError{err}
			}
			o := sim.ReplayOptions{Speed: x, Loop: loop, NoWait: noWait, Conn: conn, Served: served.add}
			if o.From, o.Since, err = parseFrom(from); err != nil {
				return usageError{err}
			}
			srv, err := sim.Replay(c.Context(), venue, listen, files, o)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "venue %s\nurl %s\nrest %s\n", venue, srv.URL(), srv.REST())
			if quiet {
				<-c.Context().Done()
			} else {
				served.tell(c.Context(), c.ErrOrStderr())
			}
			return srv.Close()
		},
	}
	f := c.Flags()
	f.StringVar(&venue, "venue", "", "exchange to be, such as binance")
	f.StringVar(&listen, "listen", "127.0.0.1:0", "address to serve on")
	f.StringVar(&speed, "speed", "1", "times the recorded pace, or max for as fast as the client reads")
	f.BoolVar(&loop, "loop", false, "start again at the end instead of closing the connection")
	f.StringVar(&from, "from", "", "offset or recorded time at which the pace begins; default the beginning")
	f.StringVar(&conn, "conn", "", "recorded connection whose frames are served; default all, merged by time")
	f.BoolVar(&quiet, "quiet", false, "do not say what was served")
	f.BoolVar(&noWait, "no-wait", false, "start when a client connects, not when it has subscribed")
	return c
}

// servedFrames counts what a replay has sent.
type servedFrames struct {
	n  atomic.Uint64
	at atomic.Int64 // recorded time of the last, ns
}

func (s *servedFrames) add(ns int64) {
	s.n.Add(1)
	s.at.Store(ns)
}

// tell writes a line whenever something was served, on a terminal one that is
// rewritten, until ctx ends.
func (s *servedFrames) tell(ctx context.Context, out io.Writer) {
	every, start, end := 5*time.Second, "", "\n"
	if isTerminal(out) {
		every, start, end = 500*time.Millisecond, "\r\x1b[K", ""
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := uint64(0)
	for {
		n := s.n.Load()
		if n != told {
			fmt.Fprintf(out, "%sserved %d frames (%.0f/s), recorded %s%s", start, n, float64(n-told)/every.Seconds(),
				time.Unix(0, s.at.Load()).UTC().Format("2006-01-02 15:04:05.000"), end)
			told = n
		}
		select {
		case <-ctx.Done():
			if start != "" && told > 0 {
				fmt.Fprintln(out)
			}
			return
		case <-tick.C:
		}
	}
}

// parseSpeed reads --speed: a positive factor, or max.
func parseSpeed(s string) (float64, error) {
	if s == "max" {
		return sim.SpeedMax, nil
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !(x > 0) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("--speed %q: want a positive number or max", s)
	}
	return x, nil
}

// parseFrom reads --from: an offset, or a time.
func parseFrom(s string) (offset time.Duration, since time.Time, err error) {
	if s == "" {
		return 0, since, nil
	}
	if offset, err = time.ParseDuration(s); err == nil && offset >= 0 {
		return offset, since, nil
	}
	if since, err = time.Parse(time.RFC3339Nano, s); err == nil && since.Year() >= 1971 && since.Year() <= 2261 {
		return 0, since, nil
	}
	return 0, time.Time{}, fmt.Errorf("--from %q: want an offset such as 10m, or a time such as 2026-11-28T15:04:05Z", s)
}

func venueNames() []string {
	var names []string
	for _, v := range feeds.Venues() {
		names = append(names, v.Spec().Name)
	}
	return names
}
