package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

func groupID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", name, err)
	}
	return strconv.Atoi(g.Gid)
}

func parsePatterns(topics []string) ([]md.Pattern, error) {
	var out []md.Pattern
	for _, t := range topics {
		p, err := md.ParsePattern(t)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// wants turns patterns into the question that a feed asks of each of its topics.
func (r *relayd) wants(v md.Venue, pats []md.Pattern) func(uint32, md.Channel) bool {
	return func(instrument uint32, ch md.Channel) bool {
		in, ok := r.view.Get(instrument)
		if !ok {
			return false
		}
		topic := md.Topic{Venue: v, Channel: ch, Symbol: in.Symbol}.String()
		for _, p := range pats {
			if p.Match(topic) {
				return true
			}
		}
		return false
	}
}

// mayServe reports whether any of the patterns can match a topic of the feed,
// judged by venue and channel: instruments may still be listed later.
func (f *feedUnit) mayServe(patterns []string) bool {
	for _, p := range patterns {
		for _, ch := range f.channels {
			if prefixMatches(p, f.venue.String(), ch.String()) {
				return true
			}
		}
	}
	return false
}

func prefixMatches(pattern, venue, channel string) bool {
	tokens := strings.Split(pattern, ".")
	for i, want := range []string{venue, channel} {
		if i >= len(tokens) {
			return false
		}
		if tokens[i] == ">" {
			return true
		}
		if tokens[i] != "*" && tokens[i] != want {
			return false
		}
	}
	return true
}

// attach serves a strategy that asks for rings at run time: one for each feed
// that serves its topics.
func (r *relayd) attach(req ring.AttachRequest) (segs []*ring.Segment, detach func(), err error) {
	pats, err := parsePatterns(req.Topics)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range req.Topics {
		if err := r.known(t); err != nil {
			return nil, nil, err
		}
	}
	if req.Capacity == 0 {
		req.Capacity = defaultRingCapacity
	}
	r.mu.Lock()
	r.attached++
	n := r.attached
	r.mu.Unlock()
	var ends []func()
	detach = func() {
		for _, end := range ends {
			end()
		}
		for _, s := range segs {
			if err := s.Close(); err != nil {
				r.log.Warn("ring not removed", "ring", s.Name(), "err", err)
			}
		}
	}
	for _, f := range r.feeds {
		if !f.mayServe(req.Topics) {
			continue
		}
		name := ringName(req.Strategy, f.Name()) + "-" + strconv.Itoa(n)
		seg, err := r.dir.CreateRing(name, req.Capacity, r.meta(req.Strategy))
		if err != nil {
			detach()
			return nil, nil, err
		}
		segs = append(segs, seg)
		end, err := f.Attach(seg, r.wants(f.venue, pats))
		if err != nil {
			detach()
			return nil, nil, err
		}
		ends = append(ends, end)
	}
	r.log.Info("strategy attached", "strategy", req.Strategy, "pid", req.PID, "topics", req.Topics, "rings", len(segs))
	return segs, detach, nil
}

// known refuses a topic that no feed can ever serve, with the nearest ones.
func (r *relayd) known(topic string) error {
	var near []string
	for _, f := range r.feeds {
		if f.mayServe([]string{topic}) {
			if strings.ContainsAny(topic, "*>") {
				return nil
			}
			symbol := topic[strings.LastIndexByte(topic, '.')+1:]
			if _, ok := r.view.Lookup(f.venue, symbol); ok {
				return nil
			}
		}
		near = append(near, r.topicsOf(f)...)
	}
	sort.Slice(near, func(i, j int) bool {
		a, b := editDistance(topic, near[i]), editDistance(topic, near[j])
		return a < b || a == b && near[i] < near[j]
	})
	if len(near) > 3 {
		near = near[:3]
	}
	return fmt.Errorf("no feed serves topic %q; nearest: %s", topic, strings.Join(near, ", "))
}

func (r *relayd) topicsOf(f *feedUnit) []string {
	var out []string
	for id := range r.view.Len() {
		in, ok := r.view.Get(uint32(id))
		if !ok || in.Venue != f.venue {
			continue
		}
		for _, ch := range f.channels {
			out = append(out, md.Topic{Venue: f.venue, Channel: ch, Symbol: in.Symbol}.String())
		}
	}
	return out
}

// relayInfo is what a running relay says of itself in its directory.
type relayInfo struct {
	PID    int    `json:"pid"`
	Socket string `json:"socket"`
	HTTP   string `json:"http"`
}

const infoFile = "relay.json"

func (r *relayd) announce() error {
	data, err := json.Marshal(relayInfo{PID: os.Getpid(), Socket: r.socket, HTTP: r.gw.Addr().String()})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir.Path(), infoFile), data, 0o644)
}

// readInfo reads what the relay in dir says of itself.
func readInfo(dir string) (relayInfo, error) {
	var info relayInfo
	data, err := os.ReadFile(filepath.Join(dir, infoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("no relay has run in %s", dir)
	}
	if err == nil {
		err = json.Unmarshal(data, &info)
	}
	return info, err
}
