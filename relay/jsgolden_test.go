package relay

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"testing"

	"tickrelay/ring/md"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenEvent is one event in both formats: the JavaScript client must make the one of
// the other.
type goldenEvent struct {
	Name    string            `json:"name"`
	Topic   string            `json:"topic"`
	Prev    uint64            `json:"prev"`
	Records string            `json:"records"` // hexadecimal
	JSON    []json.RawMessage `json:"json"`
}

// goldenEvents are events of every kind, with every code and the ends of every range.
func goldenEvents() []goldenEvent {
	const prev = 4000
	var out []goldenEvent
	add := func(name string, venue md.Venue, channel md.Channel, recs ...md.Record) {
		at := uint64(prev)
		for i := range recs {
			r := &recs[i]
			r.Venue, r.Instrument, r.TsEvent, r.TsRecv = venue, 7, 1763842100123000000+int64(i), 1763842100123456789
			switch {
			case r.Kind == md.KindGap:
				at = max(at, r.Seq)
			case r.Flags&md.FlagSnapshot != 0:
				r.Seq = at
			case r.Flags&md.FlagConflated != 0 || i > 0 && recs[0].Flags&md.FlagConflated != 0:
				at = prev + 50
				r.Seq = at
			default:
				at++
				r.Seq = at
			}
		}
		recs[0].Flags |= md.FlagFirst
		recs[len(recs)-1].Flags |= md.FlagLast
		topic := md.Topic{Venue: venue, Channel: channel, Symbol: "BTC-USDT-PERP"}.String()
		text := md.AppendJSON(nil, topic, prev, recs)
		e := goldenEvent{Name: name, Topic: topic, Prev: prev, Records: hex.EncodeToString(md.AsBytes(recs))}
		for _, line := range bytes.Split(text, []byte("\n")) {
			e.JSON = append(e.JSON, line)
		}
		out = append(out, e)
	}
	trade := func(r md.Record) md.Record { r.Kind = md.KindTrade; return r }
	add("trades of one match", md.VenueBinance, md.ChannelTrades,
		trade(md.Record{Price: 6412345, Size: 123, PriceExp: -2, SizeExp: -5, ID: 12345, Side: md.SideBuy, Count: 3}),
		trade(md.Record{Price: 6412300, Size: 1, PriceExp: -2, SizeExp: 3, ID: math.MaxUint64, Side: md.SideSell}),
		trade(md.Record{Flags: md.FlagIDHash, Price: 11, Size: 7, PriceExp: -8, ID: 0xc0ffee, Side: 0}))
	add("extremes", md.VenueOKX, md.ChannelTrades,
		trade(md.Record{Price: math.MaxInt64, Size: math.MinInt64 + 1, PriceExp: -128, SizeExp: 127, Side: 9}),
		trade(md.Record{Price: md.Absent, Size: 0, PriceExp: -1}),
		trade(md.Record{Price: -5, Size: 100, PriceExp: 0, SizeExp: -2}))
	lvl := func(flags md.Flags, side uint8, price, size int64, pe, se int8) md.Record {
		return md.Record{Kind: md.KindBook, Flags: flags, Side: side, Price: price, Size: size, PriceExp: pe, SizeExp: se, Count: 4}
	}
	add("book update", md.VenueKraken, md.ChannelBook, lvl(0, md.SideAsk, 6412345, 0, -2, -5), lvl(0, md.SideBid, 6412000, 15, -2, -1))
	add("book snapshot", md.VenueBitfinex, md.ChannelBook, lvl(md.FlagSnapshot, md.SideClear, 0, 0, 0, 0),
		lvl(md.FlagSnapshot, md.SideBid, 100, 1, 0, 0), lvl(md.FlagSnapshot, md.SideAsk, 1015, 25, -1, -3),
		lvl(md.FlagSnapshot, md.SideEnd, 0, 0, 0, 0))
	add("conflated book", md.VenueUpbit, md.ChannelBook, lvl(md.FlagConflated, md.SideBid, 99, 2, 0, 0),
		lvl(0, md.SideBid, 98, 0, 0, 0), lvl(0, md.SideAsk, 101, 3, 0, 0))
	for i, sizes := range [][2]int64{{5, 6}, {0, 6}, {5, md.Absent}, {0, 0}} {
		add("bbo "+itoa(i), md.VenueBinanceUSDM, md.ChannelBBO,
			md.Record{Kind: md.KindBBO, Side: md.SideBid, Price: -12, Size: sizes[0], PriceExp: -1, SizeExp: 2},
			md.Record{Kind: md.KindBBO, Side: md.SideAsk, Price: 13, Size: sizes[1], PriceExp: -1})
	}
	var stats []md.Record
	for s := range uint8(md.NumStats) {
		stats = append(stats, md.Record{Kind: md.KindTicker, Level: s, Price: int64(s) + 10, Size: int64(s) * 100, PriceExp: -1, SizeExp: -2})
	}
	stats[1].Price, stats[4].Size = md.Absent, md.Absent
	add("ticker", md.VenueBybit, md.ChannelTicker, stats...)
	add("funding", md.VenueDeribit, md.ChannelFunding,
		md.Record{Kind: md.KindFunding, Price: -125, PriceExp: -6, ID: 1763856000000000000, Level: 2, Count: 28800},
		md.Record{Kind: md.KindFunding, Price: md.Absent, Level: 1})
	add("open interest", md.VenueGateio, md.ChannelOpenInterest,
		md.Record{Kind: md.KindOpenInterest, Price: 987654321, Size: 4242, PriceExp: 1, SizeExp: -1},
		md.Record{Kind: md.KindOpenInterest, Price: md.Absent, Size: 1})
	add("liquidation", md.VenueKucoin, md.ChannelLiquidations,
		md.Record{Kind: md.KindLiquidation, Price: 6400000, Size: 5, ID: 12345, Side: md.SideSell, PriceExp: -2},
		md.Record{Kind: md.KindLiquidation, Flags: md.FlagIDHash, Price: 1, Size: 5, ID: math.MaxUint64, Side: md.SideBuy})
	var bars []md.Record
	for bar := range uint64(2) {
		for v := range uint8(md.NumCandle) {
			bars = append(bars, md.Record{Kind: md.KindCandle, Level: v, Side: uint8(md.ChannelCandles1m), ID: 1763842080000000000 + bar*60e9,
				Price: 6412345 + int64(v), PriceExp: -2, Size: 125 * int64(v), SizeExp: -1, Count: 42, Flags: []md.Flags{md.FlagClosed, md.FlagPartial}[bar]})
		}
	}
	bars[5].Size = md.Absent
	add("candles", md.VenueBinance, md.ChannelCandles1m, bars...)
	for s := range uint8(13) {
		add("status "+itoa(int(s)), md.VenueBitstamp, md.ChannelStatus, md.Record{Kind: md.KindStatus, Level: s, ID: uint64(s%2) * 1763842200000000000})
	}
	for s := range uint8(6) {
		add("signal "+itoa(int(s)), md.VenueHyperliquid, md.ChannelSignals,
			md.Record{Kind: md.KindSignal, Level: s, Price: -250000000, PriceExp: -9, Count: 5})
	}
	for _, flags := range []md.Flags{0, md.FlagClosed, md.FlagClosed | md.FlagPartial} {
		add("candles "+flags.String(), md.VenueOKX, md.ChannelCandles1m, candleRecords(flags)...)
		add("snapshot of candles "+flags.String(), md.VenueOKX, md.ChannelCandles1s,
			snapshotOf(append(candleRecords(flags), nextCandle(candleRecords(0))...), md.ChannelCandles1s)...)
	}
	for s := range uint8(8) {
		count := uint32(s)
		if s == 3 {
			count = md.UnknownMissing
		}
		add("gap "+itoa(int(s)), md.VenueCoinbase, md.ChannelBBO,
			md.Record{Kind: md.KindGap, Level: s, Side: uint8(md.ChannelBBO), ID: prev + 1, Seq: prev + uint64(s) + 1, Count: count})
	}
	for v := md.VenueBinance; v <= md.VenueBitfinex; v++ {
		for _, c := range []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelSignals, md.ChannelCandles1s, md.ChannelCandles1m} {
			add("gap of "+v.String()+"."+c.String(), v, c,
				md.Record{Kind: md.KindGap, Level: 1, Side: uint8(c), ID: prev + 1, Seq: prev + 1, Count: 1})
		}
	}
	return out
}

