package decodebench

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"tickrelay/feeds"
	"tickrelay/ring/md"
)

// frameSets are the frames to measure of one venue, per channel.
func frameSets(v feeds.Venue, c Config) ([]frameSet, error) {
	if c.Captures != "" {
		return captured(v, c.Captures)
	}
	name := v.Spec().Name
	b, _ := benchOf(name)
	var sets []frameSet
	for _, ch := range b.channels {
		g := &generator{r: rand.New(rand.NewPCG(c.Seed, uint64(ch))), venue: name}
		s := frameSet{venue: name, channel: ch}
		for range 64 {
			s.frames = append(s.frames, []byte(b.frame(g, ch)))
		}
		sets = append(sets, s)
	}
	return sets, nil
}

// generator writes frames of the venues' documented shapes: prices near one
// level, sizes of mixed length, 10 to 70 levels in a book update.
type generator struct {
	r     *rand.Rand
	venue string
	seq   uint64
}

// trim is text without the zeros that only Binance keeps.
func (g *generator) trim(text string) string {
	if g.venue == "binance" {
		return text
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func (g *generator) price() string {
	if g.venue == "binance" {
		return fmt.Sprintf("%d.%02d000000", 61000+g.r.IntN(900), g.r.IntN(100))
	}
	return g.trim(fmt.Sprintf("%d.%d", 61000+g.r.IntN(900), g.r.IntN(10)))
}

func (g *generator) size() string {
	whole := 0
	if g.r.IntN(3) == 0 {
		whole = g.r.IntN(1 << g.r.IntN(12))
	}
	digits := "%05d000"
	if g.venue == "bitget" {
		return fmt.Sprintf("%d.%04d", whole, g.r.IntN(10000))
	}
	text := g.trim(fmt.Sprintf("%d."+digits, whole, g.r.IntN(100000)))
	if text == "" {
		return "0"
	}
	return text
}

// contracts is a size in whole contracts.
func (g *generator) contracts() int { return 1 + g.r.IntN(1<<(1+g.r.IntN(16))) }

func (g *generator) levels(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `["%s","%s"`, g.price(), g.size())
		if g.venue == "okx" {
			fmt.Fprintf(&b, `,"0","%d"`, 1+g.r.IntN(1<<g.r.IntN(7)))
		}
		b.WriteByte(']')
	}
	return "[" + b.String() + "]"
}

func (g *generator) side() string { return [...]string{"buy", "sell"}[g.r.IntN(2)] }

// next goes on by some sequence numbers and returns the time of the event, in ms.
func (g *generator) next() (ms uint64) {
	g.seq += 1 + g.r.Uint64N(40)
	return 1763842100000 + g.seq
}

func (g *generator) binance(ch md.Channel, ms uint64) string {
	switch ch {
	case md.ChannelTrades:
		return fmt.Sprintf(`{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"%s","q":"%s","T":%d,"m":%t,"M":true}}`,
			ms, 3735683259+g.seq, g.price(), g.size(), ms-1, g.r.IntN(2) == 0)
	case md.ChannelBook:
		return fmt.Sprintf(`{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":%d,"s":"BTCUSDT","U":%d,"u":%d,"b":%s,"a":%s}}`,
			ms, 50093239212+g.seq, 50093239230+g.seq, g.levels(5+g.r.IntN(30)), g.levels(5+g.r.IntN(30)))
	case md.ChannelBBO:
		return fmt.Sprintf(`{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"%s","B":"%s","a":"%s","A":"%s"}}`,
			50093239212+g.seq, g.price(), g.size(), g.price(), g.size())
	}
	return fmt.Sprintf(`{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":%d,"s":"BTCUSDT","p":"-12.50000000","P":"-0.020","w":"%s","c":"%s","Q":"%s","b":"%s","B":"%s","a":"%s","A":"%s","o":"%s","h":"%s","l":"%s","v":"28123.53692000","q":"1738275356.16896672","O":%d,"C":%d,"F":235294268,"L":235894703,"n":600436}}`,
		ms, g.price(), g.price(), g.size(), g.price(), g.size(), g.price(), g.size(), g.price(), g.price(), g.price(), ms-86400000, ms)
}

