package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// historyWithin bounds the reading of the history at the start.
const historyWithin = 15 * time.Second

// readHistory sends what the stream holds of the last Config.History, oldest
// first, up to what was its newest message when it began, and closes the channel.
// Anything that goes wrong leaves a shorter history.
func (s *Subscriber) readHistory(ctx context.Context, out chan<- *nats.Msg) {
	defer close(out)
	if s.cfg.Bus.Stream.Name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, historyWithin)
	defer cancel()
	began := time.Now()
	n, err := s.replay(ctx, out)
	if err != nil {
		s.log.Warn("history not read, or not all of it", "stream", s.cfg.Bus.Stream.Name, "messages", n, "reason", explain(err))
		return
	}
	s.log.Info("history read", "stream", s.cfg.Bus.Stream.Name, "messages", n, "took", time.Since(began).Round(time.Millisecond))
}

func (s *Subscriber) replay(ctx context.Context, out chan<- *nats.Msg) (n int, err error) {
	stream, err := s.openStream(ctx)
	if err != nil {
		return 0, err
	}
	last := stream.CachedInfo().State.LastSeq
	if last == 0 {
		return 0, nil
	}
	start := time.Now().Add(-s.cfg.Bus.History)
	var filter []string
	for _, v := range s.venues {
		want := v.venue.String() + ".>" // filters must not overlap; what is not wanted is dropped here
		if len(v.patterns) == 1 {
			want = v.patterns[0].String()
		}
		filter = append(filter, s.sub.prefix+want, s.sub.keyFrame(toAll, want))
	}
	c, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: filter,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &start})
	if err != nil {
		return 0, err
	}
	if c.CachedInfo().NumPending == 0 {
		return 0, nil
	}
	msgs, err := c.Messages(jetstream.PullMaxMessages(1024))
	if err != nil {
		return 0, err
	}
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return n, err
		}
		select {
		case out <- &nats.Msg{Subject: m.Subject(), Data: m.Data()}:
			n++
		case <-ctx.Done():
			return n, ctx.Err()
		}
		meta, err := m.Metadata()
		if err != nil {
			return n, err
		}
		if meta.Sequence.Stream >= last || meta.NumPending == 0 {
			return n, nil
		}
	}
}

// openStream waits for NATS and for the stream, as long as ctx lets it.
func (s *Subscriber) openStream(ctx context.Context) (jetstream.Stream, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return nil, err
	}
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		stream, err := js.Stream(try, s.cfg.Bus.Stream.Name)
		cancel()
		if err == nil {
			return stream, nil
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) || ctx.Err() != nil {
			return nil, fmt.Errorf("stream %s: %w", s.cfg.Bus.Stream.Name, err)
		}
		pause(ctx, 100*time.Millisecond)
	}
}
