package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/feeds"
	"tickrelay/feeds/sim"
)

func replayCommand() *cobra.Command {
	var venue, listen, speed string
	var loop, noWait bool
	var from time.Duration
	c := &cobra.Command{
		Use:   "replay --venue V --listen ADDR FILE…",
		Short: "Be an exchange over WebSocket, with recorded frames",
		Long: `replay serves capture files as the venue's own exchange: whoever connects and
subscribes gets the recorded frames in recorded order, REST answers included.
Point a feed at it with url: and rest: in the configuration. It goes on serving
until Ctrl-C; every connection sees the captures from the start.`,
		Example: "  tickrelay replay --venue okx --listen 127.0.0.1:9001 --speed max okx.ndjson.gz",
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			if _, ok := feeds.ByName(venue); !ok {
				return usageError{fmt.Errorf("--venue %q%s; known: %s", venue, suggest(venue, venueNames()), venueList())}
			}
			x, err := parseSpeed(speed)
			if err != nil {
				return usageError{err}
			}
			srv, err := sim.Replay(c.Context(), venue, listen, files, sim.ReplayOptions{Speed: x, Loop: loop, From: from, NoWait: noWait})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "venue %s\nurl %s\nrest %s\n", venue, srv.URL(), srv.REST())
			<-c.Context().Done()
			return srv.Close()
		},
	}
	f := c.Flags()
	f.StringVar(&venue, "venue", "", "exchange to be, such as binance")
	f.StringVar(&listen, "listen", "127.0.0.1:0", "address to serve on")
	f.StringVar(&speed, "speed", "1", "times the recorded pace, or max for as fast as the client reads")
	f.BoolVar(&loop, "loop", false, "start again at the end instead of closing the connection")
	f.DurationVar(&from, "from", 0, "offset at which pacing starts; what lies before is sent at once")
	f.BoolVar(&noWait, "no-wait", false, "start when a client connects, not when it has subscribed")
	return c
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

func venueNames() []string {
	var names []string
	for _, v := range feeds.Venues() {
		names = append(names, v.Spec().Name)
	}
	return names
}
