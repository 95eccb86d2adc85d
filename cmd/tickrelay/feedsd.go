package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tickrelay/relay"
	"tickrelay/ring"
)

// feedsFile is where a process with feeds tells one with a gateway how they are.
const feedsFile = "feeds.json"

const (
	statusEvery = time.Second
	// statusStale is the age beyond which nobody writes the file any more.
	statusStale = 5 * time.Second
)

// feedsStatus is its content.
type feedsStatus struct {
	Now   int64              `json:"now,string"`
	Feeds []relay.FeedStatus `json:"feeds"`
}

// tellStatus writes the file until ctx ends.
func (r *relayd) tellStatus(ctx context.Context) error {
	path := filepath.Join(r.dir.Path(), feedsFile)
	defer os.Remove(path)
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	told := false
	for {
		if err := writeStatus(path, r.status()); err != nil && !told {
			told = true
			r.log.Warn("gateways cannot be told how the feeds are", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// writeStatus replaces the file as a whole.
func writeStatus(path string, list []relay.FeedStatus) error {
	data, err := json.Marshal(feedsStatus{time.Now().UnixNano(), list})
	if err != nil {
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// maxStatus bounds the file in bytes.
const maxStatus = 16 << 20

// remoteStatus reads how the feeds of another process are. When nobody writes, all are
// stopped.
func remoteStatus(dir string, configured []feedConfig) []relay.FeedStatus {
	var s feedsStatus
	data, err := readPlain(filepath.Join(dir, feedsFile), maxStatus)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && time.Since(time.Unix(0, s.Now)) < statusStale {
		return s.Feeds
	}
	list := make([]relay.FeedStatus, 0, len(configured))
	for _, f := range configured {
		list = append(list, relay.FeedStatus{Name: f.Name, Venue: f.Venue, State: "stopped"})
	}
	return list
}

// configured are the feeds of the configuration in force, and the venues that come
// over the bus, which stand among them.
func (r *relayd) configured() []feedConfig {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.cfg.Feeds
	for _, v := range r.cfg.busVenues() {
		list = append(slices.Clip(list), feedConfig{Name: busName(v), Venue: v.String()})
	}
	return list
}

// watchFeeds has the gateway ask for rings when the process with the feeds has added
// some, until ctx ends.
func (r *relayd) watchFeeds(ctx context.Context) error {
	dir := filepath.Join(ring.DefaultBase, r.cfg.Relay)
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	var known map[string]bool
	for {
		now, more := map[string]bool{}, false
		for _, f := range remoteStatus(dir, nil) {
			now[f.Name] = true
			more = more || known != nil && !known[f.Name]
		}
		if more {
			r.gw.AskForMore()
		}
		if len(now) > 0 { // else the process is not there: the gateway attaches when it is back
			known = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// serveHealth answers whether the loops of this process turn.
func (r *relayd) serveHealth(w http.ResponseWriter, req *http.Request) {
	if s := r.aliveness(req.Context()); !s.Ready {
		http.Error(w, strings.Join(s.Problems, "\n"), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// serveMetrics answers /metrics and /healthz in a process with feeds only.
func (r *relayd) serveMetrics(ctx context.Context) error {
	l, err := net.Listen("tcp", r.cfg.Metrics)
	if err != nil {
		return err
	}
	reg := newRegistry(&feedMetrics{feeds: r.feeds}, &ringMetrics{dir: r.dir.Path()}, &r.reloads, &r.refusals, &r.recorder, r.bus.metrics())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", r.serveHealth)
	s := http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	r.log.Info("metrics are served", "addr", l.Addr().String())
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
