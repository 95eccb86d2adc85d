package feeds

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// BybitCategory is one of Bybit's markets, which share a dialect.
type BybitCategory uint8

// The markets.
const (
	BybitSpot    BybitCategory = iota
	BybitLinear                // perpetuals and dated futures in USDT and USDC
	BybitInverse               // perpetuals and dated futures margined in the coin
)

// Bybit is the public WebSocket of Bybit, API v5, one market each: spot, linear,
// inverse.
//
// The book rule (Doc, "Orderbook"): a snapshot replaces the book, also any time
// later (u = 1 after a restart of the service); each delta has u = previous u + 1.
// Level 1 is the bbo: whole since 2025, differences before. Tickers of contracts
// are a snapshot and then differences, put together per connection where a
// record needs several members: funding and open interest.
//
// Trade ids are UUIDs, on spot numbers. The side of a liquidation is that of the
// position ("Buy": a long was liquidated), so the forced order has the other.
// Turnover and open interest value of inverse contracts are in the coin, not in
// the quote, and are left out.
type Bybit struct{ Category BybitCategory }

var (
	_ Venue    = Bybit{}
	_ Stateful = Bybit{}
)

const bybitDepth = "200"

const bybitRule = "u = last u + 1"

var bybitSpecs = func() [3]Spec {
	spot := Spec{
		Name:  "bybit",
		Venue: md.VenueBybit,
		Doc:   "https://bybit-exchange.github.io/docs/v5/ws/connect",
		URL:   "wss://stream.bybit.com/v5/public/spot",
		REST:  "https://api.bybit.com",
		Channels: []ChannelSpec{
			{md.ChannelTrades, "publicTrade", ""},
			{md.ChannelBook, "orderbook." + bybitDepth, bybitRule},
			{md.ChannelBBO, "orderbook.1", ""},
			{md.ChannelTicker, "tickers", ""},
		},
		PriceExp: -8, SizeExp: -8,
		Ping: []byte(`{"op":"ping"}`), PingEvery: 20 * time.Second,
		DeadAfter:    60 * time.Second,
		MaxFrame:     4 << 20,
		SubsPerFrame: 10,
		SubsPerConn:  500, // the topics of a connection have 21,000 characters at most
		SendEvery:    100 * time.Millisecond,
		UniqueTrades: true,

		WholeRequests: true,
	}
	linear := spot
	linear.Name, linear.Venue, linear.URL = "bybit-linear", md.VenueBybitLinear, "wss://stream.bybit.com/v5/public/linear"
	linear.SubsPerFrame = 100
	linear.Channels = append(spot.Channels[:4:4],
		ChannelSpec{md.ChannelFunding, "tickers", ""},
		ChannelSpec{md.ChannelOpenInterest, "tickers", ""},
		ChannelSpec{md.ChannelLiquidations, "allLiquidation", ""})
	inverse := linear
	inverse.Name, inverse.Venue, inverse.URL = "bybit-inverse", md.VenueBybitInverse, "wss://stream.bybit.com/v5/public/inverse"
	return [3]Spec{spot, linear, inverse}
}()

// Spec implements Venue.
func (v Bybit) Spec() *Spec { return &bybitSpecs[v.Category] }

// Subscribe implements Venue.
func (v Bybit) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return v.request(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (v Bybit) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return v.request(dst, subs, "unsubscribe", rq)
}

func (v Bybit) request(dst [][]byte, subs []Sub, op string, rq *Requests) [][]byte {
	var args []string
	for _, s := range subs {
		topic := ""
		switch s.Channel {
		case md.ChannelTrades:
			topic = "publicTrade."
		case md.ChannelBook:
			topic = "orderbook." + bybitDepth + "."
		case md.ChannelBBO:
			topic = "orderbook.1."
		case md.ChannelTicker:
			topic = "tickers."
		case md.ChannelFunding:
			if s.Instrument.Expiry == 0 && v.Category != BybitSpot {
				topic = "tickers."
			}
		case md.ChannelOpenInterest:
			if v.Category != BybitSpot {
				topic = "tickers."
			}
		case md.ChannelLiquidations:
			if v.Category != BybitSpot {
				topic = "allLiquidation."
			}
		}
		if topic != "" {
			args = append(args, quoted(topic+s.Instrument.Native))
		}
	}
	// The number stands in front, so each frame is made by itself.
	args = slices.DeleteFunc(unique(args), rq.Held)
	spec := v.Spec()
	for len(args) > 0 {
		n := min(len(args), spec.SubsPerFrame)
		frame := func(id int, list string) []byte {
			return fmt.Appendf(nil, `{"req_id":"%d","op":"%s","args":[%s]}`, id, op, list)
		}
		dst = append(dst, frame(rq.ID, strings.Join(args[:n], ",")))
		rq.note(args[:n:n], frame)
		args = args[n:]
		rq.ID++
	}
	return dst
}

