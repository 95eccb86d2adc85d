package feeds

import (
	"fmt"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Kraken is the public spot market of Kraken, WebSocket API v2. Frames of v1,
// which recordings hold, are decoded too (kraken_v1.go).
//
// The book rule (Doc, "Book checksums", and the page of the book channel): a
// snapshot, then absolute sizes. A side has as many levels as were subscribed;
// those that are pushed out are not told, so they are cut off after each message.
// Then the CRC-32 of the ten best asks and bids, in the digits of the wire, must
// be the one that was sent. There are no sequence numbers.
type Kraken struct{}

var _ Venue = Kraken{}

const (
	krakenDepth = 1000 // the deepest that can be subscribed
	krakenRule  = "depth cut after each update; CRC-32 of the 10 best levels"
)

var krakenSpec = Spec{
	Name:  "kraken",
	Venue: md.VenueKraken,
	Doc:   "https://docs.kraken.com/api/docs/guides/spot-ws-book-v2",
	URL:   "wss://ws.kraken.com/v2",
	REST:  "https://api.kraken.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trade", "trade_id = last + 1"},
		{md.ChannelBook, "book", krakenRule},
		{md.ChannelBBO, "ticker (event_trigger bbo)", ""},
		{md.ChannelTicker, "ticker", ""},
		{md.ChannelStatus, "instrument", ""},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte(`{"method":"ping"}`), PingEvery: 15 * time.Second,
	DeadAfter:         40 * time.Second, // a heartbeat comes about every second
	MaxFrame:          8 << 20,
	SubsPerFrame:      100,
	SendEvery:         100 * time.Millisecond,
	ConsecutiveTrades: true,
	BlindBooks:        true,
	BookDepth:         krakenDepth,
}

// Spec implements Venue.
func (Kraken) Spec() *Spec { return &krakenSpec }

// Subscribe implements Venue.
func (Kraken) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return krakenRequest(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (Kraken) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return krakenRequest(dst, subs, "unsubscribe", rq)
}

// krakenRequest names one channel per frame. Ticker and bbo are one stream.
func krakenRequest(dst [][]byte, subs []Sub, method string, rq *Requests) [][]byte {
	head := `{"method":"` + method + `","params":{"channel":`
	for _, c := range [...]struct {
		params   string
		channels [2]md.Channel
	}{
		{`"trade","snapshot":false,"symbol":[`, [2]md.Channel{md.ChannelTrades}},
		{fmt.Sprintf(`"book","depth":%d,"symbol":[`, krakenDepth), [2]md.Channel{md.ChannelBook}},
		{`"ticker","event_trigger":"bbo","symbol":[`, [2]md.Channel{md.ChannelBBO, md.ChannelTicker}},
		{`"instrument"`, [2]md.Channel{md.ChannelStatus}},
	} {
		var args []string
		for _, s := range subs {
			if s.Channel == c.channels[0] || s.Channel == c.channels[1] {
				args = append(args, quoted(s.Instrument.Native))
			}
		}
		if c.channels[0] == md.ChannelStatus { // one stream for all instruments
			if len(args) > 0 && !rq.Held(c.params) {
				dst = append(dst, fmt.Appendf(nil, `%s%s},"req_id":%d}`, head, c.params, rq.ID))
				rq.ID++
			}
			continue
		}
		tail := func(id int) string { return fmt.Sprintf(`]},"req_id":%d}`, id) }
		dst = requests(dst, args, head+c.params, tail, rq, krakenSpec.SubsPerFrame, 32<<10)
	}
	return dst
}

// krakenKeys are the members of messages: pushes have the first three, answers
// those up to result, v1 the rest.
var krakenKeys = jsonscan.Names("channel", "type", "data", "method", "success", "error", "result",
	"event", "status", "errorMessage")

// krakenMessage is what a message says beside its data.
type krakenMessage struct {
	channel, kind []byte
	method, event []byte
	status, text  []byte
	data          int // index, 0 if none
	refused       bool
}

// Decode implements Venue.
func (Kraken) Decode(frame []byte, d *Decoded) error {
	root := jsonscan.Space(frame, 0)
	var i int
	if root < len(frame) && frame[root] == '[' {
		i = krakenV1(frame, root, d)
	} else {
		i = krakenObject(frame, root, d)
	}
	if i < 0 || !jsonscan.End(frame, i) {
		return scanErr(i)
	}
	return nil
}

func krakenObject(b []byte, i int, d *Decoded) int {
	var m krakenMessage
	k, at, got := 0, 0, uint(0)
	n := krakenKeys
	m.channel, i = jsonscan.Text(b, n[0].Opens(b, i))
	m.kind, i = jsonscan.Text(b, n[1].After(b, i))
	if v := n[2].After(b, i); v >= 0 { // as nearly every push begins
		if i = krakenData(b, v, d, m.channel, m.kind); i < 0 {
			return i
		}
		got = 7
		k, at = jsonscan.Member(b, i, n, 2)
	} else {
		m = krakenMessage{}
		k, at = jsonscan.First(b, jsonscan.Space(b, 0), n)
	}
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		if i = m.member(b, at, k); i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, n, k)
	}
	if at < 0 {
		return at
	}
	if m.data > 0 && m.channel != nil {
		if i = krakenData(b, m.data, d, m.channel, m.kind); i < 0 {
			return i
		}
	}
	m.control(d)
	return at
}

