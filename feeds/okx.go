package feeds

import (
	"fmt"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// OKX is the public WebSocket of OKX, API v5: spot, swaps, futures, options.
//
// The book rule (Doc, "Order book channel"): a snapshot has prevSeqId -1, an
// update chains by prevSeqId equal to the last seqId. Equal numbers without
// levels are keep-alives; after maintenance seqId may be lower than prevSeqId,
// which still chains. Frames of before seqId existed are checked by their
// checksum, which newer ones send as 0.
//
// The index of a swap or a future comes under the index's own name and is told of
// each instrument whose mark price the connection has subscribed to. The channel
// status tells of maintenance (okx_index.go).
type OKX struct{ key, secret, passphrase string }

var _ Venue = OKX{}

const okxRule = "prevSeqId = last seqId; CRC-32 of the 25 best levels where it is sent and not 0"

var okxSpec = Spec{
	Name:  "okx",
	Venue: md.VenueOKX,
	Doc:   "https://www.okx.com/docs-v5/en/#order-book-trading-market-data",
	URL:   "wss://ws.okx.com:8443/ws/v5/public",
	REST:  "https://www.okx.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trades", ""},
		{md.ChannelBook, "books", okxRule},
		{md.ChannelBBO, "bbo-tbt", ""},
		{md.ChannelTicker, "tickers, mark-price, index-tickers", ""},
		{md.ChannelFunding, "funding-rate", ""},
		{md.ChannelOpenInterest, "open-interest", ""},
		{md.ChannelLiquidations, "liquidation-orders", ""},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte("ping"), PingEvery: 20 * time.Second,
	DeadAfter:    45 * time.Second,
	MaxFrame:     4 << 20,
	SubsPerFrame: 100,
	SubsPerConn:  480,
	SendEvery:    350 * time.Millisecond,
	RisingTrades: true, // the last trade is pushed again at each subscription
	MergeBooks:   true,
}

// Spec implements Venue.
func (v OKX) Spec() *Spec {
	if v.key != "" {
		return &okxTickSpec
	}
	return &okxSpec
}

// Subscribe implements Venue.
func (v OKX) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return v.request(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (v OKX) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return v.request(dst, subs, "unsubscribe", rq)
}

func (v OKX) request(dst [][]byte, subs []Sub, op string, rq *Requests) [][]byte {
	var args []string
	for _, s := range subs {
		swap := s.Instrument.Kind == md.InstrumentPerp || s.Instrument.Kind == md.InstrumentPerpInverse
		var channels []string
		switch s.Channel {
		case md.ChannelTrades:
			channels = []string{"trades"}
		case md.ChannelBook:
			channels = []string{v.books()}
		case md.ChannelBBO:
			channels = []string{"bbo-tbt"}
		case md.ChannelTicker:
			channels = []string{"tickers"}
			if s.Instrument.Kind > md.InstrumentSpot {
				channels = []string{"tickers", "mark-price"}
			}
			if index := okxIndexOf(s.Instrument.Native); index != "" {
				args = append(args, `{"channel":"index-tickers","instId":`+quoted(index)+`}`)
			}
		case md.ChannelFunding:
			if swap {
				channels = []string{"funding-rate"}
			}
		case md.ChannelOpenInterest:
			if s.Instrument.Kind > md.InstrumentSpot {
				channels = []string{"open-interest"}
			}
		case md.ChannelLiquidations:
			if arg := okxLiquidationArg(s.Instrument); arg != "" {
				args = append(args, arg)
			}
		}
		for _, c := range channels {
			args = append(args, `{"channel":"`+c+`","instId":`+quoted(s.Instrument.Native)+`}`)
		}
	}
	tail := func(int) string { return "]}" }
	return requests(dst, args, `{"op":"`+op+`","args":[`, tail, rq, okxSpec.SubsPerFrame, 64<<10)
}

// Decode implements Venue for a connection that has subscribed to no index.
func (OKX) Decode(frame []byte, d *Decoded) error { return okxFrame(frame, d, nil) }

