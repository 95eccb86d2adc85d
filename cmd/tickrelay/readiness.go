package main

import (
	"context"
	"os"
	"strings"
	"time"
)

const (
	// recordsWithin is how recent a feed's newest frame must be, as for /readyz.
	recordsWithin = 30 * time.Second
	// aliveWithin bounds the wait for the loops of a process.
	aliveWithin = 2 * time.Second
)

// processState is how a process of a relay answers "ready" and "alive".
type processState struct {
	Process  string   `json:"process"` // relay, feeds or gateway
	PID      int      `json:"pid"`
	Ready    bool     `json:"ready"`
	Problems []string `json:"problems"`
}

// process is what this process is.
func (r *relayd) process() string {
	switch {
	case r.alone != nil:
		return processGateway
	case r.gw == nil:
		return processFeeds
	}
	return processRelay
}

func (r *relayd) state(problems []string) processState {
	if problems == nil {
		problems = []string{}
	}
	return processState{Process: r.process(), PID: os.Getpid(), Ready: len(problems) == 0, Problems: problems}
}

// readiness says whether who asks for data gets live data.
func (r *relayd) readiness(now time.Time) processState {
	if r.gw != nil {
		return r.state(r.gw.NotReady(now))
	}
	var problems []string
	newest := int64(0)
	list := r.status()
	for i := range list {
		if f := &list[i]; f.State != "live" {
			problems = append(problems, "feed "+f.Name+" is "+f.State)
		}
		newest = max(newest, list[i].LastRecvNs)
	}
	if newest == 0 || now.UnixNano()-newest > int64(recordsWithin) {
		problems = append(problems, "nothing received for "+recordsWithin.String())
	}
	return r.state(problems)
}

// aliveness says whether every loop of this process turns, as the watchdog asks.
func (r *relayd) aliveness(ctx context.Context) processState {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	var problems []string
	if err := r.alive(ctx); err != nil {
		problems = strings.Split(err.Error(), "\n")
	}
	return r.state(problems)
}
