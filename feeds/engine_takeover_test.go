package feeds

import (
	"fmt"
	"testing"
	"time"

	"tickrelay/ring/md"
)

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

// TestEngineQuietLiquidations: after a quiet time the copy of the line that is not the owner
// may come first; that is no gap. Where the owner does not bring it, there is one.
func TestEngineQuietLiquidations(t *testing.T) {
	r := liquidationRig(t, nil)
	r.tick(time.Minute)
	r.frameOn(1, okxLiquidation(60_000, "11"))
	r.tick(5 * time.Millisecond)
	r.expect("the standby's waits")
	r.frameOn(0, okxLiquidation(60_000, "11"))
	r.expect("the owner's", `liquidation "price":"11"`)
	r.tick(time.Minute)
	r.expect("nothing comes twice")

	r.frameOn(1, okxLiquidation(120_000, "12"))
	r.frameOn(1, okxLiquidation(120_001, "13"))
	r.tick(time.Second)
	r.expect("the owner is mute", `gap "disconnect"`, `"price":"12"`, `"price":"13"`)
	r.frameOn(1, okxLiquidation(121_000, "14"))
	r.frameOn(0, okxLiquidation(121_000, "14"))
	r.expect("the new owner's", `"price":"14"`)
}

// TestEngineQuietLiquidationsLineLost: what waits is published when the owner, or the line
// that brought it, is lost meanwhile.
func TestEngineQuietLiquidationsLineLost(t *testing.T) {
	r := liquidationRig(t, nil)
	r.tick(time.Minute)
	r.frameOn(1, okxLiquidation(60_000, "11"))
	r.disconnect(0)
	r.expect("the owner lost", `gap "disconnect"`, `"price":"11"`)
	r.connect(0)
	r.frameOn(1, okxLiquidation(61_000, "12"))
	r.expect("the other goes on", `"price":"12"`)
	r.tick(time.Minute)
	r.frameOn(0, okxLiquidation(120_000, "13"))
	r.disconnect(0)
	r.tick(time.Second)
	r.expect("its line lost", `"price":"13"`, `gap "disconnect"`)
	r.frameOn(1, okxLiquidation(121_000, "14"))
	r.expect("the owner is back", `"price":"14"`)
	r.tick(time.Minute)
	r.connect(0)
	r.frameOn(0, okxLiquidation(180_000, "15"))
	r.disconnect(0)
	r.disconnect(1)
	r.tick(time.Second)
	r.expect("both lost", `gap "disconnect"`, `"price":"15"`, `gap "disconnect"`)
}