// okxFrame decodes a frame of a connection that has said c before.
func okxFrame(frame []byte, d *Decoded, c *okxConn) error {
	if string(frame) == "pong" {
		d.Control = ControlPong
		return nil
	}
	var action, event, code, msg []byte
	data := 0 // index of a data array that came before its arg
	channel, native, i, more := okxUsual(frame, d)
	for more {
		var key []byte
		if key, i = jsonscan.Key(frame, i); i < 0 {
			break
		}
		switch string(key) {
		case "arg":
			channel, native, i = okxArg(frame, i)
		case "action":
			action, i = jsonscan.Text(frame, i)
		case "data":
			if channel == nil {
				data, i = i, jsonscan.Skip(frame, i)
			} else {
				i = okxData(frame, i, d, channel, native)
			}
		case "event":
			event, i = jsonscan.Text(frame, i)
		case "code":
			at := i
			if i = jsonscan.Skip(frame, i); i > at {
				code = frame[at:i]
			}
		case "msg":
			msg, i = jsonscan.Text(frame, i)
		case "table": // API v3
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
	if data > 0 && channel != nil {
		if i = okxData(frame, data, d, channel, native); i < 0 {
			return scanErr(i)
		}
	}
	if string(action) == "snapshot" {
		for k := range d.Events {
			d.Events[k].Action = ActionReplace
		}
	}
	if event != nil {
		okxControl(d, event, code, msg)
		c.answered(event, channel, native)
	} else if string(channel) == "index-tickers" {
		c.spread(d)
	}
	return nil
}

// okxHeadKeys are the members that nearly every push begins with.
var okxHeadKeys = jsonscan.Names("arg", "channel", "instId", "data")

// okxUsual reads how nearly every push begins, and its data where it comes next;
// of any other frame only the opening brace.
func okxUsual(b []byte, d *Decoded) (channel, native []byte, next int, more bool) {
	n := okxHeadKeys
	i := n[0].Opens(b, 0)
	channel, i = jsonscan.Text(b, n[1].Opens(b, i))
	native, i = jsonscan.Text(b, n[2].After(b, i))
	if i = jsonscan.Literal(b, i, `}`); i < 0 {
		next, more = jsonscan.Open(b, jsonscan.Space(b, 0), '{')
		return nil, nil, next, more
	}
	if at := n[3].After(b, i); at >= 0 {
		if i = okxData(b, at, d, channel, native); i < 0 {
			return channel, native, i, false
		}
	}
	next, more = jsonscan.Next(b, i, '{')
	return channel, native, next, more
}

func okxArg(b []byte, i int) (channel, native []byte, next int) {
	i, more := jsonscan.Open(b, i, '{')
	for more {
		var key []byte
		if key, i = jsonscan.Key(b, i); i < 0 {
			return nil, nil, i
		}
		switch string(key) {
		case "channel":
			channel, i = jsonscan.Text(b, i)
		case "instId":
			native, i = jsonscan.Text(b, i)
		default:
			i = jsonscan.Skip(b, i)
		}
		if i < 0 {
			return nil, nil, i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	return channel, native, i
}

// okxData decodes the data array at i, one element after the other; trades of
// one frame are one event.
func okxData(b []byte, i int, d *Decoded, channel, native []byte) int {
	var each func(b []byte, i int, d *Decoded, native []byte) int
	switch string(channel) {
	case "trades", "trades-all":
		return okxTrades(b, i, d, native)
	case "books", "books-l2-tbt", "books50-l2-tbt":
		each = okxBook
	case "bbo-tbt":
		each = okxBBO
	case "tickers", "mark-price":
		each = okxTicker
	case "funding-rate":
		each = okxFunding
	case "open-interest":
		each = okxOpenInterest
	case "liquidation-orders":
		each = okxLiquidations
	case "index-tickers":
		each = okxIndex
	case "status":
		each = okxStatus
	default:
		return jsonscan.Skip(b, i)
	}
	i, more := jsonscan.Open(b, i, '[')
	for more {
		if i = each(b, i, d, native); i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

func okxBook(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	var ts, seq, prev, sum int64
	var got uint
	i, more := jsonscan.Open(b, i, '{')
	for more {
		key, at := jsonscan.Key(b, i)
		if at < 0 {
			return at
		}
		var bit uint
		switch string(key) {
		case "asks":
			bit, i = 1, d.levels(b, at, md.SideAsk, true)
		case "bids":
			bit, i = 2, d.levels(b, at, md.SideBid, true)
		case "ts":
			bit = 4
			ts, i = jsonscan.Time(b, at)
		case "checksum":
			bit = 8
			sum, i = jsonscan.Int(b, at)
		case "seqId":
			bit = 16
			seq, i = jsonscan.Int(b, at)
		case "prevSeqId":
			bit = 32
			prev, i = jsonscan.Int(b, at)
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
	if i < 0 || got&7 != 7 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, uint64(max(seq, 0)))
	ev := d.event(md.ChannelBook, native, nil, from)
	ev.SeqLast, ev.SeqPrev = seq, prev
	ev.Checksum, ev.HasChecksum = int64(int32(sum)), sum != 0
	return i
}

// okxBBOKeys are the members of bbo-tbt in the order of the document.
var okxBBOKeys = jsonscan.Names("asks", "bids", "ts", "checksum", "seqId")

func okxBBO(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	bid, ask := d.quotes()
	var ts int64
	var seq uint64
	var got uint
	k, at := jsonscan.First(b, i, okxBBOKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0: // asks
			i = top(b, at, ask, true)
			got |= 1
		case 1: // bids
			i = top(b, at, bid, true)
			got |= 2
		case 2: // ts
			ts, i = jsonscan.Time(b, at)
		case 4: // seqId
			seq, i = jsonscan.Uint(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, okxBBOKeys, k)
	}
	i = at
	if i < 0 || got != 3 {
		return jsonscan.Bad
	}
	bid.TsEvent, bid.ID, ask.TsEvent, ask.ID = ts, seq, ts, seq
	d.event(md.ChannelBBO, native, nil, from).SeqLast = int64(seq)
	return i
}

func okxTrades(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	i, more := jsonscan.Open(b, i, '[')
	for more {
		var text []byte
		if text, i = okxTrade(b, i, d); i < 0 {
			return i
		}
		if text != nil { // an event of its own carries the id's text
			if n := len(d.Recs) - 1; n > from {
				d.Events = append(d.Events, Event{Channel: md.ChannelTrades, Native: native, From: from, To: n})
				from = n
			}
			d.event(md.ChannelTrades, native, nil, from).Text = text
			from = len(d.Recs)
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if i >= 0 && len(d.Recs) > from {
		d.event(md.ChannelTrades, native, nil, from)
	}
	return i
}

// okxTradeKeys are the members of a trade in the order of the document.
var okxTradeKeys = jsonscan.Names("instId", "tradeId", "px", "sz", "side", "ts", "count", "source", "seqId")

// okxUsualTrade reads the members that nearly every trade begins with into r and
// returns the index behind the last of them, or a negative one.
func okxUsualTrade(b []byte, i int, r *md.Record) int {
	n := okxTradeKeys
	i = jsonscan.Skip(b, n[0].Opens(b, i))
	r.ID, i = jsonscan.Uint(b, n[1].After(b, i))
	r.Price, r.PriceExp, i = jsonscan.Number(b, n[2].After(b, i))
	r.Size, r.SizeExp, i = jsonscan.Number(b, n[3].After(b, i))
	r.Side, i = aggressor(b, n[4].After(b, i))
	r.TsEvent, i = jsonscan.Time(b, n[5].After(b, i))
	if at := n[6].After(b, i); at >= 0 {
		var count uint64
		count, i = jsonscan.Uint(b, at)
		r.Count = uint32(min(count, 1<<32-1))
		if at = n[7].After(b, i); at >= 0 {
			i = jsonscan.Skip(b, at)
		}
	}
	return i
}

func okxTrade(b []byte, i int, d *Decoded) (text []byte, next int) {
	const needed = 1<<2 | 1<<3 | 1<<5
	r := d.slot(md.KindTrade)
	r.Count = 1
	var got uint
	var k, at int
	if n := okxUsualTrade(b, i, r); n >= 0 {
		got = needed
		k, at = jsonscan.Member(b, n, okxTradeKeys, 7)
	} else {
		*r = md.Record{Kind: md.KindTrade, Count: 1}
		k, at = jsonscan.First(b, i, okxTradeKeys)
	}
	for k != jsonscan.Closed {
		if at < 0 {
			return nil, at
		}
		switch k {
		case 1: // tradeId
			r.ID, text, i = jsonscan.ID(b, at)
		case 2: // px
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 3: // sz
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 4: // side
			r.Side, i = aggressor(b, at)
		case 5: // ts
			r.TsEvent, i = jsonscan.Time(b, at)
		case 6: // count
			var n uint64
			n, i = jsonscan.Uint(b, at)
			r.Count = uint32(min(n, 1<<32-1))
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return nil, i
		}
		got |= 1 << (uint(k) & 63)
		k, at = jsonscan.Member(b, i, okxTradeKeys, k)
	}
	i = at
	if i < 0 || got&needed != needed || r.Size < 0 {
		return nil, jsonscan.Bad
	}
	if text != nil {
		r.Flags = md.FlagIDHash
	}
	return text, i
}

// Sequence implements Venue.
func (OKX) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty: // in flight from before a resubscription
		return VerdictIgnore
	case ev.SeqLast == 0 && ev.SeqPrev == 0: // not sent: the checksum decides
		return VerdictApply
	case ev.SeqPrev != b.Seq:
		return VerdictGap
	case ev.SeqLast == ev.SeqPrev && ev.From == ev.To:
		return VerdictIgnore
	}
	return VerdictApply
}

// Checksum implements Venue.
func (OKX) Checksum(b *Book) int64 { return interleavedChecksum(b) }

// SnapshotURL implements Venue: snapshots come in band.
func (OKX) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (OKX) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("okx: no REST snapshots: %w", ErrUnsupported)
}
