package feeds

import (
	"encoding/json"
	"fmt"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Gateio) Catalogue(base string) []Request { return gets(base + "/api/v4/spot/currency_pairs") }

// Catalogue implements Venue.
func (GateioFutures) Catalogue(base string) []Request {
	return gets(base + "/api/v4/futures/usdt/contracts")
}

// DecodeCatalogue implements Venue.
func (Gateio) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var list []struct {
		ID, Base, Quote string
		TradeStatus     string `json:"trade_status"`
		Precision       *int8
		AmountPrecision *int8 `json:"amount_precision"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return "", fmt.Errorf("gateio: instrument list: %w", err)
	}
	if len(list) == 0 || list[0].Base == "" {
		return "", fmt.Errorf("gateio: not an instrument list: %.100q", body)
	}
	for _, s := range list {
		if s.TradeStatus == "untradable" || s.Base == "" || s.Quote == "" {
			continue
		}
		in := md.Instrument{Venue: md.VenueGateio, Kind: md.InstrumentSpot, Symbol: token(s.Base) + "-" + token(s.Quote), Native: s.ID,
			PriceExp: gateioSpec.PriceExp, SizeExp: gateioSpec.SizeExp}
		if p := s.Precision; p != nil && *p >= 0 && *p <= 18 {
			in.Tick, in.PriceExp = places(*p), -*p
		}
		if p := s.AmountPrecision; p != nil && *p >= 0 && *p <= 18 {
			in.Lot, in.SizeExp = places(*p), -*p
		}
		each(in)
	}
	return "", nil
}

// gatePartsExp is the exponent of sizes of contracts that trade in parts of which
// no step is told. One digit has been seen.
const gatePartsExp = -4

// DecodeCatalogue implements Venue. A contract size of 0 is that of inverse
// contracts, which are worth 1 USD.
func (GateioFutures) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var list []struct {
		Name        string
		Round       string      `json:"order_price_round"`
		Multiplier  string      `json:"quanto_multiplier"`
		SizeMin     json.Number `json:"order_size_min"`
		InDelisting bool        `json:"in_delisting"`
		Parts       bool        `json:"enable_decimal"`
		Expire      int64       `json:"expire_time"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return "", fmt.Errorf("gateio-futures: instrument list: %w", err)
	}
	if len(list) == 0 || list[0].Name == "" {
		return "", fmt.Errorf("gateio-futures: not an instrument list: %.100q", body)
	}
	for _, s := range list {
		symbol, kind, ok := GateioFutures{}.Symbol(s.Name, "")
		if s.InDelisting || !ok {
			continue
		}
		in := md.Instrument{Venue: md.VenueGateioFutures, Kind: kind, Symbol: symbol, Native: s.Name, Expiry: s.Expire * 1e9}
		lot := "1"
		if s.Parts || strings.Contains(s.SizeMin.String(), ".") { // contracts that trade in parts
			lot = s.SizeMin.String()
		}
		setSteps(&in, s.Round, lot, &gateioFuturesSpec)
		if in.Lot.Mant == 0 { // a least size of 0: no step is told
			in.SizeExp = gatePartsExp
		}
		if v, err := md.ParseDecimal([]byte(s.Multiplier)); err == nil && v.Mant > 0 {
			in.ContractSize = v.Strip()
		} else {
			in.ContractSize = md.Decimal{Mant: 1}
		}
		each(in)
	}
	return "", nil
}

// Native implements Venue.
func (Gateio) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	if len(p) != 2 || p[0] == "" || p[1] == "" {
		return "", false
	}
	return p[0] + "_" + p[1], true
}

// Symbol implements Venue.
func (Gateio) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	i := strings.LastIndexByte(native, '_')
	if i <= 0 || i == len(native)-1 {
		return "", 0, false
	}
	return token(native[:i]) + "-" + token(native[i+1:]), md.InstrumentSpot, true
}

// Native implements Venue.
func (GateioFutures) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	if len(p) != 3 || p[0] == "" || p[1] == "" {
		return "", false
	}
	if isDay(p[2]) {
		return p[0] + "_" + p[1] + "_20" + p[2], true
	}
	return p[0] + "_" + p[1], p[2] == "PERP"
}

// Symbol implements Venue: BTC_USDT is a perpetual, BTC_USDT_20260327 expires.
func (GateioFutures) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	p := strings.Split(native, "_")
	if len(p) < 2 || len(p) > 3 || p[0] == "" || p[1] == "" {
		return "", 0, false
	}
	kind := md.InstrumentPerp
	if p[1] == "USD" {
		kind = md.InstrumentPerpInverse
	}
	pair := token(p[0]) + "-" + token(p[1])
	if len(p) == 2 {
		return pair + "-PERP", kind, true
	}
	day, ok := strings.CutPrefix(p[2], "20")
	return pair + "-" + day, kind + md.InstrumentFuture - md.InstrumentPerp, ok && isDay(day)
}
