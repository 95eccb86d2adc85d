package feeds

import (
	"net/url"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// BinanceUSDM is Binance's market of futures margined in a stablecoin. Since
// 2026-04 its streams are served by class: depth and bookTicker below /public,
// the others below /market; a stream at the wrong address stays mute.
//
// The book rule (Doc, "How to manage a local order book correctly"): buffer
// events, fetch the REST snapshot with lastUpdateId L, drop events with u < L,
// the first applied has U <= L <= u (or begins right behind the snapshot, with
// pu = L), each further one chains by pu = previous u.
//
// Trades are aggTrade, which is documented, unlike trade: a record's id is that
// of the aggregate, which grows by one, its count the number of fills (l - f +
// 1). Frames of trade, as recordings hold, are read too; trades with an X other
// than MARKET (insurance fund, NA) were no trades in the market and are left out.
type BinanceUSDM struct{ binanceFutures }

// BinanceCOINM is Binance's market of futures margined in the coin. Sizes are
// contracts of 100 USD (BTC) or 10 USD. The rules are those of BinanceUSDM; all
// streams are served at one address.
type BinanceCOINM struct{ binanceFutures }

var (
	_ Venue = BinanceUSDM{}
	_ Venue = BinanceCOINM{}
)

const binanceFuturesRule = "REST snapshot joined at U <= lastUpdateId <= u, then pu = previous u"

var binanceFuturesChannels = []ChannelSpec{
	{md.ChannelTrades, "<symbol>@aggTrade", "a = previous a + 1"},
	{md.ChannelBook, "<symbol>@depth@100ms", binanceFuturesRule},
	{md.ChannelBBO, "<symbol>@bookTicker", ""},
	{md.ChannelTicker, "<symbol>@ticker, <symbol>@markPrice@1s", ""},
	{md.ChannelFunding, "<symbol>@markPrice@1s", ""},
	{md.ChannelLiquidations, "<symbol>@forceOrder", ""},
	{md.ChannelStatus, "!contractInfo", ""},
}

var binanceUSDMSpec = Spec{
	Name:     "binance-usdm",
	Venue:    md.VenueBinanceUSDM,
	Doc:      "https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams",
	URL:      "wss://fstream.binance.com",
	REST:     "https://fapi.binance.com",
	Channels: binanceFuturesChannels,
	Routes: []Route{
		{"/public/ws", []md.Channel{md.ChannelBook, md.ChannelBBO}},
		{"/market/ws", []md.Channel{md.ChannelTrades, md.ChannelTicker, md.ChannelFunding, md.ChannelLiquidations, md.ChannelStatus}},
	},
	PriceExp: -8, SizeExp: -8,
	DeadAfter:     200 * time.Second, // the server pings every 3 minutes
	MaxFrame:      4 << 20,
	SubsPerFrame:  200,
	SubsPerConn:   1024,
	SendEvery:     150 * time.Millisecond, // 10 messages/s, pongs count
	SnapshotEvery: 600 * time.Millisecond, // weight 20 of 2400 per minute

	ConsecutiveTrades: true,
	MergeBooks:        true,
}

var binanceCOINMSpec = func() Spec {
	s := binanceUSDMSpec
	s.Name, s.Venue = "binance-coinm", md.VenueBinanceCOINM
	s.Doc = "https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams"
	s.URL, s.REST, s.Routes = "wss://dstream.binance.com/ws", "https://dapi.binance.com", nil
	return s
}()

// binanceFutures is what both have in common.
type binanceFutures struct{}

// Spec implements Venue.
func (BinanceUSDM) Spec() *Spec { return &binanceUSDMSpec }

// Spec implements Venue.
func (BinanceCOINM) Spec() *Spec { return &binanceCOINMSpec }

// Subscribe implements Venue.
func (binanceFutures) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return binanceStreams(dst, binanceFuturesArgs(subs), "SUBSCRIBE", rq)
}

// Unsubscribe implements Venue.
func (binanceFutures) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return binanceStreams(dst, binanceFuturesArgs(subs), "UNSUBSCRIBE", rq)
}

