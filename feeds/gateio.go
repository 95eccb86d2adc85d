package feeds

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Gateio is the spot market of Gate, WebSocket API v4.
//
// The book rule (Doc, "How to maintain local order book"): buffer updates, fetch
// the REST snapshot with id, drop updates with u <= id, the first applied has
// U <= id+1 <= u, each further one U = previous u + 1. Frames of the newer
// channels obu, whose snapshots come in band (full), are read too.
type Gateio struct{ gate }

// GateioFutures is Gate's market of perpetual futures margined in USDT. Sizes are
// contracts, whose size in the base the catalogue tells; that of a trade is
// negative if the taker sold. The book rule is that of Gateio. Tickers tell neither
// when funding is due nor how often.
//
// Some contracts trade in parts. Their sizes are cut off at the point, also in
// books, unless the header X-Gate-Size-Decimal is 1: then all sizes are texts with
// decimals. Both forms are read; a trade of size 0, which can only have been cut
// off, is refused. Trades with is_internal, by which the insurance fund and
// deleveraged accounts take over positions, were none in the market: they are in
// no candle of the venue's, and left out.
//
// The document calls the size of a public liquidation that of the liquidation
// order and says nothing of its sign; it is read like every order's of this API:
// negative is a sale, which closes a long position. No recording confirms it.
//
// Contracts settled in BTC or USD1 and those that expire are served at other
// addresses, with lists and snapshots of their own, and are not read.
type GateioFutures struct{ gate }

var (
	_ Venue = Gateio{}
	_ Venue = GateioFutures{}
)

const gateRule = "REST snapshot joined at U <= id+1 <= u, then U = previous u + 1"

var gateioSpec = Spec{
	Name:  "gateio",
	Venue: md.VenueGateio,
	Doc:   "https://www.gate.com/docs/developers/apiv4/ws/en/",
	URL:   "wss://api.gateio.ws/ws/v4/",
	REST:  "https://api.gateio.ws",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "spot.trades", ""},
		{md.ChannelBook, "spot.order_book_update", gateRule},
		{md.ChannelBBO, "spot.book_ticker", ""},
		{md.ChannelTicker, "spot.tickers", ""},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte(`{"time":1,"channel":"spot.ping"}`), PingEvery: 15 * time.Second,
	DeadAfter:     60 * time.Second,
	MaxFrame:      4 << 20,
	SubsPerFrame:  100,
	SendEvery:     20 * time.Millisecond,
	SnapshotEvery: 100 * time.Millisecond, // 200 requests per 10 s
	UniqueTrades:  true,
	MergeBooks:    true,
	WholeRequests: true,
}

var gateioFuturesSpec = func() Spec {
	s := gateioSpec
	s.Name, s.Venue = "gateio-futures", md.VenueGateioFutures
	s.Doc = "https://www.gate.com/docs/developers/futures/ws/en/"
	s.URL = "wss://fx-ws.gateio.ws/v4/ws/usdt"
	s.Ping = []byte(`{"time":1,"channel":"futures.ping"}`)
	s.Header = [][2]string{{"X-Gate-Size-Decimal", "1"}}
	s.SizeExp = 0
	s.Channels = []ChannelSpec{
		{md.ChannelTrades, "futures.trades", ""},
		{md.ChannelBook, "futures.order_book_update", gateRule},
		{md.ChannelBBO, "futures.book_ticker", ""},
		{md.ChannelTicker, "futures.tickers", ""},
		{md.ChannelFunding, "futures.tickers", ""},
		{md.ChannelOpenInterest, "futures.tickers", ""},
		{md.ChannelLiquidations, "futures.public_liquidates", ""},
	}
	return s
}()

// gate is what both have in common.
type gate struct{}

// Spec implements Venue.
func (Gateio) Spec() *Spec { return &gateioSpec }

// Spec implements Venue.
func (GateioFutures) Spec() *Spec { return &gateioFuturesSpec }

// Subscribe implements Venue.
func (Gateio) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return gateRequest(dst, subs, "spot.", "subscribe", rq)
}

// Unsubscribe implements Venue.
func (Gateio) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return gateRequest(dst, subs, "spot.", "unsubscribe", rq)
}

// Subscribe implements Venue.
func (GateioFutures) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return gateRequest(dst, subs, "futures.", "subscribe", rq)
}

