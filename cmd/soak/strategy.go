package soak

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// StrategyConfig is a strategy process.
type StrategyConfig struct {
	Dir      string // the soak's folder
	Name     string
	Socket   string   // the relay's control socket
	Rings    string   // or its directory, where the rings NAME-VENUE are declared
	Topics   []string // patterns
	Capacity int      // of each ring, in records
	Plant    string   // one wrong thing that it is given, see Plants
}

// Strategy reads rings as a strategy does and judges every record, until in ends;
// it serves a soak, in a process of its own.
func Strategy(ctx context.Context, cfg StrategyConfig, in io.Reader, out io.Writer) error {
	t, err := openTruth(filepath.Join(cfg.Dir, truthFile))
	if err != nil {
		return err
	}
	if err := validPlant(cfg.Plant); err != nil {
		return err
	}
	say := newTalk(out)
	pats, err := patterns(cfg.Topics)
	if err != nil {
		return err
	}
	serves := func(topic string) bool { return matches(pats, topic) }
	c := newCounts()
	s := newStream(t, c, reporter(say, cfg.Name))
	rc := ring.ClientConfig{Socket: cfg.Socket, Request: ring.AttachRequest{Strategy: cfg.Name, Topics: cfg.Topics, Capacity: cfg.Capacity}}
	if cfg.Rings != "" {
		rc = ring.ClientConfig{Dir: cfg.Rings}
		names, err := declared(cfg.Rings, cfg.Name)
		if err != nil {
			return err
		}
		rc.Rings = names
	}
	rc.Attached = func(cl *ring.Client) {
		c.stat.Sessions++
		s.begin()
		s.name = named(cl.Table())
	}
	cl, err := dialPatiently(ctx, rc)
	if err != nil {
		return err
	}
	defer cl.Close()
	say.say(message{Type: "ready"})
	return read(ctx, cl, s, newPlanter(cfg.Plant, s), say, serves, orders(in))
}

// read takes records, tells figures every second, and obeys.
func read(ctx context.Context, cl *ring.Client, s *stream, plant *planter, say *talk, serves func(string) bool, told <-chan order) error {
	recs := make([]md.Record, 1024)
	next := time.Now().Add(time.Second)
	for ctx.Err() == nil {
		n, err := cl.Poll(recs)
		if err != nil {
			return err
		}
		now := time.Now()
		for i := range recs[:n] {
			if !plant.spoil(&recs[i]) {
				s.take(&recs[i], now.UnixNano())
			}
		}
		if now.After(next) {
			next = now.Add(time.Second)
			st := s.counts.take()
			st.Live, st.Books = s.books()
			st.Goroutines = runtime.NumGoroutine()
			say.say(message{Type: "stats", Reader: &st})
		}
		select {
		case o, ok := <-told:
			if !ok {
				return nil
			}
			if o.Op == "compare" {
				answer(say, o, func(want trueBooks, c *comparison) { s.compare(want, serves, c) })
			}
		default:
		}
		if n == 0 {
			if _, err := cl.Wait(ring.WaitBlock, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer compares and tells.
func answer(say *talk, o order, compare func(trueBooks, *comparison)) {
	c := comparison{}
	if want, err := readTrueBooks(o.Path); err != nil {
		c.Why = err.Error()
	} else {
		compare(want, &c)
	}
	say.say(message{Type: "compared", N: o.N, Compared: &c})
}

// dialPatiently waits for a relay that is not there yet, or not any more.
func dialPatiently(ctx context.Context, rc ring.ClientConfig) (*ring.Client, error) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := ring.Dial(ctx, rc)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		var no *ring.AttachError
		space := errors.As(err, &no) && no.Code == ring.CodeNoSpace // shared memory is full for a while
		if time.Now().After(deadline) || no != nil && !space {
			return nil, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// declared are the rings of a strategy in a relay's directory.
func declared(dir, strategy string) ([]string, error) {
	var names []string
	for deadline := time.Now().Add(30 * time.Second); len(names) == 0; {
		files, err := filepath.Glob(filepath.Join(dir, strategy+"-*.data"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			name := filepath.Base(f)
			names = append(names, name[:len(name)-len(".data")])
		}
		if time.Now().After(deadline) {
			return nil, errors.New("no ring " + strategy + "-… in " + dir)
		}
		if len(names) == 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return names, nil
}

// named looks instruments up in a relay's table.
func named(v *md.TableView) func(uint32) (md.Venue, string, bool) {
	return func(id uint32) (md.Venue, string, bool) {
		if v == nil {
			return 0, "", false
		}
		in, ok := v.Get(id)
		return in.Venue, in.Symbol, ok
	}
}

func patterns(list []string) ([]md.Pattern, error) {
	var out []md.Pattern
	for _, p := range list {
		pat, err := md.ParsePattern(p)
		if err != nil {
			return nil, err
		}
		out = append(out, pat)
	}
	return out, nil
}

func matches(pats []md.Pattern, topic string) bool {
	for _, p := range pats {
		if p.Match(topic) {
			return true
		}
	}
	return false
}

// maxReports bounds what one reader reports.
const maxReports = 200

// reporter tells of violations, each with who and when.
func reporter(say *talk, who string) reportFunc {
	n := 0
	return func(i Invariant, topic, what string) {
		if n++; n <= maxReports {
			say.say(message{Type: "violation", Found: &Violation{Invariant: i, Time: time.Now(), Who: who, Topic: topic, What: what}})
		}
	}
}