func binanceFuturesArgs(subs []Sub) (args []string) {
	for _, s := range subs {
		name := lowerASCII(s.Instrument.Native)
		switch s.Channel {
		case md.ChannelTrades:
			args = append(args, quoted(name+"@aggTrade"))
		case md.ChannelBook:
			args = append(args, quoted(name+"@depth@100ms"))
		case md.ChannelBBO:
			args = append(args, quoted(name+"@bookTicker"))
		case md.ChannelTicker:
			args = append(args, quoted(name+"@ticker"), quoted(name+"@markPrice@1s"))
		case md.ChannelFunding:
			if s.Instrument.Expiry == 0 {
				args = append(args, quoted(name+"@markPrice@1s"))
			}
		case md.ChannelLiquidations:
			args = append(args, quoted(name+"@forceOrder"))
		case md.ChannelStatus: // one stream for all
			args = append(args, `"!contractInfo"`)
		}
	}
	return args
}

// Decode implements Venue.
func (BinanceUSDM) Decode(frame []byte, d *Decoded) error {
	return binanceFrame(frame, d, binanceFuturesEvent)
}

// Decode implements Venue. The turnover that tickers tell is in the base, not in
// the quote, and is left out.
func (BinanceCOINM) Decode(frame []byte, d *Decoded) error {
	if err := binanceFrame(frame, d, binanceFuturesEvent); err != nil {
		return err
	}
	if len(d.Events) == 1 && d.Events[0].Channel == md.ChannelTicker {
		d.dropStat(&d.Events[0], md.StatTurnover)
	}
	return nil
}

// dropStat takes a statistic out of the only event.
func (d *Decoded) dropStat(ev *Event, stat uint8) {
	kept := d.Recs[:ev.From]
	for k := ev.From; k < ev.To; k++ {
		if d.Recs[k].Level != stat {
			kept = append(kept, d.Recs[k])
		}
	}
	d.Recs, ev.To = kept, len(kept)
}

// binanceFuturesEvent decodes the event object at i. Its type is in "e", the
// first member but for the bookTicker of COIN-M.
func binanceFuturesEvent(b []byte, i int, d *Decoded) int {
	at, more := jsonscan.Open(b, i, '{')
	if !more {
		return at
	}
	key, v := jsonscan.Key(b, at)
	if string(key) != "e" {
		kind := jsonscan.Find(b, i, "e")
		if kind == nil {
			return jsonscan.Skip(b, i)
		}
		v = len(b) - len(kind)
	}
	kind, _ := jsonscan.Text(b, v)
	switch string(kind) {
	case "depthUpdate":
		return binanceFuturesDepth(b, i, d)
	case "aggTrade":
		return binanceAggTrade(b, i, d)
	case "trade":
		return binanceFuturesTrade(b, i, d)
	case "bookTicker":
		return binanceFuturesBBO(b, i, d)
	case "24hrTicker":
		return binanceTicker(b, i, d)
	case "markPriceUpdate":
		return binanceMark(b, i, d)
	case "forceOrder":
		return binanceForceOrder(b, i, d)
	case "contractInfo":
		return binanceContract(b, i, d)
	case "serverShutdown":
		d.Control = ControlReconnect
	}
	return jsonscan.Skip(b, i)
}

// Sequence implements Venue.
func (binanceFutures) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty:
		return VerdictWait
	case ev.SeqPrev == b.Seq:
		return VerdictApply
	case b.FromREST && ev.SeqFirst <= b.Seq && b.Seq <= ev.SeqLast:
		return VerdictApply
	case ev.SeqLast <= b.Seq:
		return VerdictIgnore
	}
	return VerdictGap
}

// Checksum implements Venue: Binance sends none.
func (binanceFutures) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue.
func (BinanceUSDM) SnapshotURL(base string, in *md.Instrument) string {
	return base + "/fapi/v1/depth?symbol=" + url.QueryEscape(in.Native) + "&limit=1000"
}

// SnapshotURL implements Venue.
func (BinanceCOINM) SnapshotURL(base string, in *md.Instrument) string {
	return base + "/dapi/v1/depth?symbol=" + url.QueryEscape(in.Native) + "&limit=1000"
}

// DecodeSnapshot implements Venue.
func (BinanceUSDM) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error {
	return binanceSnapshot(&binanceUSDMSpec, body, in, d)
}

// DecodeSnapshot implements Venue.
func (BinanceCOINM) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error {
	return binanceSnapshot(&binanceCOINMSpec, body, in, d)
}
