package feeds

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// bitfinexKind is what a channel carries.
type bitfinexKind uint8

const (
	bitfinexOther bitfinexKind = iota
	bitfinexTrade
	bitfinexBook
	bitfinexTicker
	bitfinexDeriv  // status of a perpetual
	bitfinexForced // liquidations of all
)

// bitfinexChannel is what a number stands for.
type bitfinexChannel struct {
	kind   bitfinexKind
	symbol []byte // tBTCUSD; nil for all
}

// bitfinexConn is what one connection has given numbers to.
type bitfinexConn struct {
	channels map[uint64]bitfinexChannel
}

// NewConn implements Stateful.
func (Bitfinex) NewConn() Conn { return &bitfinexConn{channels: map[uint64]bitfinexChannel{}} }

// Unsubscribe implements Conn. The channel of all liquidations stays.
func (c *bitfinexConn) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	for _, s := range subs {
		for _, want := range bitfinexChannels(s) {
			if rq.Held(want.request()) {
				continue
			}
			for _, id := range slices.Sorted(maps.Keys(c.channels)) { // the same requests on every run
				have := c.channels[id]
				if have.kind == want.kind && want.kind != bitfinexForced && bytes.Equal(have.symbol, want.symbol) {
					dst = append(dst, fmt.Appendf(nil, `{"event":"unsubscribe","chanId":%d}`, id))
					rq.ID++
				}
			}
		}
	}
	return dst
}

// Decode implements Conn.
func (c *bitfinexConn) Decode(frame []byte, d *Decoded) error {
	root := jsonscan.Space(frame, 0)
	var i int
	if root < len(frame) && frame[root] == '[' {
		i = c.data(frame, root, d)
	} else {
		i = c.event(frame, root, d)
	}
	if i < 0 || !jsonscan.End(frame, i) {
		return scanErr(i)
	}
	return nil
}

// data decodes [channel, payload, number, time] and its variants: te, tu, cs and
// hb stand before the payload or for it. A channel that is not known is one that
// was just left.
func (c *bitfinexConn) data(b []byte, i int, d *Decoded) int {
	i, more := jsonscan.Open(b, i, '[')
	if !more {
		return jsonscan.Bad
	}
	id, i := jsonscan.Uint(b, i)
	if i, more = bitfinexNext(b, i); !more {
		return jsonscan.Bad
	}
	ch := c.channels[id]
	var word []byte
	if b[i] == '"' {
		if word, i = jsonscan.Text(b, i); i < 0 {
			return i
		}
		if string(word) == "hb" {
			return bitfinexTail(b, i, d, nil)
		}
		if i, more = bitfinexNext(b, i); !more {
			return jsonscan.Bad
		}
	}
	from := len(d.Recs)
	if ch.kind == bitfinexForced && word == nil {
		if i = d.bitfinexForced(b, i); i < 0 {
			return i
		}
		return bitfinexTail(b, i, d, nil)
	}
	var sum int64
	whole := false
	switch {
	case ch.kind == bitfinexBook && word == nil:
		whole, i = d.bitfinexLevels(b, i)
	case ch.kind == bitfinexBook && string(word) == "cs":
		sum, i = jsonscan.Int(b, i)
		if sum < -1<<31 || sum > 1<<31-1 {
			return jsonscan.Bad
		}
	case ch.kind == bitfinexTrade && string(word) == "te":
		i = d.bitfinexTrade(b, i)
	case ch.kind == bitfinexTicker && word == nil:
		i = d.bitfinexTicker(b, i)
	case ch.kind == bitfinexDeriv && word == nil:
		return d.bitfinexDeriv(b, i, ch.symbol)
	default: // tu, the trades before the subscription, channels that were left
		return bitfinexTail(b, jsonscan.Skip(b, i), d, nil)
	}
	var ts int64
	if i = bitfinexTail(b, i, d, &ts); i < 0 {
		return i
	}
	switch ch.kind {
	case bitfinexTrade:
		d.event(md.ChannelTrades, ch.symbol, nil, from)
	case bitfinexTicker:
		d.stamp(from, ts, 0)
		d.event(md.ChannelTicker, ch.symbol, nil, from)
	case bitfinexBook:
		d.stamp(from, ts, 0)
		ev := d.event(md.ChannelBook, ch.symbol, nil, from)
		if whole {
			ev.Action = ActionReplace
		}
		ev.Checksum, ev.HasChecksum = sum, word != nil
	}
	return i
}

