package feeds

import (
	"bytes"
	"fmt"
	"net/url"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Bitstamp is the spot market of Bitstamp, WebSocket API v2.
//
// The book rule (Doc, "Live full order book"): fetch the order book by REST and
// apply the changes whose microtimestamp is later. There are no numbers: that a
// snapshot is not older than the first change held shows that nothing is missing
// between them, and a microtimestamp that goes back breaks the book.
type Bitstamp struct{}

var _ Venue = Bitstamp{}

var bitstampSpec = Spec{
	Name:  "bitstamp",
	Venue: md.VenueBitstamp,
	Doc:   "https://www.bitstamp.net/websocket/v2/",
	URL:   "wss://ws.bitstamp.net",
	REST:  "https://www.bitstamp.net",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "live_trades_<pair>", ""},
		{md.ChannelBook, "diff_order_book_<pair>", "REST snapshot joined by microtimestamp, which then always rises"},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte(`{"event":"bts:heartbeat"}`), PingEvery: 20 * time.Second,
	DeadAfter:     45 * time.Second,
	MaxFrame:      8 << 20,
	SubsPerFrame:  1,
	SendEvery:     20 * time.Millisecond,
	SnapshotEvery: 200 * time.Millisecond, // 10,000 requests in 10 minutes, shared with others
	RisingTrades:  true,                   // ids are the venue's, over all pairs
	BlindBooks:    true,
	BookTime:      time.Microsecond,
}

// Spec implements Venue.
func (Bitstamp) Spec() *Spec { return &bitstampSpec }

// Subscribe implements Venue.
func (Bitstamp) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return bitstampRequest(dst, subs, "bts:subscribe", rq)
}

// Unsubscribe implements Venue.
func (Bitstamp) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return bitstampRequest(dst, subs, "bts:unsubscribe", rq)
}

const (
	bitstampTrades = "live_trades_"
	bitstampBook   = "diff_order_book_"
)

func bitstampRequest(dst [][]byte, subs []Sub, event string, rq *Requests) [][]byte {
	var args []string
	for _, s := range subs {
		switch s.Channel {
		case md.ChannelTrades:
			args = append(args, quoted(bitstampTrades+s.Instrument.Native))
		case md.ChannelBook:
			args = append(args, quoted(bitstampBook+s.Instrument.Native))
		}
	}
	tail := func(int) string { return "}}" }
	return requests(dst, args, `{"event":"`+event+`","data":{"channel":`, tail, rq, 1, 4096)
}

// bitstampKeys are the members of messages: data comes first.
var bitstampKeys = jsonscan.Names("data", "channel", "event")

// bitstampDataKeys are the members of data, of changes first, then of trades, in
// the order in which they come.
var bitstampDataKeys = jsonscan.Names("timestamp", "microtimestamp", "bids", "asks",
	"id", "amount", "amount_str", "price", "price_str", "type", "message").
	Or("id", "timestamp", "amount", "amount_str", "price", "price_str", "type", "microtimestamp", "buy_order_id", "sell_order_id")

// bitstampData is the data of a message, read before it is known what it is.
type bitstampData struct {
	micro         int64
	got           uint
	id            uint64
	price, size   int64
	priceE, sizeE int8
	kind          uint64
	message       []byte
}

