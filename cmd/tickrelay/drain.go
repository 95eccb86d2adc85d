package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// drainWithin bounds the end of a relay: what is not over then is given up.
	drainWithin = 15 * time.Second
	// feedsWithin bounds the time that the gateway waits for the feeds' ends, and
	// readWithin the time it has to read what they left in its rings.
	feedsWithin = 4 * time.Second
	readWithin  = time.Second
)

// errDrain says that a part did not end in time.
var errDrain = errors.New("a part did not end in time and was given up")

// drain lets the gateway have what the feeds publish up to their end, then stops
// it, which tells its clients to go.
func (r *relayd) drain(ctx context.Context, stop func()) error {
	<-ctx.Done()
	defer stop()
	late := time.After(feedsWithin)
	for _, f := range r.feeds() {
		f.HandOver() // its rings are closed with the relay
		select {
		case <-f.life.done:
		case <-late:
			return nil
		}
	}
	for end := time.Now().Add(readWithin); !r.readUp() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return nil
}

// readUp reports whether the readers in this process have read all that there is.
func (r *relayd) readUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reader := range r.readers {
		for _, seg := range reader.rings {
			if seg.Info().Depth > 0 {
				return false
			}
		}
	}
	return true
}

// await waits for the end of all parts and returns why they ended, nil if they were
// asked to. After ctx they have drainWithin.
func (r *relayd) await(ctx context.Context, parts *sync.WaitGroup) error {
	ended := make(chan struct{})
	go func() { parts.Wait(); close(ended) }()
	var late error
	select {
	case <-ended:
	case <-ctx.Done():
		select {
		case <-ended:
		case <-time.After(drainWithin):
			late = fmt.Errorf("stop: %w after %s", errDrain, drainWithin)
		}
	}
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, errReplaced) {
		err = nil
	}
	return errors.Join(err, late)
}
