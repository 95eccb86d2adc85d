package feeds

import (
	"fmt"

	"tickrelay/feeds/capture"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Reselect makes instruments (patterns) and channels what the feed serves from now
// on, on the connections that there are: topics that are not selected any more end
// with a gap, new ones begin, all others notice nothing. An error changes nothing.
// ErrStopped after the end of Run. Any goroutine.
func (f *Feed) Reselect(instruments []string, channels []md.Channel) error {
	return f.reselect(capture.SelectNote{Instruments: instruments, Channels: names(channels)},
		func(e *Engine, now int64) error { return e.Reselect(instruments, channels, now) })
}

// Narrow is Reselect that begins nothing: before another feed goes on with what this
// one ends, and before Reselect.
func (f *Feed) Narrow(instruments []string, channels []md.Channel) error {
	return f.reselect(capture.SelectNote{Instruments: instruments, Channels: names(channels), Narrow: true},
		func(e *Engine, now int64) error { return e.Narrow(instruments, channels, now) })
}

func names(channels []md.Channel) []string {
	list := make([]string, len(channels))
	for i, ch := range channels {
		list[i] = ch.String()
	}
	return list
}

func (f *Feed) reselect(note capture.SelectNote, change func(*Engine, int64) error) (err error) {
	ended := f.do(func() {
		l := f.loop
		l.readClock()
		l.note(capture.Select, note)
		if err = change(l.engine, l.wall); err == nil && l.started {
			l.settle()
		}
	}, false)
	if ended {
		return ErrStopped
	}
	if err != nil {
		return fmt.Errorf("feeds: %s: %w", f.cfg.Name, err)
	}
	return nil
}

// Withdraw ends publishing into an attached segment, as the function does that Attach
// returned. Any goroutine.
func (f *Feed) Withdraw(seg *ring.Segment) {
	f.do(func() {
		for _, p := range f.loop.pub.Rings() {
			if p.Segment() == seg {
				f.loop.pub.Detach(p)
			}
		}
	}, true)
}

// HandOver has the end of Run leave the rings' readers waiting for another feed that
// attaches the same segments, rather than tell them that their producer is gone. Any
// goroutine, before the end of Run.
func (f *Feed) HandOver() { f.loop.handOver.Store(true) }
