package feeds

import (
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// TestBookOfTheSlowerLine: the line that was first with an update is lost before the other
// one has brought it. What comes late is no hole; a real one is.
func TestBookOfTheSlowerLine(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Channels, c.Slots = []md.Channel{md.ChannelBook}, 2 })
	r.connect(0)
	r.connect(1)
	for line := range 2 {
		r.frameOn(line, okxPush("snapshot", "-1", "10", `["10","5","0","1"]`, `["11","2","0","1"]`, "0"))
	}
	r.frameOn(0, okxPush("update", "10", "11", `["10","6","0","1"]`, ``, "0"))
	r.frameOn(0, okxPush("update", "11", "12", `["10","7","0","1"]`, ``, "0"))
	r.lines()
	r.disconnect(0)
	r.frameOn(1, okxPush("update", "10", "11", `["10","6","0","1"]`, ``, "0"))
	r.frameOn(1, okxPush("update", "11", "12", `["10","7","0","1"]`, ``, "0"))
	if got := r.lines(); len(got) != 0 {
		t.Errorf("told %q of what was known", got)
	}
	r.frameOn(1, okxPush("update", "12", "13", `["10","8","0","1"]`, ``, "0"))
	if got := r.lines(); len(got) != 1 || !strings.Contains(got[0], `["10","8"]`) {
		t.Errorf("told %q, want the next update", got)
	}
	r.frameOn(1, okxPush("update", "14", "15", `["10","9","0","1"]`, ``, "0"))
	if got := r.lines(); len(got) != 1 || !strings.Contains(got[0], `"gap"`) {
		t.Errorf("told %q, want a gap", got)
	}
}
