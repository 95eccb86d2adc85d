package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickrelay/ring/md"
)

// streamEvery is the time between two looks at the stream when the connection
// stands.
const streamEvery = 30 * time.Second

// keepStream makes the stream of the history as soon as NATS lets it, and again when
// it is lost: looked for after each reconnection, as servers may come back empty.
func (p *Publisher) keepStream(ctx context.Context) {
	told := ""
	tell := func(text, line string, attrs ...any) {
		if text != told && text != "" && ctx.Err() == nil {
			p.log.Warn(line, attrs...)
		}
		told = text
	}
	for ctx.Err() == nil {
		wait := streamEvery
		switch subjects, err := p.makeStream(ctx); {
		case err != nil:
			wait = time.Second
			tell(explain(err), "no stream for the history", "reason", explain(err))
		case !covers(subjects, p.sub.topic(md.Topic{Venue: p.cfg.Venue, Channel: md.ChannelTrades, Symbol: "x"})):
			tell(fmt.Sprint(subjects), "the stream does not take this venue's subjects: gateways find no history",
				"stream", p.cfg.Bus.Stream.Name, "subjects", subjects, "want", p.sub.history())
		default:
			tell("", "")
		}
		later := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-later.C:
		case <-p.back:
		}
		later.Stop()
	}
}

// makeStream makes the stream if there is none, and returns the subjects that it
// takes.
func (p *Publisher) makeStream(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	js, err := jetstream.New(p.ctl)
	if err != nil {
		return nil, err
	}
	c := &p.cfg.Bus.Stream
	s, err := js.Stream(ctx, c.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		storage := jetstream.FileStorage
		if c.Memory {
			storage = jetstream.MemoryStorage
		}
		s, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: c.Name, Description: "market data of tickrelay",
			Subjects: p.sub.history(), Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Storage: storage,
			MaxAge: c.Age, MaxBytes: c.Bytes, Replicas: c.Replicas, NoAck: true, AllowDirect: true})
		if err == nil {
			p.log.Info("stream made", "stream", c.Name, "age", c.Age, "bytes", c.Bytes, "replicas", c.Replicas)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", c.Name, err)
	}
	return s.CachedInfo().Config.Subjects, nil
}

// history is what a stream has to take: every topic, and key-frames for all.
func (s subjects) history() []string {
	out := []string{s.keyFrame(toAll, ">")}
	for v := md.Venue(1); v < 1<<10; v++ {
		if v.Known() {
			out = append(out, s.prefix+v.String()+".>")
		}
	}
	return out
}

// covers reports whether one of a stream's subjects takes subject.
func covers(patterns []string, subject string) bool {
	for _, p := range patterns {
		if subjectMatches(p, subject) {
			return true
		}
	}
	return false
}

func subjectMatches(pattern, subject string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, w := range want {
		switch {
		case w == ">":
			return len(got) > i
		case i >= len(got) || w != "*" && w != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}