// Unsubscribe implements Venue.
func (GateioFutures) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return gateRequest(dst, subs, "futures.", "unsubscribe", rq)
}

// gateRequest names one channel per frame, of books one instrument.
func gateRequest(dst [][]byte, subs []Sub, market, event string, rq *Requests) [][]byte {
	futures := market == "futures."
	for _, c := range [...]struct {
		name     string
		futures  bool
		channels []md.Channel
	}{
		{"trades", false, []md.Channel{md.ChannelTrades}},
		{"order_book_update", false, []md.Channel{md.ChannelBook}},
		{"book_ticker", false, []md.Channel{md.ChannelBBO}},
		{"tickers", false, []md.Channel{md.ChannelTicker}},
		{"tickers", true, []md.Channel{md.ChannelTicker, md.ChannelFunding, md.ChannelOpenInterest}},
		{"public_liquidates", true, []md.Channel{md.ChannelLiquidations}},
	} {
		if c.name == "tickers" && c.futures != futures || c.futures && !futures {
			continue
		}
		var args []string
		for _, s := range subs {
			for _, ch := range c.channels {
				if s.Channel == ch {
					args = append(args, quoted(s.Instrument.Native))
				}
			}
		}
		head := fmt.Sprintf(`{"time":%d,"channel":"%s","event":"%s","payload":[`, rq.Now/1e9, market+c.name, event)
		tail, most := "", gateioSpec.SubsPerFrame
		if c.name == "order_book_update" {
			tail, most = `,"100ms"`, 1
		}
		dst = requests(dst, args, head, func(id int) string { return fmt.Sprintf(`%s],"id":%d}`, tail, id) }, rq, most, 32<<10)
	}
	return dst
}

// gateKeys are the members of frames in the usual order.
var gateKeys = jsonscan.Names("time", "time_ms", "channel", "event", "result", "error", "id")

