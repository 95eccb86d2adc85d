package feeds

import (
	"slices"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// coinbaseTradeKeys are the members of a trade in the order in which they come.
var coinbaseTradeKeys = jsonscan.Names("product_id", "trade_id", "price", "size", "time", "side")

// coinbaseTrades decodes {"type","trades"}: the newest trade comes first there,
// here last. A snapshot is history.
func coinbaseTrades(b []byte, i int, d *Decoded, _ int64) int {
	recs, events := len(d.Recs), len(d.Events)
	history, backwards := false, false
	i, more := jsonscan.Open(b, i, '{')
	for more {
		var key, kind []byte
		if key, i = jsonscan.Key(b, i); i < 0 {
			return i
		}
		switch string(key) {
		case "type":
			kind, i = jsonscan.Text(b, i)
			history = string(kind) == "snapshot"
		case "trades":
			if len(d.Recs) > recs {
				return jsonscan.Bad
			}
			var trades bool
			for i, trades = jsonscan.Open(b, i, '['); trades; i, trades = jsonscan.Next(b, i, '[') {
				if i = coinbaseTrade(b, i, d); i < 0 {
					return i
				}
				n, k := len(d.Events)-1, len(d.Recs)-1
				backwards = backwards || n > events && string(d.Events[n].Native) == string(d.Events[n-1].Native) &&
					d.Recs[k].ID < d.Recs[k-1].ID
			}
		default:
			i = jsonscan.Skip(b, i)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	if i < 0 {
		return i
	}
	if backwards {
		slices.Reverse(d.Recs[recs:])
		slices.Reverse(d.Events[events:])
	}
	d.joinTrades(recs, events, history)
	return i
}

// joinTrades makes one event of those in a row that are of one instrument; each
// has one record so far.
func (d *Decoded) joinTrades(recs, events int, history bool) {
	kept := events
	for k := events; k < len(d.Events); k++ {
		ev := d.Events[k]
		if kept > events && string(d.Events[kept-1].Native) == string(ev.Native) {
			d.Events[kept-1].To++
		} else {
			ev.From, ev.To = recs, recs+1
			if history {
				ev.Action = ActionReplace
			}
			d.Events[kept] = ev
			kept++
		}
		recs++
	}
	d.Events = d.Events[:kept]
}

// coinbaseTrade decodes a trade as an event; its side is the maker's.
func coinbaseTrade(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var native []byte
	var got uint
	k, at := jsonscan.First(b, i, coinbaseTradeKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			native, i = jsonscan.Text(b, at)
		case 1:
			r.ID, i = jsonscan.Uint(b, at)
		case 2:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 3:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 4:
			r.TsEvent, i = jsonscan.ISOTime(b, at)
		case 5:
			r.Side, i = taker(b, at)
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
		k, at = jsonscan.Member(b, i, coinbaseTradeKeys, k)
	}
	if at < 0 || got != 63 || r.Size < 0 {
		return jsonscan.Bad
	}
	d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
	return at
}

// taker reads the maker's side of a trade and gives the other one.
func taker(b []byte, i int) (side uint8, next int) {
	if side, next = aggressor(b, i); side != md.SideUnknown {
		side = md.SideBuy + md.SideSell - side
	}
	return side, next
}

// coinbaseTickerKeys are the members of a ticker in the order of the document.
var coinbaseTickerKeys = jsonscan.Names("type", "product_id", "price", "volume_24_h", "low_24_h", "high_24_h",
	"low_52_w", "high_52_w", "price_percent_chg_24_h", "best_bid", "best_ask", "best_bid_quantity", "best_ask_quantity")

// coinbaseTickers decodes {"type","tickers"}; the time is the message's.
func coinbaseTickers(b []byte, i int, d *Decoded, ts int64) int {
	return coinbaseList(b, i, "tickers", func(i int) int {
		from := len(d.Recs)
		var native []byte
		var got uint
		k, at := jsonscan.First(b, i, coinbaseTickerKeys)
		for k != jsonscan.Closed {
			if at < 0 {
				return at
			}
			switch k {
			case 1:
				native, i = jsonscan.Text(b, at)
			case 2:
				i = d.stat(b, at, md.StatLast)
			case 3:
				i = d.stat(b, at, md.StatVolume)
			case 4:
				i = d.stat(b, at, md.StatLow)
			case 5:
				i = d.stat(b, at, md.StatHigh)
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
			k, at = jsonscan.Member(b, i, coinbaseTickerKeys, k)
		}
		if at < 0 || native == nil {
			return jsonscan.Bad
		}
		if len(d.Recs) > from {
			d.stamp(from, ts, 0)
			d.event(md.ChannelTicker, native, nil, from)
		}
		return at
	})
}

// coinbaseProducts decodes the products of the status channel.
func coinbaseProducts(b []byte, i int, d *Decoded, ts int64) int {
	return coinbaseList(b, i, "products", func(i int) int { return coinbaseProduct(b, i, d, ts) })
}

var coinbaseProductKeys = jsonscan.Names("id", "status")

// coinbaseProduct decodes a product's state, of Advanced Trade and Exchange.
func coinbaseProduct(b []byte, i int, d *Decoded, ts int64) int {
	var native, status []byte
	k, at := jsonscan.First(b, i, coinbaseProductKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			native, i = jsonscan.Text(b, at)
		case 1:
			status, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, coinbaseProductKeys, k)
	}
	if at >= 0 && native != nil {
		d.status(native, coinbaseStatus(status), ts)
	}
	return at
}

func coinbaseStatus(text []byte) md.Status {
	switch string(text) {
	case "online":
		return md.StatusTrading
	case "offline", "internal":
		return md.StatusHalted
	case "delisted":
		return md.StatusClosed
	}
	return 0
}

// coinbaseList calls each with every element of the array called name in the
// object at i, and skips the rest of that.
func coinbaseList(b []byte, i int, name string, each func(i int) int) int {
	i, more := jsonscan.Open(b, i, '{')
	for more {
		var key []byte
		if key, i = jsonscan.Key(b, i); i < 0 {
			return i
		}
		if string(key) == name {
			var elements bool
			for i, elements = jsonscan.Open(b, i, '['); elements; i, elements = jsonscan.Next(b, i, '[') {
				if i = each(i); i < 0 {
					return i
				}
			}
		} else {
			i = jsonscan.Skip(b, i)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	return i
}
