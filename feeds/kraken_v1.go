package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// krakenV1 decodes a push of WebSocket API v1 (docs.kraken.com/api/docs/websocket-v1):
// [channelID, data, "book-1000", "XBT/USD"], with the data of a book in two parts
// where both sides changed.
func krakenV1(b []byte, i int, d *Decoded) int {
	var at [6]int // of the elements
	n := 0
	i, more := jsonscan.Open(b, i, '[')
	for more {
		if n == len(at) {
			return jsonscan.Bad
		}
		at[n] = i
		n++
		if i = jsonscan.Skip(b, i); i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if i < 0 || n < 4 {
		return jsonscan.Bad
	}
	channel, e1 := jsonscan.Text(b, at[n-2])
	native, e2 := jsonscan.Text(b, at[n-1])
	if e1 < 0 || e2 < 0 {
		return jsonscan.Bad
	}
	payload := at[1 : n-2]
	end := i
	switch {
	case string(channel) == "trade":
		i = krakenV1Trades(b, payload[0], d, native)
	case string(channel) == "ticker":
		i = krakenV1Ticker(b, payload[0], d, native)
	case string(channel) == "spread":
		i = krakenV1Spread(b, payload[0], d, native)
	case len(channel) > 5 && string(channel[:5]) == "book-":
		i = krakenV1Book(b, payload, d, native, channel[5:])
	}
	if i < 0 {
		return i
	}
	return end
}

// krakenV1Book decodes the parts of a book message. "as" and "bs" are a snapshot,
// "c" is in the last part.
func krakenV1Book(b []byte, parts []int, d *Decoded, native, depth []byte) int {
	from := len(d.Recs)
	var ts int64
	var sum uint64
	var got uint
	for _, i := range parts {
		if jsonscan.IsNull(b, i) {
			continue
		}
		i, more := jsonscan.Open(b, i, '{')
		for more {
			key, at := jsonscan.Key(b, i)
			if at < 0 {
				return at
			}
			var bit uint
			switch string(key) {
			case "a":
				bit, i = 1, d.krakenV1Levels(b, at, md.SideAsk, &ts)
			case "b":
				bit, i = 2, d.krakenV1Levels(b, at, md.SideBid, &ts)
			case "as":
				bit, i = 4, d.krakenV1Levels(b, at, md.SideAsk, &ts)
			case "bs":
				bit, i = 8, d.krakenV1Levels(b, at, md.SideBid, &ts)
			case "c":
				bit = 16
				sum, i = jsonscan.Uint(b, at)
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
		if i < 0 {
			return i
		}
	}
	levels, n := jsonscan.Uint(depth, 0)
	if got&15 == 0 || got&3 != 0 && got&12 != 0 || sum > 1<<32-1 || n != len(depth) || levels == 0 || levels > 1<<20 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	ev := d.event(md.ChannelBook, native, nil, from)
	ev.Depth = int(levels)
	if got&12 != 0 {
		ev.Action = ActionReplace
	}
	ev.Checksum, ev.HasChecksum = int64(sum), got&16 != 0
	return 0
}

// krakenV1Levels reads levels [price, size, time, and perhaps "r"]; ts becomes the
// latest of their times.
func (d *Decoded) krakenV1Levels(b []byte, i int, side uint8, ts *int64) int {
	i, more := jsonscan.Open(b, i, '[')
	for more {
		r := d.slot(md.KindBook)
		r.Side = side
		r.Price, r.Size, r.PriceExp, r.SizeExp, i = jsonscan.Pair(b, i)
		var rest bool
		if i, rest = jsonscan.Next(b, i, '['); !rest || r.Size < 0 {
			return jsonscan.Bad
		}
		var at int64
		if at, i = seconds(b, i); i < 0 {
			return i
		}
		*ts = max(*ts, at)
		for i, rest = jsonscan.Next(b, i, '['); rest; i, rest = jsonscan.Next(b, i, '[') {
			if i = jsonscan.Skip(b, i); i < 0 {
				return i
			}
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

// krakenV1Trades reads trades [price, size, time, side, order type, misc]; they
// have no ids.
func krakenV1Trades(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	i, more := jsonscan.Open(b, i, '[')
	for more {
		r := d.slot(md.KindTrade)
		r.Count = 1
		r.Price, r.Size, r.PriceExp, r.SizeExp, i = jsonscan.Pair(b, i)
		var rest bool
		if i, rest = jsonscan.Next(b, i, '['); !rest || r.Size < 0 {
			return jsonscan.Bad
		}
		r.TsEvent, i = seconds(b, i)
		if i, rest = jsonscan.Next(b, i, '['); !rest {
			return jsonscan.Bad
		}
		var side []byte
		if side, i = jsonscan.Text(b, i); i < 0 {
			return i
		}
		switch string(side) {
		case "b":
			r.Side = md.SideBuy
		case "s":
			r.Side = md.SideSell
		}
		for i, rest = jsonscan.Next(b, i, '['); rest; i, rest = jsonscan.Next(b, i, '[') {
			if i = jsonscan.Skip(b, i); i < 0 {
				return i
			}
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if i >= 0 && len(d.Recs) > from {
		d.event(md.ChannelTrades, native, nil, from)
	}
	return i
}

// krakenV1Spread reads [bid, ask, time, bid size, ask size].
func krakenV1Spread(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	bid, ask := d.quotes()
	var v [4]int64
	var e [4]int8
	v[0], v[2], e[0], e[2], i = jsonscan.Pair(b, i)
	i, more := jsonscan.Next(b, i, '[')
	if !more {
		return jsonscan.Bad
	}
	ts, i := seconds(b, i)
	for k := 1; k < 4 && i >= 0; k += 2 {
		if i, more = jsonscan.Next(b, i, '['); !more {
			return jsonscan.Bad
		}
		v[k], e[k], i = jsonscan.Number(b, i)
	}
	if i < 0 || v[1] < 0 || v[3] < 0 {
		return jsonscan.Bad
	}
	quote(bid, v[0], v[1], e[0], e[1])
	quote(ask, v[2], v[3], e[2], e[3])
	d.stamp(from, ts, 0)
	d.event(md.ChannelBBO, native, nil, from)
	return i
}

// krakenV1Ticker reads the statistics: of pairs of values the second is of the
// last 24 hours. There is no time.
func krakenV1Ticker(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	i, more := jsonscan.Open(b, i, '{')
	for more {
		key, at := jsonscan.Key(b, i)
		if at < 0 {
			return at
		}
		stat, second := uint8(md.NumStats), true
		switch string(key) {
		case "c":
			stat, second = md.StatLast, false
		case "o":
			stat = md.StatOpen
		case "h":
			stat = md.StatHigh
		case "l":
			stat = md.StatLow
		case "v":
			stat = md.StatVolume
		}
		if i = jsonscan.Skip(b, at); i < 0 {
			return i
		}
		if stat < md.NumStats {
			v, has := jsonscan.Open(b, at, '[')
			if second && has {
				v, has = jsonscan.Next(b, jsonscan.Skip(b, v), '[')
			}
			if !has {
				return jsonscan.Bad
			}
			if v = d.stat(b, v, stat); v < 0 {
				return v
			}
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	if i >= 0 && len(d.Recs) > from {
		d.event(md.ChannelTicker, native, nil, from)
	}
	return i
}
