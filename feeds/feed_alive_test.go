package feeds

import (
	"context"
	"testing"
	"time"

	"tickrelay/feeds/sim"
)

func TestFeedAlive(t *testing.T) {
	r := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.feed.Alive(ctx); err != nil {
		t.Error("before Run:", err)
	}
	stop := runFeed(t, r.feed)
	r.wait("the line", func() bool { return r.feed.Health().Lines[0].State == LineLive })
	if err := r.feed.Alive(ctx); err != nil {
		t.Error(err)
	}
	hold, held := make(chan struct{}), make(chan struct{})
	r.feed.loop.mail.post(func() { close(held); <-hold })
	<-held
	short, end := context.WithTimeout(ctx, 50*time.Millisecond)
	defer end()
	if err := r.feed.Alive(short); err == nil || err.Error() != "feeds: "+r.feed.Name()+" does not respond" {
		t.Errorf("a loop that hangs: %v", err)
	}
	close(hold)
	if err := r.feed.Alive(ctx); err != nil {
		t.Error(err)
	}
	stop()
	if err := r.feed.Alive(ctx); err != nil {
		t.Error("after Run:", err)
	}
}