func (g *generator) bitget(ch md.Channel, ms uint64) string {
	head := func(action, channel string) string {
		return fmt.Sprintf(`{"action":"%s","arg":{"instType":"SPOT","channel":"%s","instId":"BTCUSDT"},"data":[`, action, channel)
	}
	switch ch {
	case md.ChannelTrades:
		return head("update", "trade") + fmt.Sprintf(`{"ts":"%d","price":"%s","size":"%s","side":"%s","tradeId":"%d"}],"ts":%d}`,
			ms, g.price(), g.size(), g.side(), 1235670809402884097+g.seq, ms+2)
	case md.ChannelBook:
		return head("update", "books") + fmt.Sprintf(`{"asks":%s,"bids":%s,"checksum":%d,"seq":%d,"ts":"%d"}],"ts":%d}`,
			g.levels(5+g.r.IntN(30)), g.levels(5+g.r.IntN(30)), int32(g.r.Uint32()), g.seq, ms, ms+2)
	case md.ChannelBBO:
		return head("snapshot", "books1") + fmt.Sprintf(`{"asks":%s,"bids":%s,"checksum":0,"seq":%d,"ts":"%d"}],"ts":%d}`,
			g.levels(1), g.levels(1), g.seq, ms, ms+2)
	case md.ChannelFunding:
		return g.bitgetContract(ms)
	}
	return head("snapshot", "ticker") + fmt.Sprintf(`{"instId":"BTCUSDT","lastPr":"%s","open24h":"%s","high24h":"%s","low24h":"%s","change24h":"0.01","bidPr":"%s","askPr":"%s","bidSz":"%s","askSz":"%s","baseVolume":"28123.5369","quoteVolume":"1738275356.168966","openUtc":"%s","changeUtc24h":"0","ts":"%d"}],"ts":%d}`,
		g.price(), g.price(), g.price(), g.price(), g.price(), g.price(), g.size(), g.size(), g.price(), ms, ms+2)
}

func (g *generator) okx(ch md.Channel, ms uint64) string {
	head := func(channel, action string) string {
		return fmt.Sprintf(`{"arg":{"channel":"%s","instId":"BTC-USDT"},%s"data":[`, channel, action)
	}
	switch ch {
	case md.ChannelTrades:
		return head("trades", "") + fmt.Sprintf(`{"instId":"BTC-USDT","tradeId":"%d","px":"%s","sz":"%s","side":"%s","ts":"%d","count":"%d","source":"0","seqId":%d}]}`,
			674510826+g.seq, g.price(), g.size(), g.side(), ms, 1+g.r.IntN(9), g.seq)
	case md.ChannelBook:
		return head("books", `"action":"update",`) + fmt.Sprintf(`{"asks":%s,"bids":%s,"ts":"%d","checksum":%d,"seqId":%d,"prevSeqId":%d}]}`,
			g.levels(5+g.r.IntN(30)), g.levels(5+g.r.IntN(30)), ms, int32(g.r.Uint32()), g.seq, g.seq-1)
	case md.ChannelBBO:
		return head("bbo-tbt", "") + fmt.Sprintf(`{"asks":%s,"bids":%s,"ts":"%d","seqId":%d}]}`, g.levels(1), g.levels(1), ms, g.seq)
	case md.ChannelFunding, md.ChannelOpenInterest, md.ChannelLiquidations:
		return g.okxContract(ch, ms)
	}
	return head("tickers", "") + fmt.Sprintf(`{"instType":"SPOT","instId":"BTC-USDT","last":"%s","lastSz":"%s","askPx":"%s","askSz":"%s","bidPx":"%s","bidSz":"%s","open24h":"%s","high24h":"%s","low24h":"%s","volCcy24h":"338276577.765301","vol24h":"5508.61499971","sodUtc0":"%s","sodUtc8":"%s","ts":"%d"}]}`,
		g.price(), g.size(), g.price(), g.size(), g.price(), g.size(), g.price(), g.price(), g.price(), g.price(), g.price(), ms)
}
