package feeds

import (
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineAudit: a book that equals the venue's snapshot at its number passes,
// whatever came before and after; one that differs is broken and asked for anew.
func TestEngineAudit(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) {
		c.Audit, c.Channels = time.Minute, []md.Channel{md.ChannelBook}
	})
	r.connect(0)
	r.frame(depth(90, 100, `["10.0","1"]`, ``))
	r.snapshot(1, restBook(95, `["10.0","5"],["9.0","1"]`, `["11.0","2"]`), nil)
	r.lines()
	r.actions()
	s := r.eng.Stats()
	r.tick(10 * time.Second)
	r.expectActions("asked for", "fetch 2")
	r.frame(depth(101, 102, `["9.0","4"]`, ``))
	r.frame(depth(103, 104, `["8.0","4"]`, ``))
	r.snapshot(2, restBook(102, `["10.0","1"],["9.0","4"]`, `["11.0","2"]`), nil)
	if s.AuditsOK.Load() != 1 || s.AuditsBad.Load() != 0 {
		t.Fatalf("%d right, %d wrong", s.AuditsOK.Load(), s.AuditsBad.Load())
	}
	r.tick(61 * time.Second)
	r.expectActions("again", "fetch 3")
	r.frame(depth(105, 108, `["8.0","5"]`, ``))
	r.snapshot(3, restBook(106, `["10.0","1"],["9.0","4"],["8.0","4"]`, `["11.0","2"]`), nil)
	if s.AuditsOpen.Load() != 1 {
		t.Fatal("a snapshot in the middle of an event was judged")
	}
	r.lines()
	r.tick(61 * time.Second)
	r.expectActions("once more", "fetch 4")
	r.snapshot(4, restBook(108, `["10.0","1"],["9.0","4"],["8.0","6"]`, `["11.0","2"]`), nil)
	if s.AuditsBad.Load() != 1 {
		t.Fatal("a difference was not seen")
	}
	r.expect("broken", `gap "venue"`)
	r.tick(5 * time.Second)
	r.expectActions("built anew", "fetch 5")
}

// TestEngineAuditIsNotForEveryVenue: without REST snapshots there is none.
func TestEngineAuditIsNotForEveryVenue(t *testing.T) {
	r := newEngineRig(t, Bitget{}, func(c *EngineConfig) { c.Audit, c.Channels = time.Minute, []md.Channel{md.ChannelBook} })
	r.connect(0)
	r.frame(unnumberedBook("snapshot", `["10","1"]`, `["11","1"]`, 0))
	r.actions()
	r.tick(5 * time.Minute)
	r.expectActions("nothing")
}
