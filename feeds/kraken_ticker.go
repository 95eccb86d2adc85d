package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// krakenTickerKeys are the members of ticker in the order of the document.
var krakenTickerKeys = jsonscan.Names("symbol", "bid", "bid_qty", "ask", "ask_qty", "last", "volume", "vwap",
	"low", "high", "change", "change_pct", "timestamp")

// krakenTicker decodes the best prices, an event of its own, and the statistics.
func krakenTicker(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	d.quotes()
	var native []byte
	var ts int64
	var v [4]int64
	var e [4]int8
	var got uint
	k, at := jsonscan.First(b, i, krakenTickerKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0: // symbol
			native, i = jsonscan.Text(b, at)
		case 1, 2, 3, 4:
			v[k-1], e[k-1], i = jsonscan.Number(b, at)
		case 5:
			i = d.stat(b, at, md.StatLast)
		case 6:
			i = d.stat(b, at, md.StatVolume)
		case 8:
			i = d.stat(b, at, md.StatLow)
		case 9:
			i = d.stat(b, at, md.StatHigh)
		case 12: // timestamp
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
		k, at = jsonscan.Member(b, i, krakenTickerKeys, k)
	}
	if at < 0 || got&31 != 31 || v[1] < 0 || v[3] < 0 {
		return jsonscan.Bad
	}
	quote(&d.Recs[from], v[0], v[1], e[0], e[1])
	quote(&d.Recs[from+1], v[2], v[3], e[2], e[3])
	d.stamp(from, ts, 0)
	d.split(native, from)
	return at
}

// split makes two events of a pair of quotes and the statistics behind it.
func (d *Decoded) split(native []byte, from int) {
	d.event(md.ChannelBBO, native, nil, from).To = from + 2
	if len(d.Recs) > from+2 {
		d.event(md.ChannelTicker, native, nil, from+2)
	}
}

// krakenStatus decodes the status channel: the venue as a whole.
func krakenStatus(b []byte, i int, d *Decoded) int {
	if system := jsonscan.Find(b, i, "system"); system != nil {
		if text, n := jsonscan.Text(system, 0); n >= 0 {
			krakenSystem(d, text)
		}
	}
	return jsonscan.Skip(b, i)
}

// krakenPairs decodes the pairs of the instrument channel.
func krakenPairs(b []byte, i int, d *Decoded) int {
	i, more := jsonscan.Open(b, i, '{')
	for more {
		var key []byte
		if key, i = jsonscan.Key(b, i); i < 0 {
			return i
		}
		if string(key) != "pairs" {
			i = jsonscan.Skip(b, i)
		} else {
			var pairs bool
			for i, pairs = jsonscan.Open(b, i, '['); pairs; i, pairs = jsonscan.Next(b, i, '[') {
				if i = krakenPair(b, i, d); i < 0 {
					return i
				}
			}
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	return i
}

var krakenPairKeys = jsonscan.Names("symbol", "base", "quote", "status")

func krakenPair(b []byte, i int, d *Decoded) int {
	var native, status []byte
	k, at := jsonscan.First(b, i, krakenPairKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			native, i = jsonscan.Text(b, at)
		case 3:
			status, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, krakenPairKeys, k)
	}
	if at >= 0 && native != nil {
		d.status(native, krakenPairStatus(status), 0)
	}
	return at
}

func krakenPairStatus(text []byte) md.Status {
	switch string(text) {
	case "online":
		return md.StatusTrading
	case "cancel_only":
		return md.StatusCancelOnly
	case "post_only":
		return md.StatusPostOnly
	case "limit_only":
		return md.StatusLimitOnly
	case "reduce_only":
		return md.StatusReduceOnly
	case "delisted":
		return md.StatusClosed
	case "maintenance":
		return md.StatusMaintenance
	case "work_in_progress":
		return md.StatusHalted
	}
	return 0
}

// status adds an event that tells an instrument's trading state, if it is known.
func (d *Decoded) status(native []byte, s md.Status, ts int64) {
	if s == 0 {
		return
	}
	r := d.slot(md.KindStatus)
	r.Level, r.TsEvent = uint8(s), ts
	d.event(md.ChannelStatus, native, nil, len(d.Recs)-1)
}
