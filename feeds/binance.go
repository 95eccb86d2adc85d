package feeds

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Binance is the spot market of Binance, WebSocket streams of API v3, raw or
// combined, times in milliseconds or microseconds.
//
// The book rule (Doc, "How to manage a local order book correctly"): buffer
// events, fetch the REST snapshot with lastUpdateId L, drop events with u <= L,
// the first applied has U <= L+1 <= u, each further one U = previous u + 1.
type Binance struct{}

var _ Venue = Binance{}

var binanceSpec = Spec{
	Name:  "binance",
	Venue: md.VenueBinance,
	Doc:   "https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams",
	URL:   "wss://stream.binance.com:9443/ws",
	REST:  "https://api.binance.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "<symbol>@trade", "t = previous t + 1"},
		{md.ChannelBook, "<symbol>@depth@100ms", "REST snapshot joined at U <= lastUpdateId+1 <= u, then U = previous u + 1"},
		{md.ChannelBBO, "<symbol>@bookTicker", ""},
		{md.ChannelTicker, "<symbol>@ticker", ""},
	},
	PriceExp: -8, SizeExp: -8,
	DeadAfter:     60 * time.Second, // the server pings every 20 s
	MaxFrame:      4 << 20,
	SubsPerFrame:  200,
	SubsPerConn:   1024,
	SendEvery:     250 * time.Millisecond,  // 5 messages/s, pongs count
	SnapshotEvery: 2500 * time.Millisecond, // weight 250 of 6000 per minute

	ConsecutiveTrades: true,
	MergeBooks:        true,
}

// Spec implements Venue.
func (Binance) Spec() *Spec { return &binanceSpec }

// Subscribe implements Venue.
func (Binance) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return binanceRequest(dst, subs, "SUBSCRIBE", rq)
}

// Unsubscribe implements Venue.
func (Binance) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return binanceRequest(dst, subs, "UNSUBSCRIBE", rq)
}

func binanceRequest(dst [][]byte, subs []Sub, method string, rq *Requests) [][]byte {
	var args []string
	for _, s := range subs {
		stream, ok := map[md.Channel]string{
			md.ChannelTrades: "@trade", md.ChannelBook: "@depth@100ms",
			md.ChannelBBO: "@bookTicker", md.ChannelTicker: "@ticker",
		}[s.Channel]
		if ok {
			args = append(args, quoted(lowerASCII(s.Instrument.Native)+stream))
		}
	}
	return binanceStreams(dst, args, method, rq)
}

// binanceStreams makes requests of any of Binance's markets for streams.
func binanceStreams(dst [][]byte, args []string, method string, rq *Requests) [][]byte {
	tail := func(id int) string { return fmt.Sprintf(`],"id":%d}`, id) }
	return requests(dst, args, `{"method":"`+method+`","params":[`, tail, rq, binanceSpec.SubsPerFrame, 32<<10)
}

// lowerASCII lowers A to Z and nothing else, as stream names want it.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// Decode implements Venue.
func (Binance) Decode(frame []byte, d *Decoded) error { return binanceFrame(frame, d, binanceEvent) }

// binanceFrame decodes a message of a raw or a combined stream, or an answer;
// event decodes the object of an event.
func binanceFrame(frame []byte, d *Decoded, event func(b []byte, i int, d *Decoded) int) error {
	root := jsonscan.Space(frame, 0)
	i, more := jsonscan.Open(frame, root, '{')
	if i < 0 { // an array stream (!ticker@arr …), or no JSON at all
		i = jsonscan.Skip(frame, root)
	}
	for more {
		var key []byte
		if key, i = jsonscan.Key(frame, i); i < 0 {
			break
		}
		switch string(key) {
		case "data":
			if i < len(frame) && frame[i] == '{' {
				i = event(frame, i, d)
			} else {
				i = jsonscan.Skip(frame, i)
			}
		case "e", "u": // a raw stream: the root is the event
			i, more = event(frame, root, d), false
			continue
		case "result":
			d.Control = ControlAck
			i = jsonscan.Skip(frame, i)
		case "error":
			d.Control = ControlError
			at := i
			i = jsonscan.Skip(frame, i)
			if i > 0 {
				d.Text = frame[at:i]
			}
		case "msg":
			d.Control = ControlError
			d.Text, i = jsonscan.Text(frame, i)
		default:
			i = jsonscan.Skip(frame, i)
		}
		if i < 0 {
			break
		}
		i, more = jsonscan.Next(frame, i, '{')
	}
	if i < 0 || !jsonscan.End(frame, i) {
		return scanErr(i)
	}
	return nil
}