// candleRecords are one candle whose turnover no int64 holds.
func candleRecords(flags md.Flags) []md.Record {
	c := candle{start: 1763842080000000000, count: 42, closed: flags&md.FlagClosed != 0, partial: flags&md.FlagPartial != 0,
		mant: [md.NumCandle]int64{6412345, 6413000, 6412000, 6412550, 125, md.Absent}, exp: [md.NumCandle]int8{-2, -2, -2, -2, -1}}
	return c.records(nil, &md.Record{Side: uint8(md.ChannelCandles1m)})
}

func nextCandle(recs []md.Record) []md.Record {
	for i := range recs {
		recs[i].ID += 60e9
	}
	return recs
}

func snapshotOf(recs []md.Record, c md.Channel) []md.Record {
	for i := range recs {
		recs[i].Flags |= md.FlagSnapshot
		recs[i].Side = uint8(c)
	}
	return recs
}

const goldenFile = "web/client/test/golden.ndjson"

// TestJavaScriptGolden holds the file that the JavaScript client's tests read to what Go
// makes of the same records.
func TestJavaScriptGolden(t *testing.T) {
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	for _, e := range goldenEvents() {
		if err := enc.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(goldenFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what Go makes; go test ./relay -run TestJavaScriptGolden -update", goldenFile)
	}
}
