package feeds

import (
	"fmt"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// KrakenFutures is the public market of Kraken Futures, WebSocket v1. Sizes are
// contracts.
//
// The book rule (Doc, "Book"): book_snapshot has a seq, each book message, one
// level, the next number of the product. Trades are numbered likewise; their
// number is the id here, since it tells of losses, and the uid is not passed on.
type KrakenFutures struct{}

var (
	_ Venue  = KrakenFutures{}
	_ Opener = KrakenFutures{}
)

var krakenFuturesSpec = Spec{
	Name:  "kraken-futures",
	Venue: md.VenueKrakenFutures,
	Doc:   "https://docs.kraken.com/api/docs/futures-api/websocket/book",
	URL:   "wss://futures.kraken.com/ws/v1",
	REST:  "https://futures.kraken.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trade", "seq = last + 1"},
		{md.ChannelBook, "book", "seq = last + 1"},
		{md.ChannelBBO, "ticker (once a second at most)", ""},
		{md.ChannelTicker, "ticker", ""},
		{md.ChannelFunding, "ticker", ""},
		{md.ChannelOpenInterest, "ticker", ""},
		{md.ChannelLiquidations, "trade (type liquidation)", ""},
		{md.ChannelStatus, "ticker", ""},
	},
	PriceExp: -4, SizeExp: 0,
	PingEvery:         25 * time.Second, // a ping a minute is asked for
	DeadAfter:         60 * time.Second, // a heartbeat comes every few seconds
	MaxFrame:          8 << 20,
	SubsPerFrame:      100,
	SendEvery:         50 * time.Millisecond,
	ConsecutiveTrades: true,
	BlindRefusals:     true,
}

// Spec implements Venue.
func (KrakenFutures) Spec() *Spec { return &krakenFuturesSpec }

// Open implements Opener: a feed that says that the connection lives.
func (KrakenFutures) Open(dst [][]byte, _ *Requests) [][]byte {
	return append(dst, []byte(`{"event":"subscribe","feed":"heartbeat"}`))
}

// Subscribe implements Venue.
func (KrakenFutures) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return krakenFuturesRequest(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (KrakenFutures) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return krakenFuturesRequest(dst, subs, "unsubscribe", rq)
}

// krakenFuturesFeed is the stream that a channel of ours is in.
func krakenFuturesFeed(ch md.Channel) string {
	switch ch {
	case md.ChannelTrades, md.ChannelLiquidations:
		return "trade"
	case md.ChannelBook:
		return "book"
	}
	return "ticker"
}

func krakenFuturesRequest(dst [][]byte, subs []Sub, event string, rq *Requests) [][]byte {
	for _, feed := range [...]string{"trade", "book", "ticker"} {
		var args []string
		for _, s := range subs {
			if krakenFuturesFeed(s.Channel) == feed {
				args = append(args, quoted(s.Instrument.Native))
			}
		}
		head := `{"event":"` + event + `","feed":"` + feed + `","product_ids":[`
		dst = requests(dst, args, head, func(int) string { return "]}" }, rq, krakenFuturesSpec.SubsPerFrame, 32<<10)
	}
	return dst
}

// krakenFuturesKeys are the members of book, trade and control messages; those of
// the first two in the order of the document, book first.
var krakenFuturesKeys = jsonscan.Names("feed", "product_id", "side", "seq", "price", "qty", "timestamp",
	"uid", "type", "time", "event", "message", "bids", "asks", "trades", "tickSize").
	Or("feed", "product_id", "uid", "side", "type", "seq", "time", "qty", "price")

// Indexes of members beyond those of a level.
const (
	krakenFuturesType = iota + 8
	krakenFuturesTime
	krakenFuturesEvent
	krakenFuturesMessage
	krakenFuturesBids
	krakenFuturesAsks
	krakenFuturesTrades
)