// bitfinexTail reads what ends a frame, from behind the payload: the number of
// the frame and, where ts is wanted, the time; names may follow in recordings.
func bitfinexTail(b []byte, i int, d *Decoded, ts *int64) int {
	i, more := bitfinexNext(b, i)
	for more {
		if b[i]-'0' > 9 {
			if i = jsonscan.Skip(b, i); i < 0 {
				return i
			}
			i, more = bitfinexNext(b, i)
			continue
		}
		v, n := jsonscan.Uint(b, i)
		if n < 0 {
			return n
		}
		if v < bitfinexFirstTime && !d.HasConnSeq {
			d.ConnSeq, d.HasConnSeq = int64(v), true
		} else if ts != nil {
			if *ts, n = jsonscan.Time(b, i); n < 0 {
				return n
			}
		}
		i, more = bitfinexNext(b, n)
	}
	return i
}

// bitfinexFirstTime tells times in ms, of 2001 and later, from numbers of frames.
const bitfinexFirstTime = 1e12

// bitfinexEventKeys are the members of events.
var bitfinexEventKeys = jsonscan.Names("event", "channel", "chanId", "symbol", "prec", "freq", "len", "key",
	"code", "msg", "status", "flags", "platform")

// event decodes an answer or a notice of the session.
func (c *bitfinexConn) event(b []byte, i int, d *Decoded) int {
	var event, channel, symbol, prec, key, msg []byte
	var id, code uint64
	var got uint
	refused, closed := false, false
	k, at := jsonscan.First(b, i, bitfinexEventKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		i = jsonscan.Skip(b, at)
		switch k {
		case 0:
			event, i = jsonscan.Text(b, at)
		case 1:
			channel, i = jsonscan.Text(b, at)
		case 2:
			id, i = jsonscan.Uint(b, at)
		case 3:
			symbol, i = jsonscan.Text(b, at)
		case 4:
			prec, i = jsonscan.Text(b, at)
		case 7:
			key, i = jsonscan.Text(b, at)
		case 8:
			code, i = jsonscan.Uint(b, at)
		case 9:
			msg, i = jsonscan.Text(b, at)
		case 10:
			refused = i > 0 && string(b[at:i]) == `"FAILED"`
		case 12:
			v := jsonscan.Find(b, at, "status")
			closed = len(v) > 0 && v[0] == '0'
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
		k, at = jsonscan.Member(b, i, bitfinexEventKeys, k)
	}
	if at < 0 {
		return at
	}
	switch string(event) {
	case "subscribed":
		d.Control = ControlAck
		c.named(id, channel, symbol, prec, key)
	case "unsubscribed":
		d.Control = ControlAck
		delete(c.channels, id)
	case "error":
		d.Control, d.Text = ControlError, msg
	case "conf":
		if refused {
			d.Control, d.Text = ControlError, bitfinexFlags
		}
	case "pong":
		d.Control = ControlPong
	case "info":
		bitfinexInfo(d, code, msg, closed)
	}
	return at
}

var (
	bitfinexFlags = []byte("the venue refused the flags: numbers and checksums are missing")
	bitfinexPause = []byte("maintenance")
)

// bitfinexInfo is a notice with a code, or the first frame of a connection.
func bitfinexInfo(d *Decoded, code uint64, msg []byte, closed bool) {
	switch {
	case code == 20051, code == 20061: // restart; the end of maintenance, after which all must be subscribed again
		d.Control = ControlReconnect
	case code == 20060, closed:
		d.Control, d.Text = ControlMaintenance, bitfinexPause
	case code != 0:
		d.Control, d.Text = ControlNotice, msg
	}
}

// named notes what a number stands for from now on.
func (c *bitfinexConn) named(id uint64, channel, symbol, prec, key []byte) {
	kind := bitfinexOther
	switch string(channel) {
	case "trades":
		kind = bitfinexTrade
	case "book":
		if len(prec) == 2 && prec[0] == 'P' { // R0 lists orders
			kind = bitfinexBook
		}
	case "ticker":
		kind = bitfinexTicker
	case "status":
		if string(key) == "liq:global" {
			kind, symbol = bitfinexForced, nil
		} else if s, ok := bytes.CutPrefix(key, []byte("deriv:")); ok {
			kind, symbol = bitfinexDeriv, s
		}
	}
	if kind != bitfinexForced && (len(symbol) == 0 || symbol[0] != 't') { // lending, which is no market
		kind = bitfinexOther
	}
	if have, ok := c.channels[id]; ok && have.kind == kind && bytes.Equal(have.symbol, symbol) {
		return
	}
	c.channels[id] = bitfinexChannel{kind, bytes.Clone(symbol)}
}
