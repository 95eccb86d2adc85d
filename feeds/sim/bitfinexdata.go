package sim

import (
	"net/http"
	"strconv"
)

// bitfinexLevel is a level and its side.
type bitfinexLevel struct {
	Level
	bid bool
}

func bitfinexSide(levels []Level, bid bool) []bitfinexLevel {
	var out []bitfinexLevel
	for _, lv := range levels {
		out = append(out, bitfinexLevel{lv, bid})
	}
	return out
}

// append writes [price, count, amount].
func (l bitfinexLevel) append(dst []byte, in *instrument) []byte {
	dst = append(appendShort(append(dst, '['), l.Price, in.priceDecimals), ',')
	count, size, decimals := int64(max(l.Count, 1)), l.Size, in.sizeDecimals
	if size == 0 {
		count, size, decimals = 0, 1, 0
	}
	dst = append(strconv.AppendInt(dst, count, 10), ',')
	if !l.bid {
		size = -size
	}
	return append(appendShort(dst, size, decimals), ']')
}

// bitfinexTrade is [id, ms, amount, price].
func bitfinexTrade(in *instrument, t Trade) string {
	size := t.Size
	if !t.Buy {
		size = -size
	}
	d := strconv.AppendInt([]byte("["), t.ID, 10)
	d = strconv.AppendInt(append(d, ','), millis(t.Time), 10)
	d = appendShort(append(d, ','), size, in.sizeDecimals)
	return string(append(appendShort(append(d, ','), t.Price, in.priceDecimals), ']'))
}

// values is the payload of ticker, or of a perpetual's status.
func (v *bitfinex) values(st *stream) string {
	in, s := st.in, &st.in.stats
	d := []byte("[")
	price := func(p int64) { d = append(appendShort(d, p, in.priceDecimals), ',') }
	size := func(n int64) { d = append(appendShort(d, n, in.sizeDecimals), ',') }
	if st.channel == "ticker" {
		price(in.bids.best())
		size(in.bids.levels[0].Size)
		price(in.asks.best())
		size(in.asks.levels[0].Size)
		price(s.last - s.open)
		d = append(d, "0.01,"...)
		price(s.last)
		size(s.volume)
		price(s.high)
		price(s.low)
		return string(append(d[:len(d)-1], ']'))
	}
	now := millis(v.now())
	d = append(strconv.AppendInt(d, now, 10), ",null,"...)
	price(s.last)
	price(s.last + in.tick)
	d = append(d, "null,1000000,null,"...)
	d = append(strconv.AppendInt(d, (now/28_800_000+1)*28_800_000, 10), ",1.4e-7,6,null,0.0001,null,null,"...)
	price(s.last)
	d = append(d, "null,null,"...)
	size(s.volume / 3)
	return string(append(d, "null,null,null,-0.0025,0.0025]"...))
}

func (v *bitfinex) book(in *instrument) Book { return in.book(bitfinexDepth) }

// answer serves the lists of pairs.
func (v *bitfinex) answer(r *http.Request, _ bool) (int, []byte) {
	perp := r.URL.Path == "/v2/conf/pub:list:pair:futures"
	if !perp && r.URL.Path != "/v2/conf/pub:list:pair:exchange" {
		return http.StatusNotFound, []byte(`["error",10020,"path: invalid"]`)
	}
	d := []byte("[[")
	for _, in := range v.srv.listed() {
		if (in.suffix != "") == perp {
			d = append(append(append(d, '"'), bitfinexName(in)[1:]...), `",`...)
		}
	}
	if d[len(d)-1] == ',' {
		d = d[:len(d)-1]
	}
	return http.StatusOK, append(d, "]]"...)
}

func (v *bitfinex) busy() []byte { return []byte(`["error",11010,"ratelimit: error"]`) }