// Decode implements Venue.
func (KrakenFutures) Decode(frame []byte, d *Decoded) error {
	i := jsonscan.Space(frame, 0)
	feed, at := jsonscan.Text(frame, krakenFuturesKeys[0].Opens(frame, i))
	if krakenFuturesTickerKeys[0].Opens(frame, i) >= 0 { // time: a ticker, as nearly always
		if n := krakenFuturesTicker(frame, i, d); n >= 0 && jsonscan.End(frame, n) {
			return nil
		}
		d.Reset()
	}
	if at < 0 && jsonscan.Find(frame, i, "event") == nil { // feed is not the first member
		if feed = jsonscan.Find(frame, i, "feed"); feed != nil {
			feed, _ = jsonscan.Text(feed, 0)
		}
	}
	switch string(feed) {
	case "ticker", "ticker_lite":
		i = krakenFuturesTicker(frame, i, d)
	default:
		i = krakenFuturesMessageAt(frame, i, d)
	}
	if i < 0 || !jsonscan.End(frame, i) {
		return scanErr(i)
	}
	return nil
}

// krakenFuturesFrame is what a message that is no ticker says.
type krakenFuturesFrame struct {
	feed, native, kind   []byte
	event, message       []byte
	r                    md.Record
	seq                  int64
	side                 uint8
	got                  uint
	bids, asks, trades   int // indexes
	timestamp, tradeTime int64
}

func krakenFuturesMessageAt(b []byte, i int, d *Decoded) int {
	var m krakenFuturesFrame
	k, at := jsonscan.First(b, i, krakenFuturesKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		if i = m.member(b, at, k); i < 0 {
			return i
		}
		if k >= 0 {
			if m.got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			m.got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, krakenFuturesKeys, k)
	}
	if at < 0 {
		return at
	}
	if m.event != nil {
		m.control(d)
		return at
	}
	var n int
	switch string(m.feed) {
	case "book":
		n = m.book(d)
	case "book_snapshot":
		n = m.snapshot(b, d)
	case "trade":
		n = m.trade(d, false)
	case "trade_snapshot":
		n = m.history(b, d)
	}
	if n < 0 {
		return n
	}
	return at
}

// member reads the value of a member.
func (m *krakenFuturesFrame) member(b []byte, at, k int) (next int) {
	switch k {
	case 0:
		m.feed, next = jsonscan.Text(b, at)
	case 1:
		m.native, next = jsonscan.Text(b, at)
	case 2:
		m.side, next = aggressor(b, at)
	case 3:
		m.seq, next = jsonscan.Int(b, at)
	case 4:
		m.r.Price, m.r.PriceExp, next = jsonscan.Number(b, at)
	case 5:
		m.r.Size, m.r.SizeExp, next = jsonscan.Number(b, at)
	case 6:
		m.timestamp, next = jsonscan.Time(b, at)
	case krakenFuturesType:
		m.kind, next = jsonscan.Text(b, at)
	case krakenFuturesTime:
		m.tradeTime, next = jsonscan.Time(b, at)
	case krakenFuturesEvent:
		m.event, next = jsonscan.Text(b, at)
	case krakenFuturesMessage:
		m.message, next = jsonscan.Text(b, at)
	case krakenFuturesBids:
		m.bids, next = at, jsonscan.Skip(b, at)
	case krakenFuturesAsks:
		m.asks, next = at, jsonscan.Skip(b, at)
	case krakenFuturesTrades:
		m.trades, next = at, jsonscan.Skip(b, at)
	default:
		next = jsonscan.Skip(b, at)
	}
	return next
}

func (m *krakenFuturesFrame) control(d *Decoded) {
	d.Text = m.message
	switch string(m.event) {
	case "subscribed", "unsubscribed":
		d.Control = ControlAck
	case "error", "subscribed_failed", "unsubscribed_failed":
		d.Control = ControlError
		if d.Text == nil {
			d.Text = m.event
		}
	case "alert":
		d.Control = ControlNotice
	}
}

