package feeds

import (
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineRefusedRenewal: what fell silent is subscribed again, and once more where the
// venue refuses that.
func TestEngineRefusedRenewal(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Silence, c.Channels = 10*time.Second, []md.Channel{md.ChannelTrades, md.ChannelBook}
	})
	r.connect(0)
	r.frame(okxPush("snapshot", "-1", "10", `["10","5","0","1"]`, `["11","2","0","1"]`, "0"))
	r.frame(okxTradePush(1))
	r.actions()
	r.tick(11 * time.Second)
	if got := strings.Join(r.actions(), "\n"); !strings.Contains(got, `"unsubscribe"`) {
		t.Fatalf("no renewal: %s", got)
	}
	r.frame(`{"event":"error","code":"60012","msg":"Invalid request"}`)
	r.tick(2 * time.Second)
	got := strings.Join(r.actions(), "\n")
	if strings.Contains(got, "reconnect") || !strings.Contains(got, `"subscribe"`) || !strings.Contains(got, `"books"`) || !strings.Contains(got, `"trades"`) {
		t.Errorf("after the refusal: %s", got)
	}
	r.frame(okxTradePush(2))
	r.lines()
	r.disconnect(0)
	r.expect("the line lost", `gap trades "disconnect"`)
}
