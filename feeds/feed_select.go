package feeds

import (
	"fmt"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Select changes which topics of the feed an attached segment carries, nil for
// all; see ring.Publisher.Select. want is called in the hot loop, once per
// topic, from now on. Any goroutine. ErrStopped after the end of Run.
func (f *Feed) Select(seg *ring.Segment, want func(instrument uint32, ch md.Channel) bool) error {
	found := false
	ended := f.do(func() {
		for _, p := range f.loop.pub.Rings() {
			if p.Segment() == seg {
				f.loop.pub.Select(p, want)
				found = true
			}
		}
	}, false)
	switch {
	case ended:
		return ErrStopped
	case !found:
		return fmt.Errorf("feeds: %s: ring %s is not attached", f.cfg.Name, seg.Name())
	}
	return nil
}
