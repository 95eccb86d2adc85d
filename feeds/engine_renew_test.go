package feeds

import (
	"fmt"
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

func okxLiquidation(ms int, price string) string {
	return fmt.Sprintf(`{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"instId":"BTC-USDT-SWAP","details":[{"ts":"%d","sz":"7","side":"sell","bkPx":"%s"}]}]}`,
		1700000000000+ms, price)
}

// liquidationRig has liquidations over two lines, the first of them the owner.
func liquidationRig(t *testing.T, set func(*EngineConfig)) *engineRig {
	t.Helper()
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Instruments, c.Channels, c.Slots = []string{"*"}, []md.Channel{md.ChannelLiquidations}, 2
		if set != nil {
			set(c)
		}
	})
	r.eng.Catalogue([]md.Instrument{{Symbol: "BTC-USDT-PERP", Native: "BTC-USDT-SWAP", Kind: md.InstrumentPerp}})
	r.eng.Start()
	r.connect(0)
	r.connect(1)
	r.frameOn(0, okxLiquidation(0, "10"))
	r.frameOn(1, okxLiquidation(0, "10"))
	r.lines()
	return r
}

// TestEngineBrokenTopicPasses: a topic without ids that is broken passes from a line that
// brings it no more to one that does, without another gap.
func TestEngineBrokenTopicPasses(t *testing.T) {
	r := liquidationRig(t, func(c *EngineConfig) { c.Silence = 20 * time.Second })
	r.tick(22 * time.Second)
	r.expect("silence", `gap liquidations "disconnect"`)
	r.frameOn(1, okxLiquidation(60_000, "11"))
	r.tick(time.Second)
	r.expect("the line that brings them", `"price":"11"`)
	r.frameOn(1, okxLiquidation(61_000, "12"))
	r.expect("goes on", `"price":"12"`)
}