// binanceEvent decodes the event object at i. Its type is in "e", nearly always
// the first member; bookTicker has none.
func binanceEvent(b []byte, i int, d *Decoded) int {
	at, more := jsonscan.Open(b, i, '{')
	if !more {
		return at
	}
	key, v := jsonscan.Key(b, at)
	var kind []byte
	switch string(key) {
	case "e":
		kind, _ = jsonscan.Text(b, v)
	case "u":
		recs, events := len(d.Recs), len(d.Events)
		if n := binanceBBO(b, i, d); n >= 0 {
			return n
		}
		d.Recs, d.Events = d.Recs[:recs], d.Events[:events]
		fallthrough
	default:
		if kind = jsonscan.Find(b, i, "e"); kind == nil {
			if jsonscan.Find(b, i, "B") == nil || jsonscan.Find(b, i, "A") == nil {
				return jsonscan.Skip(b, i)
			}
			return binanceBBO(b, i, d)
		}
		kind, _ = jsonscan.Text(kind, 0)
	}
	switch string(kind) {
	case "depthUpdate":
		return binanceDepth(b, i, d)
	case "trade":
		return binanceTrade(b, i, d)
	case "bookTicker":
		return binanceBBO(b, i, d)
	case "24hrTicker":
		return binanceTicker(b, i, d)
	case "serverShutdown":
		d.Control = ControlReconnect
	}
	return jsonscan.Skip(b, i)
}

// letter reads a member's name like jsonscan.Key and returns it if it is one
// ASCII letter, as nearly all of Binance's are, else 0.
func letter(b []byte, i int) (c byte, next int) {
	if i >= 0 && i+4 < len(b) && b[i] == '"' && b[i+2] == '"' && b[i+3] == ':' && b[i+4] > ' ' {
		if c = b[i+1]; c|0x20-'a' < 26 {
			return c, i + 4
		}
	}
	key, next := jsonscan.Key(b, i)
	if len(key) == 1 && key[0]|0x20-'a' < 26 {
		return key[0], next
	}
	return 0, next
}

// members tracks which one-letter members an object had; a second one of the
// same name is malformed.
type members uint64

func (m *members) add(c byte) bool {
	bit := members(1) << ((c - 'A') & 63)
	again := *m&bit != 0 && c != 0
	*m |= bit
	return !again
}

func (m members) have(names string) bool {
	for _, c := range []byte(names) {
		if m>>((c-'A')&63)&1 == 0 {
			return false
		}
	}
	return true
}

