package feeds

import (
	"fmt"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Coinbase is the spot market of Coinbase as Advanced Trade shows it. Products
// quoted in USDC that are aliases of one in USD are found under that.
//
// The rule (Doc, "Sequence numbers"): every frame of a connection, whatever its
// channel, has the next sequence_num. Books begin with a snapshot of all levels
// and go on with absolute sizes. There is no checksum. Tickers come with trades,
// not with quotes, so their best prices are no bbo.
type Coinbase struct {
	signer *coinbaseSigner // nil: not logged in
}

var (
	_ Venue        = Coinbase{}
	_ Opener       = Coinbase{}
	_ Credentialed = Coinbase{}
)

var coinbaseSpec = Spec{
	Name:  "coinbase",
	Venue: md.VenueCoinbase,
	Doc:   "https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview",
	URL:   "wss://advanced-trade-ws.coinbase.com",
	REST:  "https://api.coinbase.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "market_trades", "trade_id = last + 1; sequence_num"},
		{md.ChannelBook, "level2", "sequence_num of the connection + 1"},
		{md.ChannelTicker, "ticker", "sequence_num of the connection + 1"},
		{md.ChannelStatus, "status", "sequence_num of the connection + 1"},
	},
	PriceExp: -8, SizeExp: -8,
	PingEvery:         20 * time.Second,
	DeadAfter:         15 * time.Second * 2, // heartbeats come every second
	MaxFrame:          64 << 20,             // BTC-USD: 46,000 levels in 6 MB
	SubsPerFrame:      100,
	SendEvery:         130 * time.Millisecond, // 8 messages/s
	ConsecutiveTrades: true,
	BlindRefusals:     true,
	ConnSeq:           "sequence_num = last + 1 over all frames of the connection",
}

// Spec implements Venue.
func (Coinbase) Spec() *Spec { return &coinbaseSpec }

// Open implements Opener: without heartbeats quiet channels are closed.
func (c Coinbase) Open(dst [][]byte, rq *Requests) [][]byte {
	return append(dst, fmt.Appendf(nil, `{"type":"subscribe","channel":"heartbeats"%s}`, c.signer.member(rq.Now)))
}

// Subscribe implements Venue.
func (c Coinbase) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return c.request(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (c Coinbase) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return c.request(dst, subs, "unsubscribe", rq)
}

func (c Coinbase) request(dst [][]byte, subs []Sub, kind string, rq *Requests) [][]byte {
	for _, ch := range [...]struct {
		name    string
		channel md.Channel
	}{{"market_trades", md.ChannelTrades}, {"level2", md.ChannelBook}, {"ticker", md.ChannelTicker}, {"status", md.ChannelStatus}} {
		var args []string
		for _, s := range subs {
			if s.Channel == ch.channel {
				args = append(args, quoted(s.Instrument.Native))
			}
		}
		tail := func(int) string { return `],"channel":"` + ch.name + `"` + c.signer.member(rq.Now) + "}" }
		dst = requestsOf(dst, args, `{"type":"`+kind+`","product_ids":[`, ch.name, tail, rq, coinbaseSpec.SubsPerFrame, 32<<10)
	}
	return dst
}

// coinbaseKeys are the members of messages in the order of the document, then
// those of errors.
var coinbaseKeys = jsonscan.Names("channel", "client_id", "timestamp", "sequence_num", "events", "type", "message")