// Decode implements Venue.
func (Bitstamp) Decode(frame []byte, d *Decoded) error {
	var m bitstampData
	var channel, event []byte
	var got uint
	i := 0
	k, at := jsonscan.First(frame, jsonscan.Space(frame, 0), bitstampKeys)
	for k != jsonscan.Closed && at >= 0 {
		switch k {
		case 0:
			if at < len(frame) && frame[at] == '{' {
				i = m.read(frame, at, d)
			} else {
				i = jsonscan.Skip(frame, at)
			}
		case 1:
			channel, i = jsonscan.Text(frame, at)
		case 2:
			event, i = jsonscan.Text(frame, at)
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
		k, at = jsonscan.Member(frame, i, bitstampKeys, k)
	}
	if at < 0 || !jsonscan.End(frame, at) {
		return scanErr(min(at, jsonscan.Bad))
	}
	if !m.event(d, channel, event) {
		return jsonscan.ErrSyntax
	}
	return nil
}

// read reads the data; levels become records at once.
func (m *bitstampData) read(b []byte, i int, d *Decoded) int {
	k, at := jsonscan.First(b, i, bitstampDataKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 1: // microtimestamp
			m.micro, i = jsonscan.Int(b, at)
		case 2:
			i = d.levels(b, at, md.SideBid, false)
		case 3:
			i = d.levels(b, at, md.SideAsk, false)
		case 4:
			m.id, i = jsonscan.Uint(b, at)
		case 6:
			m.size, m.sizeE, i = jsonscan.Number(b, at)
		case 8:
			m.price, m.priceE, i = jsonscan.Number(b, at)
		case 9:
			m.kind, i = jsonscan.Uint(b, at)
		case 10:
			m.message, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if k >= 0 {
			if m.got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			m.got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, bitstampDataKeys, k)
	}
	return at
}

// bitstampMaxMicro is the year 2262, beyond which ns do not fit.
const bitstampMaxMicro = 9_200_000_000_000_000

// event makes of the data what the message says it is; false if it lacks
// something.
func (m *bitstampData) event(d *Decoded, channel, event []byte) bool {
	const change, trade = 1<<1 | 1<<2 | 1<<3, 1<<1 | 1<<4 | 1<<6 | 1<<8 | 1<<9
	if pair, ok := bytes.CutPrefix(channel, []byte(bitstampBook)); ok && string(event) == "data" {
		if m.got&change != change || m.micro <= 0 || m.micro > bitstampMaxMicro {
			return false
		}
		d.stamp(0, m.micro*1e3, 0)
		d.event(md.ChannelBook, pair, nil, 0).SeqLast = m.micro
		return true
	}
	d.Recs = d.Recs[:0] // levels of a channel that nobody asked for
	if pair, ok := bytes.CutPrefix(channel, []byte(bitstampTrades)); ok && string(event) == "trade" {
		if m.got&trade != trade || m.micro < 0 || m.micro > bitstampMaxMicro || m.size < 0 || m.kind > 1 {
			return false
		}
		r := d.slot(md.KindTrade)
		r.ID, r.TsEvent, r.Count = m.id, m.micro*1e3, 1
		r.Price, r.PriceExp, r.Size, r.SizeExp = m.price, m.priceE, m.size, m.sizeE
		r.Side = md.SideBuy + uint8(m.kind) // 0 bought, 1 sold
		d.event(md.ChannelTrades, pair, nil, 0)
		return true
	}
	switch string(event) {
	case "bts:subscription_succeeded":
		d.Control = ControlAck
		if pair, ok := bytes.CutPrefix(channel, []byte(bitstampBook)); ok {
			d.Native, d.Channel = pair, md.ChannelBook
		}
	case "bts:unsubscription_succeeded":
		d.Control = ControlAck
	case "bts:heartbeat":
		d.Control = ControlPong
	case "bts:request_reconnect":
		d.Control = ControlReconnect
	case "bts:error":
		d.Control, d.Text = ControlError, m.message
	}
	return true
}

// Sequence implements Venue.
func (Bitstamp) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty:
		return VerdictWait
	case ev.SeqLast == b.Seq, b.FromREST && ev.SeqLast < b.Seq:
		return VerdictIgnore
	case ev.SeqLast < b.Seq, b.FromREST && !b.Covered:
		return VerdictGap
	}
	return VerdictApply
}

// Checksum implements Venue: there is none.
func (Bitstamp) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue.
func (Bitstamp) SnapshotURL(base string, in *md.Instrument) string {
	return base + "/api/v2/order_book/" + url.PathEscape(in.Native) + "/"
}

// DecodeSnapshot implements Venue.
func (Bitstamp) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error {
	var m bitstampData
	const needed = 1<<1 | 1<<2 | 1<<3
	i := m.read(body, jsonscan.Space(body, 0), d)
	if i < 0 || !jsonscan.End(body, i) {
		return fmt.Errorf("bitstamp: order book of %s: %w", in.Native, scanErr(min(i, jsonscan.Bad)))
	}
	if m.got&needed != needed || m.micro <= 0 || m.micro > bitstampMaxMicro {
		return fmt.Errorf("bitstamp: order book of %s has no microtimestamp, bids or asks: %.100q", in.Native, body)
	}
	d.stamp(0, m.micro*1e3, 0)
	ev := d.event(md.ChannelBook, []byte(in.Native), nil, 0)
	ev.Action, ev.SeqLast = ActionReplace, m.micro
	return nil
}