func binanceDepth(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native []byte
	var ts int64
	var first, last uint64
	var seen members
	i, more := jsonscan.Open(b, i, '{')
	for more {
		c, at := letter(b, i)
		if at < 0 || !seen.add(c) {
			return jsonscan.Bad
		}
		switch c {
		case 'b':
			i = d.levels(b, at, md.SideBid, false)
		case 'a':
			i = d.levels(b, at, md.SideAsk, false)
		case 's':
			native, i = jsonscan.Text(b, at)
		case 'E':
			ts, i = jsonscan.Time(b, at)
		case 'U':
			first, i = jsonscan.Uint(b, at)
		case 'u':
			last, i = jsonscan.Uint(b, at)
		default:
			// "pu" is what the futures markets chain by: another dialect.
			if c == 0 && i+4 < len(b) && string(b[i:i+4]) == `"pu"` {
				return unsupported
			}
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	if i < 0 || !seen.have("sUuba") || first > last || last > 1<<63-1 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, last)
	ev := d.event(md.ChannelBook, native, nil, from)
	ev.SeqFirst, ev.SeqLast = int64(first), int64(last)
	return i
}

func binanceTrade(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var native []byte
	var seen members
	i, more := jsonscan.Open(b, i, '{')
	for more {
		c, at := letter(b, i)
		if at < 0 || !seen.add(c) {
			return jsonscan.Bad
		}
		switch c {
		case 's':
			native, i = jsonscan.Text(b, at)
		case 't':
			r.ID, i = jsonscan.Uint(b, at)
		case 'p':
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 'q':
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 'T':
			r.TsEvent, i = jsonscan.Time(b, at)
		case 'm': // the buyer is the maker: the seller took
			var maker bool
			maker, i = jsonscan.Bool(b, at)
			if r.Side = md.SideBuy; maker {
				r.Side = md.SideSell
			}
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	if i < 0 || !seen.have("stpqTm") || r.Size < 0 {
		return jsonscan.Bad
	}
	d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
	return i
}

// binanceBBOKeys are the members of bookTicker in the order of the document.
var binanceBBOKeys = jsonscan.Names("u", "s", "b", "B", "a", "A", "E")

// binanceUsualBBO reads the members of bookTicker up to the ask's size, which is
// the last on spot, and returns the index behind it, or a negative one.
func binanceUsualBBO(b []byte, i int, bid, ask *md.Record) (native []byte, id uint64, next int) {
	n := binanceBBOKeys
	id, i = jsonscan.Uint(b, n[0].Opens(b, i))
	native, i = jsonscan.Text(b, n[1].After(b, i))
	bid.Price, bid.PriceExp, i = jsonscan.Number(b, n[2].After(b, i))
	bid.Size, bid.SizeExp, i = jsonscan.Number(b, n[3].After(b, i))
	ask.Price, ask.PriceExp, i = jsonscan.Number(b, n[4].After(b, i))
	ask.Size, ask.SizeExp, i = jsonscan.Number(b, n[5].After(b, i))
	return native, id, i
}

func binanceBBO(b []byte, i int, d *Decoded) int {
	const needed = 1<<6 - 1
	from := len(d.Recs)
	bid, ask := d.quotes()
	var got uint
	var k, at int
	native, id, n := binanceUsualBBO(b, i, bid, ask)
	if n >= 0 {
		got = needed
		k, at = jsonscan.Member(b, n, binanceBBOKeys, 5)
	} else {
		k, at = jsonscan.First(b, i, binanceBBOKeys)
	}
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0: // u
			id, i = jsonscan.Uint(b, at)
		case 1: // s
			native, i = jsonscan.Text(b, at)
		case 2: // b
			bid.Price, bid.PriceExp, i = jsonscan.Number(b, at)
		case 3: // B
			bid.Size, bid.SizeExp, i = jsonscan.Number(b, at)
		case 4: // a
			ask.Price, ask.PriceExp, i = jsonscan.Number(b, at)
		case 5: // A
			ask.Size, ask.SizeExp, i = jsonscan.Number(b, at)
		case 6: // E
			bid.TsEvent, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, binanceBBOKeys, k)
	}
	if i = at; i < 0 || got&needed != needed || bid.Size < 0 || ask.Size < 0 {
		return jsonscan.Bad
	}
	bid.ID, ask.ID, ask.TsEvent = id, id, bid.TsEvent
	d.event(md.ChannelBBO, native, nil, from).SeqLast = int64(id)
	return i
}

func binanceTicker(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native []byte
	var ts int64
	var seen members
	i, more := jsonscan.Open(b, i, '{')
	for more {
		c, at := letter(b, i)
		if at < 0 || !seen.add(c) {
			return jsonscan.Bad
		}
		switch c {
		case 's':
			native, i = jsonscan.Text(b, at)
		case 'E':
			ts, i = jsonscan.Time(b, at)
		case 'c':
			i = d.stat(b, at, md.StatLast)
		case 'o':
			i = d.stat(b, at, md.StatOpen)
		case 'h':
			i = d.stat(b, at, md.StatHigh)
		case 'l':
			i = d.stat(b, at, md.StatLow)
		case 'v':
			i = d.stat(b, at, md.StatVolume)
		case 'q':
			i = d.stat(b, at, md.StatTurnover)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	if i < 0 || !seen.have("sE") {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	d.event(md.ChannelTicker, native, nil, from)
	return i
}

// Sequence implements Venue.
func (Binance) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty:
		return VerdictWait
	case ev.SeqLast <= b.Seq:
		return VerdictIgnore
	case ev.SeqFirst > b.Seq+1:
		return VerdictGap
	}
	return VerdictApply
}

// Checksum implements Venue: Binance sends none.
func (Binance) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue.
func (Binance) SnapshotURL(base string, in *md.Instrument) string {
	return base + "/api/v3/depth?symbol=" + url.QueryEscape(in.Native) + "&limit=5000"
}

// DecodeSnapshot implements Venue.
func (Binance) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error {
	return binanceSnapshot(&binanceSpec, body, in, d)
}

// binanceSnapshot decodes the depth answer of any of Binance's markets; those of
// futures tell the time of the matching engine.
func binanceSnapshot(spec *Spec, body []byte, in *md.Instrument, d *Decoded) error {
	from := len(d.Recs)
	var ts int64
	var last uint64
	var got int
	i, more := jsonscan.Open(body, jsonscan.Space(body, 0), '{')
	for more {
		var key []byte
		if key, i = jsonscan.Key(body, i); i < 0 {
			break
		}
		switch string(key) {
		case "lastUpdateId":
			last, i = jsonscan.Uint(body, i)
			got |= 1
		case "T":
			ts, i = jsonscan.Time(body, i)
		case "bids":
			i = d.levels(body, i, md.SideBid, false)
			got |= 2
		case "asks":
			i = d.levels(body, i, md.SideAsk, false)
			got |= 4
		default:
			i = jsonscan.Skip(body, i)
		}
		if i < 0 {
			break
		}
		i, more = jsonscan.Next(body, i, '{')
	}
	if i < 0 || !jsonscan.End(body, i) {
		return fmt.Errorf("%s: depth snapshot of %s: %w", spec.Name, in.Native, scanErr(i))
	}
	if got != 7 || last > 1<<63-1 {
		return fmt.Errorf("%s: depth snapshot of %s has no lastUpdateId, bids or asks: %.100q", spec.Name, in.Native, body)
	}
	d.stamp(from, ts, last)
	ev := d.event(md.ChannelBook, []byte(in.Native), nil, from)
	ev.Action, ev.SeqLast = ActionReplace, int64(last)
	return nil
}
