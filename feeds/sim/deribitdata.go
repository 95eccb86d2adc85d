package sim

import (
	"net/http"
	"strconv"
)

func (v *deribit) trades(st *stream, trades []Trade, _ int64) [][]byte {
	d := append(v.head(st), '[')
	for i, t := range trades {
		if i > 0 {
			d = append(d, ',')
		}
		d = strconv.AppendInt(append(d, `{"timestamp":`...), millis(t.Time), 10)
		d = float(d, "price", t.Price, st.in.priceDecimals)
		d = float(d, "amount", t.Size, st.in.sizeDecimals)
		d = append(d, `,"direction":"`+side(t.Buy)+`"`...)
		d = float(d, "index_price", t.Price, st.in.priceDecimals)
		d = append(d, `,"instrument_name":"`+deribitName(st.in)+`"`...)
		d = integer(d, "trade_seq", t.ID)
		d = float(d, "mark_price", t.Price, st.in.priceDecimals)
		d = append(d, `,"tick_direction":1,"trade_id":"`+strconv.FormatInt(7*t.ID, 10)+`"`...)
		if t.ID%64 == 0 {
			d = append(d, `,"liquidation":"T"`...)
		}
		d = append(d, '}')
	}
	return [][]byte{append(d, "]}}"...)}
}

func (v *deribit) quote(st *stream, now int64) []byte {
	bid, ask := st.in.bids.levels[0], st.in.asks.levels[0]
	d := append(v.head(st), `{"timestamp":`...)
	d = strconv.AppendInt(d, millis(now), 10)
	d = append(d, `,"instrument_name":"`+deribitName(st.in)+`"`...)
	d = float(d, "best_bid_price", bid.Price, st.in.priceDecimals)
	d = float(d, "best_bid_amount", bid.Size, st.in.sizeDecimals)
	d = float(d, "best_ask_price", ask.Price, st.in.priceDecimals)
	d = float(d, "best_ask_amount", ask.Size, st.in.sizeDecimals)
	return append(d, "}}}"...)
}

func (v *deribit) ticker(st *stream, now int64) []byte {
	in, s := st.in, &st.in.stats
	d := append(v.head(st), `{"timestamp":`...)
	d = strconv.AppendInt(d, millis(now), 10)
	d = append(d, `,"state":"open","stats":{"price_change":0.5`...)
	d = float(d, "high", s.high, in.priceDecimals)
	d = float(d, "low", s.low, in.priceDecimals)
	d = float(d, "volume", s.volume, in.sizeDecimals)
	d = float(d, "volume_notional", s.turnover, in.priceDecimals)
	d = append(d, '}')
	d = float(d, "index_price", s.last+in.tick, in.priceDecimals)
	d = append(d, `,"instrument_name":"`+deribitName(in)+`"`...)
	d = float(d, "last_price", s.last, in.priceDecimals)
	d = float(d, "open_interest", s.volume/3, in.sizeDecimals)
	d = float(d, "mark_price", s.last, in.priceDecimals)
	d = float(d, "best_ask_price", in.asks.best(), in.priceDecimals)
	d = float(d, "best_bid_price", in.bids.best(), in.priceDecimals)
	if in.suffix == "PERP" {
		d = float(d, "current_funding", s.trades%1000, 7)
		d = append(d, `,"funding_8h":0.00001742`...)
	}
	return append(d, "}}}"...)
}

func (v *deribit) book(in *instrument) Book { return in.book(10_000) }

// answer serves the instrument list.
func (v *deribit) answer(r *http.Request, _ bool) (int, []byte) {
	if r.URL.Path != "/api/v2/public/get_instruments" {
		return http.StatusNotFound, []byte(`{"jsonrpc":"2.0","error":{"message":"Method not found","code":-32601}}`)
	}
	d := []byte(`{"jsonrpc":"2.0","result":[`)
	for i, in := range v.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		kind, period := "future", "month"
		if in.suffix == "PERP" {
			period = "perpetual"
		} else if last := in.symbol[len(in.symbol)-1]; last == 'C' || last == 'P' {
			kind = "option"
		}
		d = append(d, `{"instrument_name":"`+deribitName(in)+`","kind":"`+kind+`","settlement_period":"`+period+`","is_active":true`...)
		d = float(d, "tick_size", in.tick, in.priceDecimals)
		d = float(d, "min_trade_amount", in.lot, in.sizeDecimals)
		d = append(d, `,"contract_size":1.0}`...)
	}
	return http.StatusOK, append(d, `],"testnet":false}`...)
}

func (v *deribit) busy() []byte {
	return []byte(`{"jsonrpc":"2.0","error":{"message":"too_many_requests","code":10028}}`)
}