// member reads the value of a member that is no usual push's.
func (m *krakenMessage) member(b []byte, at, k int) (next int) {
	switch k {
	case 0:
		m.channel, next = jsonscan.Text(b, at)
	case 1:
		m.kind, next = jsonscan.Text(b, at)
	case 2:
		m.data, next = at, jsonscan.Skip(b, at)
	case 3:
		m.method, next = jsonscan.Text(b, at)
	case 4:
		var ok bool
		ok, next = jsonscan.Bool(b, at)
		m.refused = !ok
	case 5, 9:
		if jsonscan.IsNull(b, at) {
			return jsonscan.Skip(b, at)
		}
		m.text, next = jsonscan.Text(b, at)
	case 7:
		m.event, next = jsonscan.Text(b, at)
	case 8:
		m.status, next = jsonscan.Text(b, at)
	default:
		next = jsonscan.Skip(b, at)
	}
	return next
}

// control says what an answer or an event means for the session.
func (m *krakenMessage) control(d *Decoded) {
	switch {
	case m.text != nil || m.refused:
		d.Control, d.Text = ControlError, m.text
	case string(m.method) == "pong" || string(m.event) == "pong":
		d.Control = ControlPong
	case m.method != nil:
		d.Control = ControlAck
	case string(m.event) == "subscriptionStatus":
		d.Control = ControlAck
	case string(m.event) == "systemStatus":
		krakenSystem(d, m.status)
	}
}

// krakenSystem is the state of the whole venue: online, maintenance, or one in
// which orders are restricted.
func krakenSystem(d *Decoded, status []byte) {
	switch string(status) {
	case "online", "":
	case "maintenance":
		d.Control, d.Text = ControlMaintenance, status
	default:
		d.Control, d.Text = ControlNotice, status
	}
}

// krakenData decodes the data of a push.
func krakenData(b []byte, i int, d *Decoded, channel, kind []byte) int {
	var each func(b []byte, i int, d *Decoded) int
	switch string(channel) {
	case "book":
		each = krakenBook
	case "trade":
		return krakenTrades(b, i, d, string(kind) == "snapshot")
	case "ticker":
		each = krakenTicker
	case "status":
		each = krakenStatus
	case "instrument":
		return krakenPairs(b, i, d)
	default:
		return jsonscan.Skip(b, i)
	}
	from := len(d.Events)
	i, more := jsonscan.Open(b, i, '[')
	for more {
		if i = each(b, i, d); i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if string(kind) == "snapshot" && i >= 0 {
		for k := range d.Events[from:] {
			if ev := &d.Events[from+k]; ev.Channel == md.ChannelBook {
				ev.Action = ActionReplace
			}
		}
	}
	return i
}

var (
	krakenBookKeys  = jsonscan.Names("symbol", "bids", "asks", "checksum", "timestamp")
	krakenLevelKeys = jsonscan.Names("price", "qty")
)

func krakenBook(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native []byte
	var ts int64
	var sum uint64
	var got uint
	k, at := jsonscan.First(b, i, krakenBookKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0: // symbol
			native, i = jsonscan.Text(b, at)
		case 1: // bids
			i = d.levelObjects(b, at, md.SideBid, krakenLevelKeys)
		case 2: // asks
			i = d.levelObjects(b, at, md.SideAsk, krakenLevelKeys)
		case 3: // checksum
			sum, i = jsonscan.Uint(b, at)
		case 4: // timestamp
			ts, i = jsonscan.ISOTime(b, at)
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
		k, at = jsonscan.Member(b, i, krakenBookKeys, k)
	}
	if at < 0 || got&15 != 15 || sum > 1<<32-1 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	ev := d.event(md.ChannelBook, native, nil, from)
	ev.Checksum, ev.HasChecksum = int64(sum), true
	return at
}

// krakenTrades decodes trades; those of one instrument in a row are one event.
func krakenTrades(b []byte, i int, d *Decoded, history bool) int {
	i, more := jsonscan.Open(b, i, '[')
	for more {
		var native []byte
		if native, i = krakenTrade(b, i, d); i < 0 {
			return i
		}
		if n := len(d.Events); n > 0 && string(d.Events[n-1].Native) == string(native) {
			d.Events[n-1].To++
		} else {
			ev := d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
			if history {
				ev.Action = ActionReplace
			}
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

var krakenTradeKeys = jsonscan.Names("symbol", "side", "price", "qty", "ord_type", "trade_id", "timestamp")

// krakenTrade decodes a trade; its side is the taker's.
func krakenTrade(b []byte, i int, d *Decoded) (native []byte, next int) {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var got uint
	k, at := jsonscan.First(b, i, krakenTradeKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return nil, at
		}
		switch k {
		case 0: // symbol
			native, i = jsonscan.Text(b, at)
		case 1: // side
			r.Side, i = aggressor(b, at)
		case 2: // price
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 3: // qty
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 5: // trade_id
			r.ID, i = jsonscan.Uint(b, at)
		case 6: // timestamp
			r.TsEvent, i = jsonscan.ISOTime(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return nil, i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return nil, jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, krakenTradeKeys, k)
	}
	const needed = 1 | 1<<2 | 1<<3 | 1<<5 | 1<<6
	if at < 0 || got&needed != needed || r.Size < 0 {
		return nil, jsonscan.Bad
	}
	return native, at
}

// Sequence implements Venue: the checksum decides.
func (Kraken) Sequence(b *BookState, ev *Event) Verdict { return checksummed(b, ev) }

// SnapshotURL implements Venue: snapshots come in band.
func (Kraken) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Kraken) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("kraken: no REST snapshots: %w", ErrUnsupported)
}