// bybitConn is what the tickers and quotes of a connection said.
type bybitConn struct {
	Bybit
	seen map[string]*bybitSeen // by instrument
}

// bybitSeen are the members of an instrument that differences leave out.
type bybitSeen struct {
	rate, next, hours int64
	rateExp           int8
	hasRate           bool
	open, value       int64
	openExp, valueExp int8
	hasOpen, hasValue bool
	bid, ask          md.Record
	quoted            bool
}

// NewConn implements Stateful.
func (v Bybit) NewConn() Conn { return &bybitConn{Bybit: v, seen: map[string]*bybitSeen{}} }

// Decode implements Conn.
func (c *bybitConn) Decode(frame []byte, d *Decoded) error { return bybitFrame(frame, d, c) }

// of is what was said of an instrument.
func (c *bybitConn) of(native []byte) *bybitSeen {
	s := c.seen[string(native)]
	if s == nil {
		s = new(bybitSeen)
		c.seen[string(native)] = s
	}
	return s
}

// Decode implements Venue. Without a connection differences mean nothing where a
// record needs more than they say.
func (v Bybit) Decode(frame []byte, d *Decoded) error {
	return bybitFrame(frame, d, &bybitConn{Bybit: v, seen: map[string]*bybitSeen{}})
}

// bybitPush is what surrounds the data of a pushed frame.
type bybitPush struct {
	kind, native []byte // of the topic
	snapshot     bool
	ts           int64
}

// bybitKeys are the members of frames: of pushes, then of answers.
var bybitKeys = jsonscan.Names("topic", "type", "ts", "data", "cts", "cs", "success", "ret_msg", "op", "req_id").
	Or("topic", "ts", "type", "data", "cts").
	Or("topic", "ts", "type", "cs", "data").
	Or("topic", "type", "data", "cs", "ts")

