package feeds

import (
	"fmt"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Bitget is the public WebSocket of Bitget, API v2. Frames of API v3 (unified
// account: topic and symbol instead of channel and instId, short keys) and of
// the retired v1 (instType sp and mc, trades as arrays) are read too.
//
// The book rule: a snapshot, then updates that are checked by the checksum of
// the 25 best levels (Doc, "Depth channel") and, where seq is sent, by pseq
// equal to the last seq. A checksum of 0 means that there is none.
//
// The instrument is told by Native and Class, the instType, together: BTCUSDT
// is a name on spot and on the USDT futures. Trades with action "snapshot" are
// history that is pushed after subscribing: their event has ActionReplace.
type Bitget struct{}

var _ Venue = Bitget{}

const bitgetRule = "CRC-32 of the 25 best levels where it is sent and not 0; pseq = last seq where they are sent"

var bitgetSpec = Spec{
	Name:  "bitget",
	Venue: md.VenueBitget,
	Doc:   "https://www.bitget.com/api-doc/common/websocket-intro",
	URL:   "wss://ws.bitget.com/v2/ws/public",
	REST:  "https://api.bitget.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trade", ""},
		{md.ChannelBook, "books", bitgetRule},
		{md.ChannelBBO, "books1", ""},
		{md.ChannelTicker, "ticker", ""},
		{md.ChannelFunding, "ticker", ""},
		{md.ChannelOpenInterest, "ticker", ""},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte("ping"), PingEvery: 25 * time.Second, // dropped after 2 minutes without
	DeadAfter:    60 * time.Second,
	MaxFrame:     4 << 20,
	SubsPerFrame: 40,
	SubsPerConn:  1000,
	SendEvery:    150 * time.Millisecond, // 10 messages/s

	UniqueTrades: true,
	MergeBooks:   true, // where they are numbered
}

// Spec implements Venue.
func (Bitget) Spec() *Spec { return &bitgetSpec }

// Subscribe implements Venue.
func (Bitget) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return bitgetRequest(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (Bitget) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return bitgetRequest(dst, subs, "unsubscribe", rq)
}

func bitgetRequest(dst [][]byte, subs []Sub, op string, rq *Requests) [][]byte {
	var args []string
	for _, s := range subs {
		channel := ""
		switch s.Channel {
		case md.ChannelTrades:
			channel = "trade"
		case md.ChannelBook:
			channel = "books"
		case md.ChannelBBO:
			channel = "books1"
		case md.ChannelTicker:
			channel = "ticker"
		case md.ChannelFunding, md.ChannelOpenInterest:
			if s.Instrument.Kind > md.InstrumentSpot {
				channel = "ticker"
			}
		}
		if channel != "" {
			args = append(args, `{"instType":"`+bitgetClass(s.Instrument)+`","channel":"`+channel+
				`","instId":`+quoted(s.Instrument.Native)+`}`)
		}
	}
	tail := func(int) string { return "]}" }
	// The length of one request is limited to 4096 bytes.
	return requests(dst, args, `{"op":"`+op+`","args":[`, tail, rq, bitgetSpec.SubsPerFrame, 4096)
}

// bitgetClass is the instType of an instrument.
func bitgetClass(in *md.Instrument) string {
	switch {
	case in.Kind == md.InstrumentSpot || in.Kind == md.InstrumentUnknown:
		return "SPOT"
	case in.Kind == md.InstrumentPerpInverse || in.Kind == md.InstrumentFutureInverse:
		return "COIN-FUTURES"
	case strings.Contains(in.Symbol, "-USDC-"):
		return "USDC-FUTURES"
	}
	return "USDT-FUTURES"
}

// bitgetPush is what surrounds the data of a pushed frame.
type bitgetPush struct {
	class, channel, native, action []byte
	ts                             int64
}

// Decode implements Venue.
func (Bitget) Decode(frame []byte, d *Decoded) error {
	if string(frame) == "pong" {
		d.Control = ControlPong
		return nil
	}
	p, i, more := bitgetUsual(frame, d)
	var event, msg []byte
	data := 0 // index of a data array that came before its arg
	for more {
		var key []byte
		if key, i = jsonscan.Key(frame, i); i < 0 {
			break
		}
		switch string(key) {
		case "action":
			p.action, i = jsonscan.Text(frame, i)
		case "arg":
			i = p.arg(frame, i)
		case "data":
			if p.channel == nil {
				data, i = i, jsonscan.Skip(frame, i)
			} else {
				i = bitgetData(frame, i, d, &p)
			}
		case "ts":
			p.ts, i = jsonscan.Time(frame, i)
		case "event":
			event, i = jsonscan.Text(frame, i)
		case "msg":
			msg, i = jsonscan.Text(frame, i)
		case "table": // the swap API of before v1
			return ErrUnsupported
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
	if data > 0 && p.channel != nil {
		if i = bitgetData(frame, data, d, &p); i < 0 {
			return scanErr(i)
		}
	}
	bitgetFinish(d, &p)
	switch string(event) {
	case "subscribe", "unsubscribe":
		d.Control = ControlAck
	case "error":
		d.Control, d.Text = ControlError, msg
	}
	return nil
}

// bitgetHeadKeys are the members that nearly every push begins with.
var bitgetHeadKeys = jsonscan.Names("action", "arg", "instType", "channel", "instId", "data")

// bitgetUsual reads how nearly every push begins, and its data where it comes
// next; of any other frame only the opening brace.
func bitgetUsual(b []byte, d *Decoded) (p bitgetPush, next int, more bool) {
	n := bitgetHeadKeys
	i := n[0].Opens(b, 0)
	p.action, i = jsonscan.Text(b, i)
	i = n[1].After(b, i)
	p.class, i = jsonscan.Text(b, n[2].Opens(b, i))
	p.channel, i = jsonscan.Text(b, n[3].After(b, i))
	p.native, i = jsonscan.Text(b, n[4].After(b, i))
	if i = jsonscan.Literal(b, i, `}`); i < 0 {
		next, more = jsonscan.Open(b, jsonscan.Space(b, 0), '{')
		return bitgetPush{}, next, more
	}
	if at := n[5].After(b, i); at >= 0 {
		if i = bitgetData(b, at, d, &p); i < 0 {
			return p, i, false
		}
	}
	next, more = jsonscan.Next(b, i, '{')
	return p, next, more
}

// bitgetFinish sets what may come behind the data: the action, and the time of
// the push where the data has none.
func bitgetFinish(d *Decoded, p *bitgetPush) {
	snapshot := string(p.action) == "snapshot"
	for k := range d.Events {
		ev := &d.Events[k]
		if snapshot && (ev.Channel == md.ChannelBook || ev.Channel == md.ChannelTrades) {
			ev.Action = ActionReplace
		}
	}
	if p.ts != 0 && len(d.Recs) > 0 && d.Recs[0].TsEvent == 0 {
		for k := range d.Recs {
			if d.Recs[k].TsEvent == 0 {
				d.Recs[k].TsEvent = p.ts
			}
		}
	}
}

func (p *bitgetPush) arg(b []byte, i int) int {
	i, more := jsonscan.Open(b, i, '{')
	for more {
		var key []byte
		if key, i = jsonscan.Key(b, i); i < 0 {
			return i
		}
		switch string(key) {
		case "instType":
			p.class, i = jsonscan.Text(b, i)
		case "channel", "topic":
			p.channel, i = jsonscan.Text(b, i)
		case "instId", "symbol":
			p.native, i = jsonscan.Text(b, i)
		default:
			i = jsonscan.Skip(b, i)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	return i
}

// bitgetData decodes the data array at i; trades of one frame are one event.
func bitgetData(b []byte, i int, d *Decoded, p *bitgetPush) int {
	const book, bbo, ticker = 1, 2, 3
	kind := 0
	switch string(p.channel) {
	case "trade", "publicTrade":
		return bitgetTrades(b, i, d, p)
	case "books":
		kind = book
	case "books1":
		kind = bbo
	case "ticker":
		kind = ticker
	default:
		return jsonscan.Skip(b, i)
	}
	i, more := jsonscan.Open(b, i, '[')
	for more {
		switch kind {
		case book:
			i = bitgetBook(b, i, d, p)
		case bbo:
			i = bitgetBBO(b, i, d, p)
		case ticker:
			i = bitgetTicker(b, i, d, p)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

func bitgetBook(b []byte, i int, d *Decoded, p *bitgetPush) int {
	from := len(d.Recs)
	var ts, sum int64
	var seq, prev uint64
	var got uint
	i, more := jsonscan.Open(b, i, '{')
	for more {
		key, at := jsonscan.Key(b, i)
		if at < 0 {
			return at
		}
		var bit uint
		switch string(key) {
		case "asks", "a":
			bit, i = 1, d.levels(b, at, md.SideAsk, false)
		case "bids", "b":
			bit, i = 2, d.levels(b, at, md.SideBid, false)
		case "ts":
			bit = 4
			ts, i = jsonscan.Time(b, at)
		case "checksum":
			bit = 8
			sum, i = jsonscan.Int(b, at)
		case "seq":
			bit = 16
			seq, i = jsonscan.Uint(b, at)
		case "pseq":
			bit = 32
			prev, i = jsonscan.Uint(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if got&bit != 0 {
			return jsonscan.Bad
		}
		got |= bit
		i, more = jsonscan.Next(b, i, '{')
	}
	if i < 0 || got&3 != 3 || seq > 1<<63-1 || prev > 1<<63-1 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, seq)
	ev := d.event(md.ChannelBook, p.native, p.class, from)
	ev.SeqLast, ev.SeqPrev = int64(seq), int64(prev)
	ev.Checksum, ev.HasChecksum = int64(int32(sum)), sum != 0
	return i
}

// bitgetBBOKeys are the members of books1 in the order of the document, then
// what v3 calls otherwise.
var bitgetBBOKeys = jsonscan.Names("asks", "bids", "checksum", "seq", "ts", "a", "b", "pseq").Or("a", "b", "checksum", "seq", "pseq", "ts")

func bitgetBBO(b []byte, i int, d *Decoded, p *bitgetPush) int {
	from := len(d.Recs)
	bid, ask := d.quotes()
	var ts int64
	var seq uint64
	var got uint
	k, at := jsonscan.First(b, i, bitgetBBOKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0, 5: // asks
			i = top(b, at, ask, false)
			got |= 1
		case 1, 6: // bids
			i = top(b, at, bid, false)
			got |= 2
		case 3: // seq
			seq, i = jsonscan.Uint(b, at)
		case 4: // ts
			ts, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, bitgetBBOKeys, k)
	}
	i = at
	if i < 0 || got != 3 {
		return jsonscan.Bad
	}
	bid.TsEvent, bid.ID, ask.TsEvent, ask.ID = ts, seq, ts, seq
	d.event(md.ChannelBBO, p.native, p.class, from).SeqLast = int64(seq)
	return i
}

// Sequence implements Venue.
func (Bitget) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty: // in flight from before a resubscription
		return VerdictIgnore
	case ev.SeqLast == 0 || b.Seq == 0: // not sent: the checksum decides
		return VerdictApply
	case ev.SeqLast <= b.Seq:
		return VerdictIgnore
	case ev.SeqPrev != 0 && ev.SeqPrev != b.Seq:
		return VerdictGap
	}
	return VerdictApply
}

// Checksum implements Venue.
func (Bitget) Checksum(b *Book) int64 { return interleavedChecksum(b) }

// SnapshotURL implements Venue: snapshots come in band.
func (Bitget) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Bitget) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("bitget: no REST snapshots: %w", ErrUnsupported)
}