// Decode implements Venue.
func (gate) Decode(b []byte, d *Decoded) error {
	var channel, event, text []byte
	var sent int64
	var got once
	result, i := 0, 0
	k, at := jsonscan.First(b, jsonscan.Space(b, 0), gateKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, gateKeys, k) {
		if at < 0 || !got.add(k) {
			return scanErr(at)
		}
		switch k {
		case 0:
			if sent == 0 {
				sent, i = seconds(b, at)
			} else {
				i = jsonscan.Skip(b, at)
			}
		case 1:
			if sent, i = jsonscan.Time(b, at); i < 0 {
				i = jsonscan.Skip(b, at)
			}
		case 2:
			channel, i = jsonscan.Text(b, at)
		case 3:
			event, i = jsonscan.Text(b, at)
		case 4:
			if string(event) == "update" && channel != nil {
				i = gateResult(b, at, d, channel)
			} else {
				result, i = at, jsonscan.Skip(b, at)
			}
		case 5:
			text, i = gateError(b, at)
		case 6:
			d.Request, i = requestID(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return scanErr(i)
		}
	}
	if at < 0 || !jsonscan.End(b, at) {
		return scanErr(at)
	}
	if channel == nil && got&^(1<<6) == 0 { // method and params: the API before v4
		return gateForeign(b)
	}
	if result > 0 && string(event) == "update" && channel != nil {
		if i = gateResult(b, result, d, channel); i < 0 {
			return scanErr(i)
		}
	}
	for k := range d.Recs {
		if r := &d.Recs[k]; r.TsEvent == 0 {
			r.TsEvent = sent
		}
	}
	gateControl(d, channel, event, text)
	return nil
}

// gateForeign tells frames of the API before v4 from others without a channel.
func gateForeign(b []byte) error {
	if jsonscan.Find(b, jsonscan.Space(b, 0), "method") != nil && jsonscan.Find(b, jsonscan.Space(b, 0), "params") != nil {
		return ErrUnsupported
	}
	return nil
}

// gateError reads the error of an answer, an object or null.
func gateError(b []byte, i int) (text []byte, next int) {
	next = jsonscan.Skip(b, i)
	if next < 0 || b[i] != '{' {
		return nil, next
	}
	if m := jsonscan.Find(b, i, "message"); m != nil {
		text, _ = jsonscan.Text(m, 0)
	}
	if text == nil {
		text = b[i:next]
	}
	return text, next
}

func gateControl(d *Decoded, channel, event, text []byte) {
	switch {
	case text != nil:
		d.Control, d.Text = ControlError, text
	case string(channel) == "spot.pong" || string(channel) == "futures.pong":
		d.Control = ControlPong
	case string(event) == "subscribe" || string(event) == "unsubscribe":
		d.Control = ControlAck
	}
}

// gateResult decodes the result of a push.
func gateResult(b []byte, i int, d *Decoded, channel []byte) int {
	switch string(channel) {
	case "spot.trades":
		return gateTrade(b, i, d)
	case "futures.trades":
		return gateEach(b, i, d, gateTrade)
	case "spot.order_book_update", "futures.order_book_update", "spot.obu", "futures.obu":
		return gateBook(b, i, d)
	case "spot.book_ticker", "futures.book_ticker":
		return gateBBO(b, i, d)
	case "spot.tickers":
		return gateTicker(b, i, d)
	case "futures.tickers":
		return gateEach(b, i, d, gateTicker)
	case "futures.public_liquidates":
		return gateEach(b, i, d, gateLiquidation)
	}
	return jsonscan.Skip(b, i)
}

// gateEach decodes the objects of an array. Those of one instrument in a row
// are one event.
func gateEach(b []byte, i int, d *Decoded, one func(b []byte, i int, d *Decoded) int) int {
	i, more := jsonscan.Open(b, i, '[')
	for ; more; i, more = jsonscan.Next(b, i, '[') {
		if uint(i) >= uint(len(b)) || b[i] != '{' { // once sent: an array in the array
			i = jsonscan.Skip(b, i)
		} else {
			i = one(b, i, d)
		}
		if i < 0 {
			return i
		}
		if n := len(d.Events); n > 1 {
			a, z := &d.Events[n-2], &d.Events[n-1]
			if (a.Channel == md.ChannelTrades || a.Channel == md.ChannelLiquidations) && string(a.Native) == string(z.Native) {
				a.To, d.Events = z.To, d.Events[:n-1]
			}
		}
	}
	return i
}

// Sequence implements Venue.
func (gate) Sequence(b *BookState, ev *Event) Verdict { return Binance{}.Sequence(b, ev) }

// Checksum implements Venue: Gate sends none.
func (gate) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue.
func (Gateio) SnapshotURL(base string, in *md.Instrument) string {
	return base + "/api/v4/spot/order_book?currency_pair=" + url.QueryEscape(in.Native) + "&limit=1000&with_id=true"
}

// SnapshotURL implements Venue.
func (GateioFutures) SnapshotURL(base string, in *md.Instrument) string {
	return base + "/api/v4/futures/usdt/order_book?contract=" + url.QueryEscape(in.Native) + "&limit=300&with_id=true"
}

var gateSnapshotKeys = jsonscan.Names("id", "current", "update", "asks", "bids")

// DecodeSnapshot implements Venue.
func (gate) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error {
	from := len(d.Recs)
	var id uint64
	var got once
	i := 0
	k, at := jsonscan.First(body, jsonscan.Space(body, 0), gateSnapshotKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(body, i, gateSnapshotKeys, k) {
		if at < 0 || !got.add(k) {
			break
		}
		switch k {
		case 0:
			id, i = jsonscan.Uint(body, at)
		case 3:
			i = gateLevels(body, at, d, md.SideAsk)
		case 4:
			i = gateLevels(body, at, d, md.SideBid)
		default:
			i = jsonscan.Skip(body, at)
		}
		if at = i; i < 0 {
			break
		}
	}
	if at < 0 || k != jsonscan.Closed || !jsonscan.End(body, at) {
		return fmt.Errorf("gate: order book of %s: %w", in.Native, scanErr(at))
	}
	if !got.have(1|1<<3|1<<4) || id > 1<<63-1 {
		return fmt.Errorf("gate: order book of %s has no id, bids or asks: %.100q", in.Native, body)
	}
	d.stamp(from, 0, id)
	ev := d.event(md.ChannelBook, []byte(in.Native), nil, from)
	ev.Action, ev.SeqLast = ActionReplace, int64(id)
	return nil
}

// gateName is the instrument in the name of an obu stream: ob.BTC_USDT.50.
func gateName(s []byte) []byte {
	rest, ok := strings.CutPrefix(string(s), "ob.")
	if !ok {
		return s
	}
	if n := strings.LastIndexByte(rest, '.'); n >= 0 {
		return s[3 : 3+n]
	}
	return s
}