// Decode implements Venue.
func (Coinbase) Decode(frame []byte, d *Decoded) error {
	var channel, kind, message []byte
	var ts int64
	var got uint
	i, events := 0, 0
	k, at := jsonscan.First(frame, jsonscan.Space(frame, 0), coinbaseKeys)
	for k != jsonscan.Closed && at >= 0 {
		switch k {
		case 0:
			channel, i = jsonscan.Text(frame, at)
		case 2:
			ts, i = jsonscan.ISOTime(frame, at)
		case 3:
			d.ConnSeq, i = jsonscan.Int(frame, at)
			d.HasConnSeq = true
		case 4:
			if channel != nil && got&4 != 0 {
				i = coinbaseEvents(frame, at, d, channel, ts)
			} else { // rare: events before what says what they are
				events, i = at, jsonscan.Skip(frame, at)
			}
		case 5:
			kind, i = jsonscan.Text(frame, at)
		case 6:
			message, i = jsonscan.Text(frame, at)
		default:
			i = jsonscan.Skip(frame, at)
		}
		if i < 0 {
			return scanErr(i)
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.ErrSyntax
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(frame, i, coinbaseKeys, k)
	}
	if at < 0 || !jsonscan.End(frame, at) {
		return scanErr(min(at, jsonscan.Bad))
	}
	if events > 0 && channel != nil {
		if i = coinbaseEvents(frame, events, d, channel, ts); i < 0 {
			return scanErr(i)
		}
	}
	switch {
	case string(kind) == "error":
		d.Control, d.Text = ControlError, message
	case kind != nil: // the messages of Coinbase Exchange have a type
		return ErrUnsupported
	case string(channel) == "subscriptions":
		d.Control = ControlAck
	}
	return nil
}

// coinbaseEvents decodes the events of a message.
func coinbaseEvents(b []byte, i int, d *Decoded, channel []byte, ts int64) int {
	var each func(b []byte, i int, d *Decoded, ts int64) int
	switch string(channel) {
	case "l2_data":
		each = coinbaseBook
	case "market_trades":
		each = coinbaseTrades
	case "ticker", "ticker_batch":
		each = coinbaseTickers
	case "status":
		each = coinbaseProducts
	default:
		return jsonscan.Skip(b, i)
	}
	i, more := jsonscan.Open(b, i, '[')
	for more {
		if i = each(b, i, d, ts); i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

var (
	coinbaseBookKeys  = jsonscan.Names("type", "product_id", "updates")
	coinbaseLevelKeys = jsonscan.Names("side", "event_time", "price_level", "new_quantity")
)

func coinbaseBook(b []byte, i int, d *Decoded, _ int64) int {
	from := len(d.Recs)
	var native, kind []byte
	var got uint
	k, at := jsonscan.First(b, i, coinbaseBookKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			kind, i = jsonscan.Text(b, at)
		case 1:
			native, i = jsonscan.Text(b, at)
		case 2:
			i = coinbaseLevels(b, at, d)
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
		k, at = jsonscan.Member(b, i, coinbaseBookKeys, k)
	}
	if at < 0 || got != 7 {
		return jsonscan.Bad
	}
	ev := d.event(md.ChannelBook, native, nil, from)
	if string(kind) == "snapshot" {
		ev.Action = ActionReplace
	}
	return at
}

// coinbaseLevels reads the updates of a book, each with its own time. Since most
// have that of the level before, a time is compared before it is read.
func coinbaseLevels(b []byte, i int, d *Decoded) int {
	var text []byte
	var ts int64
	n := coinbaseLevelKeys
	i, more := jsonscan.Open(b, i, '[')
	for more {
		r := d.slot(md.KindBook)
		next := coinbaseSide(b, n[0].Opens(b, i), r)
		if v := n[1].After(b, next); v >= 0 {
			if text == nil || len(b)-v < len(text) || string(b[v:v+len(text)]) != string(text) {
				if ts, next = jsonscan.ISOTime(b, v); next >= 0 {
					text = b[v:next]
				}
			} else {
				next = v + len(text)
			}
			r.TsEvent = ts
			r.Price, r.PriceExp, next = jsonscan.Number(b, n[2].After(b, next))
			r.Size, r.SizeExp, next = jsonscan.Number(b, n[3].After(b, next))
			next = jsonscan.Literal(b, next, "}")
		} else {
			next = jsonscan.Bad
		}
		if next < 0 {
			*r = md.Record{Kind: md.KindBook}
			if next = coinbaseLevel(b, i, r); next < 0 {
				return next
			}
		}
		if r.Size < 0 || r.Side == 0 {
			return jsonscan.Bad
		}
		i, more = jsonscan.Next(b, next, '[')
	}
	return i
}

// coinbaseLevel reads a level in any order.
func coinbaseLevel(b []byte, i int, r *md.Record) int {
	var got uint
	k, at := jsonscan.First(b, i, coinbaseLevelKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			i = coinbaseSide(b, at, r)
		case 1:
			r.TsEvent, i = jsonscan.ISOTime(b, at)
		case 2:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 3:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
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
		k, at = jsonscan.Member(b, i, coinbaseLevelKeys, k)
	}
	if at < 0 || got&13 != 13 {
		return jsonscan.Bad
	}
	return at
}

// coinbaseSide reads "bid" or "offer".
func coinbaseSide(b []byte, i int, r *md.Record) int {
	if n := jsonscan.Literal(b, i, `"bid"`); n >= 0 {
		r.Side = md.SideBid
		return n
	}
	r.Side = md.SideAsk
	return jsonscan.Literal(b, i, `"offer"`)
}

// Sequence implements Venue: the numbers are the connection's.
func (Coinbase) Sequence(b *BookState, ev *Event) Verdict { return checksummed(b, ev) }

// Checksum implements Venue: there is none.
func (Coinbase) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue: snapshots come in band.
func (Coinbase) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Coinbase) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("coinbase: no REST snapshots: %w", ErrUnsupported)
}