func bybitFrame(b []byte, d *Decoded, c *bybitConn) error {
	var p bybitPush
	var typ, op, msg []byte
	var cts int64
	refused := false
	data := 0
	var got once
	i := 0
	k, at := jsonscan.First(b, jsonscan.Space(b, 0), bybitKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, bybitKeys, k) {
		if at < 0 || !got.add(k) {
			return scanErr(at)
		}
		switch k {
		case 0:
			var topic []byte
			topic, i = jsonscan.Text(b, at)
			p.kind, p.native = bybitTopic(topic)
		case 1:
			typ, i = jsonscan.Text(b, at)
			p.snapshot = string(typ) == "snapshot"
		case 2:
			p.ts, i = jsonscan.Time(b, at)
		case 3:
			if got.have(1 | 1<<1) { // what the data means is known
				i = c.data(b, at, d, &p)
			} else {
				data, i = at, jsonscan.Skip(b, at)
			}
		case 4:
			cts, i = jsonscan.Time(b, at)
		case 6:
			var ok bool
			ok, i = jsonscan.Bool(b, at)
			refused = !ok
		case 7:
			msg, i = jsonscan.Text(b, at)
		case 8:
			op, i = jsonscan.Text(b, at)
		case 9:
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
	if data > 0 && p.kind != nil {
		if i = c.data(b, data, d, &p); i < 0 {
			return scanErr(i)
		}
	}
	if cts == 0 {
		cts = p.ts
	}
	for k := range d.Recs {
		if r := &d.Recs[k]; r.TsEvent == 0 {
			r.TsEvent = cts
		}
	}
	bybitControl(d, op, msg, refused)
	return nil
}

// bybitControl says what an answer means.
func bybitControl(d *Decoded, op, msg []byte, refused bool) {
	switch {
	case op == nil:
	case refused:
		d.Control, d.Text = ControlError, msg
		if bytes.HasPrefix(msg, []byte("error:already subscribed")) {
			d.Control = ControlHeld
		}
	case string(op) == "pong" || string(op) == "ping":
		d.Control = ControlPong
	default:
		d.Control = ControlAck
	}
}

// bybitTopic splits orderbook.200.BTCUSDT at the last point.
func bybitTopic(topic []byte) (kind, native []byte) {
	for i := len(topic) - 1; i >= 0; i-- {
		if topic[i] == '.' {
			return topic[:i], topic[i+1:]
		}
	}
	return topic, nil
}

// data decodes the data at i, which is an array where there may be several.
func (c *bybitConn) data(b []byte, i int, d *Decoded, p *bybitPush) int {
	switch string(p.kind) {
	case "publicTrade":
		return bybitTrades(b, i, d, p)
	case "orderbook.1":
		return c.bbo(b, i, d, p)
	case "orderbook.50", "orderbook.200", "orderbook.500", "orderbook.1000":
		return bybitBook(b, i, d, p)
	case "tickers":
		return c.ticker(b, i, d, p)
	case "allLiquidation":
		return bybitLiquidations(b, i, d, p)
	}
	return jsonscan.Skip(b, i)
}

var bybitBookKeys = jsonscan.Names("s", "b", "a", "u", "seq")

// bybitLevels reads the members of a book at i and returns the ids.
func bybitLevels(b []byte, i int, d *Decoded) (u uint64, next int) {
	var got once
	k, at := jsonscan.First(b, i, bybitBookKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, bybitBookKeys, k) {
		if at < 0 || !got.add(k) {
			return 0, jsonscan.Bad
		}
		switch k {
		case 1:
			i = d.levels(b, at, md.SideBid, false)
		case 2:
			i = d.levels(b, at, md.SideAsk, false)
		case 3:
			u, i = jsonscan.Uint(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return 0, i
		}
	}
	if at < 0 || !got.have(1<<1|1<<2|1<<3) || u > 1<<63-1 {
		return 0, jsonscan.Bad
	}
	return u, at
}

func bybitBook(b []byte, i int, d *Decoded, p *bybitPush) int {
	from := len(d.Recs)
	u, i := bybitLevels(b, i, d)
	if i < 0 {
		return i
	}
	d.stamp(from, 0, u)
	ev := d.event(md.ChannelBook, p.native, nil, from)
	ev.SeqLast = int64(u)
	if p.snapshot || u == 1 {
		ev.Action = ActionReplace
	}
	return i
}

// bbo decodes level 1. A difference has the new best level of a side, and may
// have the one that it replaces with a size of 0.
func (c *bybitConn) bbo(b []byte, i int, d *Decoded, p *bybitPush) int {
	from := len(d.Recs)
	u, i := bybitLevels(b, i, d)
	if i < 0 {
		return i
	}
	seen := c.of(p.native)
	if p.snapshot {
		seen.quoted = true
		seen.bid = md.Record{Kind: md.KindBBO, Side: md.SideBid, Price: md.Absent}
		seen.ask = md.Record{Kind: md.KindBBO, Side: md.SideAsk, Price: md.Absent}
	}
	for k := from; k < len(d.Recs); k++ {
		r := &d.Recs[k]
		q := &seen.bid
		if r.Side == md.SideAsk {
			q = &seen.ask
		}
		switch {
		case r.Size > 0:
			q.Price, q.Size, q.PriceExp, q.SizeExp = r.Price, r.Size, r.PriceExp, r.SizeExp
		case q.Price != md.Absent && md.Cmp(q.Price, q.PriceExp, r.Price, r.PriceExp) == 0:
			q.Price, q.Size, q.PriceExp, q.SizeExp = md.Absent, 0, 0, 0
		}
	}
	d.Recs = d.Recs[:from]
	if !seen.quoted { // a difference before the snapshot
		return i
	}
	bid, ask := d.quotes()
	*bid, *ask = seen.bid, seen.ask
	d.stamp(from, 0, u)
	d.event(md.ChannelBBO, p.native, nil, from).SeqLast = int64(u)
	return i
}

// Sequence implements Venue.
func (Bybit) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty: // in flight from before a resubscription
		return VerdictIgnore
	case ev.SeqLast == b.Seq+1:
		return VerdictApply
	case ev.SeqLast <= b.Seq:
		return VerdictIgnore
	}
	return VerdictGap
}

// Checksum implements Venue: Bybit sends none.
func (Bybit) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue: snapshots come in band.
func (Bybit) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (v Bybit) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("%s: no REST snapshots: %w", v.Spec().Name, ErrUnsupported)
}
