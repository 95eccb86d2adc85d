package feeds

import (
	"fmt"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Bitfinex is the public market data of Bitfinex, WebSocket API v2: spot pairs and
// perpetuals. Frames name a channel by a number that the venue gave out on the same
// connection (bitfinex_conn.go).
//
// The rules (pages "General" and "WebSocket Checksum"): with the flag 65536 each
// frame of data ends with a number that grows by one over the whole connection;
// with 131072 each change of a book is followed by a frame with the CRC-32 of its
// 25 best levels, which is an event without levels: it only checks.
//
// A trade is told twice, at once as te and later as tu; te is taken. There is no
// channel of best prices: the sizes in ticker are sums over 25 levels.
type Bitfinex struct{}

var (
	_ Venue    = Bitfinex{}
	_ Opener   = Bitfinex{}
	_ Stateful = Bitfinex{}
)

var bitfinexSpec = Spec{
	Name:  "bitfinex",
	Venue: md.VenueBitfinex,
	Doc:   "https://docs.bitfinex.com/docs/ws-general",
	URL:   "wss://api-pub.bitfinex.com/ws/2",
	REST:  "https://api-pub.bitfinex.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trades (te)", "id told once; numbers of the connection's frames"},
		{md.ChannelBook, "book P0 F0 250", "CRC-32 of the 25 best levels; numbers of the connection's frames"},
		{md.ChannelTicker, "ticker, status deriv:", "numbers of the connection's frames"},
		{md.ChannelFunding, "status deriv:", "numbers of the connection's frames"},
		{md.ChannelOpenInterest, "status deriv:", "numbers of the connection's frames"},
		{md.ChannelLiquidations, "status liq:global", "numbers of the connection's frames"},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte(`{"event":"ping"}`), PingEvery: 15 * time.Second,
	DeadAfter:    40 * time.Second, // hb comes every 15 s per channel
	MaxFrame:     4 << 20,
	SubsPerFrame: 1,
	SubsPerConn:  25,
	SendEvery:    50 * time.Millisecond,
	UniqueTrades: true,
	ConnSeq:      "each frame of data is numbered last + 1 over all channels of a connection",
}

// Flags of the conf request.
const (
	bitfinexTimes     = 32768
	bitfinexSequence  = 65536
	bitfinexChecksums = 131072
)

// Spec implements Venue.
func (Bitfinex) Spec() *Spec { return &bitfinexSpec }

// Open implements Opener.
func (Bitfinex) Open(dst [][]byte, rq *Requests) [][]byte {
	rq.ID++
	return append(dst, fmt.Appendf(nil, `{"event":"conf","flags":%d}`, bitfinexTimes|bitfinexSequence|bitfinexChecksums))
}

// Subscribe implements Venue.
func (Bitfinex) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	var args []string
	for _, s := range subs {
		for _, c := range bitfinexChannels(s) {
			args = append(args, c.request())
		}
	}
	tail := func(int) string { return "}" }
	return requests(dst, args, `{"event":"subscribe",`, tail, rq, 1, 4<<10)
}

// Unsubscribe implements Venue: only a connection knows the channels' numbers.
func (Bitfinex) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	for _, s := range subs {
		for _, c := range bitfinexChannels(s) {
			rq.Held(c.request())
		}
	}
	return dst
}

// bitfinexChannels are the venue's channels for a subscription.
func bitfinexChannels(s Sub) []bitfinexChannel {
	name := []byte(s.Instrument.Native)
	perp := strings.Contains(s.Instrument.Native, "F0:")
	switch s.Channel {
	case md.ChannelTrades:
		return []bitfinexChannel{{bitfinexTrade, name}}
	case md.ChannelBook:
		return []bitfinexChannel{{bitfinexBook, name}}
	case md.ChannelTicker:
		if perp {
			return []bitfinexChannel{{bitfinexTicker, name}, {bitfinexDeriv, name}}
		}
		return []bitfinexChannel{{bitfinexTicker, name}}
	case md.ChannelFunding, md.ChannelOpenInterest:
		if perp {
			return []bitfinexChannel{{bitfinexDeriv, name}}
		}
	case md.ChannelLiquidations:
		if perp {
			return []bitfinexChannel{{bitfinexForced, nil}}
		}
	}
	return nil
}

// request is what asks for a channel, without the event.
func (c bitfinexChannel) request() string {
	switch c.kind {
	case bitfinexTrade:
		return `"channel":"trades","symbol":` + quoted(string(c.symbol))
	case bitfinexBook:
		return `"channel":"book","symbol":` + quoted(string(c.symbol)) + `,"prec":"P0","freq":"F0","len":"250"`
	case bitfinexTicker:
		return `"channel":"ticker","symbol":` + quoted(string(c.symbol))
	case bitfinexDeriv:
		return `"channel":"status","key":` + quoted("deriv:"+string(c.symbol))
	}
	return `"channel":"status","key":"liq:global"`
}

// Decode implements Venue for a connection that has subscribed to nothing yet.
func (v Bitfinex) Decode(frame []byte, d *Decoded) error { return v.NewConn().Decode(frame, d) }

// Sequence implements Venue: the connection's numbers and the checksums judge.
func (Bitfinex) Sequence(b *BookState, ev *Event) Verdict { return checksummed(b, ev) }

// SnapshotURL implements Venue: snapshots come in band.
func (Bitfinex) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Bitfinex) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("bitfinex: no REST snapshots: %w", ErrUnsupported)
}

// bitfinexNext steps from one element of an array to the next; more is false
// behind the last, where the index is behind the bracket.
func bitfinexNext(b []byte, i int) (next int, more bool) {
	if i >= 0 && i+1 < len(b) && b[i] == ',' && b[i+1] > ' ' {
		return i + 1, true
	}
	if i, more = jsonscan.Next(b, i, '['); more && i >= len(b) {
		return jsonscan.Bad, false
	}
	return i, more
}

// bitfinexRest steps over what may have been appended to an array, to behind it.
func bitfinexRest(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] == ']' {
		return i + 1
	}
	i, more := bitfinexNext(b, i)
	for more {
		if i = jsonscan.Skip(b, i); i < 0 {
			return i
		}
		i, more = bitfinexNext(b, i)
	}
	return i
}

// bitfinexAmount reads an amount whose sign says on which side it is.
func bitfinexAmount(b []byte, i int) (size int64, exp int8, negative bool, next int) {
	if uint(i)+1 < uint(len(b)) && b[i] == '-' && b[i+1]-'0' <= 9 {
		size, exp, next = jsonscan.Number(b, i+1)
		return size, exp, true, next
	}
	size, exp, next = jsonscan.Number(b, i)
	if size < 0 { // as text; the venue sends numbers
		return 0, 0, false, jsonscan.Bad
	}
	return size, exp, false, next
}