// book is one level. Old ones have no time.
func (m *krakenFuturesFrame) book(d *Decoded) int {
	const needed = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5
	if m.got&needed != needed || m.side == md.SideUnknown || m.r.Size < 0 || m.seq < 0 {
		return jsonscan.Bad
	}
	r := d.slot(md.KindBook)
	r.Price, r.Size, r.PriceExp, r.SizeExp = m.r.Price, m.r.Size, m.r.PriceExp, m.r.SizeExp
	r.Side, r.TsEvent, r.ID = m.side, m.timestamp, uint64(m.seq)
	d.event(md.ChannelBook, m.native, nil, len(d.Recs)-1).SeqLast = m.seq
	return 0
}

func (m *krakenFuturesFrame) snapshot(b []byte, d *Decoded) int {
	const needed = 1<<1 | 1<<3
	if m.got&needed != needed || m.bids == 0 || m.asks == 0 || m.seq < 0 {
		return jsonscan.Bad
	}
	from := len(d.Recs)
	if n := d.levelObjects(b, m.bids, md.SideBid, krakenLevelKeys); n < 0 {
		return n
	}
	if n := d.levelObjects(b, m.asks, md.SideAsk, krakenLevelKeys); n < 0 {
		return n
	}
	d.stamp(from, m.timestamp, uint64(m.seq))
	ev := d.event(md.ChannelBook, m.native, nil, from)
	ev.Action, ev.SeqLast = ActionReplace, m.seq
	return 0
}

// trade adds a trade, and beside it the liquidation that it was. The side is the
// taker's, which is whose position is closed.
func (m *krakenFuturesFrame) trade(d *Decoded, history bool) int {
	const needed = 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<krakenFuturesTime
	if m.got&needed != needed || m.r.Size < 0 || m.seq < 0 {
		return jsonscan.Bad
	}
	r := d.slot(md.KindTrade)
	r.Price, r.Size, r.PriceExp, r.SizeExp = m.r.Price, m.r.Size, m.r.PriceExp, m.r.SizeExp
	r.Side, r.TsEvent, r.ID, r.Count = m.side, m.tradeTime, uint64(m.seq), 1
	if history {
		return 0
	}
	d.event(md.ChannelTrades, m.native, nil, len(d.Recs)-1)
	if string(m.kind) == "liquidation" && m.side != md.SideUnknown {
		l := *r
		l.Kind, l.Count = md.KindLiquidation, 0
		d.add(l)
		d.event(md.ChannelLiquidations, m.native, nil, len(d.Recs)-1)
	}
	return 0
}

// history is the trades before the subscription, newest first.
func (m *krakenFuturesFrame) history(b []byte, d *Decoded) int {
	if m.got&2 == 0 || m.trades == 0 {
		return jsonscan.Bad
	}
	from := len(d.Recs)
	i, more := jsonscan.Open(b, m.trades, '[')
	for more {
		var t krakenFuturesFrame
		k, at := jsonscan.First(b, i, krakenFuturesKeys)
		for k != jsonscan.Closed {
			if at < 0 {
				return at
			}
			if i = t.member(b, at, k); i < 0 {
				return i
			}
			if k >= 0 {
				t.got |= 1 << uint(k)
			}
			k, at = jsonscan.Member(b, i, krakenFuturesKeys, k)
		}
		if at < 0 || t.trade(d, true) < 0 {
			return jsonscan.Bad
		}
		i, more = jsonscan.Next(b, at, '[')
	}
	if i >= 0 && len(d.Recs) > from {
		d.event(md.ChannelTrades, m.native, nil, from).Action = ActionReplace
	}
	return i
}

// Sequence implements Venue.
func (KrakenFutures) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty: // in flight from before a resubscription
		return VerdictIgnore
	case ev.SeqLast <= b.Seq:
		return VerdictIgnore
	case ev.SeqLast != b.Seq+1:
		return VerdictGap
	}
	return VerdictApply
}

// Checksum implements Venue: there is none.
func (KrakenFutures) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue: snapshots come in band.
func (KrakenFutures) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (KrakenFutures) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("kraken-futures: no REST snapshots: %w", ErrUnsupported)
}
