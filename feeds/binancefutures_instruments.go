package feeds

import (
	"encoding/json"
	"fmt"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (BinanceUSDM) Catalogue(base string) []Request { return gets(base + "/fapi/v1/exchangeInfo") }

// Catalogue implements Venue.
func (BinanceCOINM) Catalogue(base string) []Request { return gets(base + "/dapi/v1/exchangeInfo") }

// DecodeCatalogue implements Venue.
func (BinanceUSDM) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	return "", binanceContracts(&binanceUSDMSpec, body, BinanceUSDM{}.Symbol, each)
}

// DecodeCatalogue implements Venue.
func (BinanceCOINM) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	return "", binanceContracts(&binanceCOINMSpec, body, BinanceCOINM{}.Symbol, each)
}

func binanceContracts(spec *Spec, body []byte, rule func(native, class string) (string, md.InstrumentKind, bool), each func(md.Instrument)) error {
	var doc struct {
		Symbols []struct {
			Symbol, Status, ContractStatus, ContractType, BaseAsset, QuoteAsset string
			DeliveryDate, ContractSize                                          int64
			Filters                                                             []struct{ FilterType, TickSize, StepSize string }
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("%s: instrument list: %w", spec.Name, err)
	}
	if doc.Symbols == nil {
		return fmt.Errorf("%s: instrument list has no symbols: %.100q", spec.Name, body)
	}
	for _, s := range doc.Symbols {
		_, kind, ok := rule(s.Symbol, "")
		if s.Status != "TRADING" && s.ContractStatus != "TRADING" || !ok {
			continue
		}
		in := md.Instrument{Venue: spec.Venue, Kind: kind, Native: s.Symbol}
		in.Symbol = token(s.BaseAsset) + "-" + token(s.QuoteAsset) + "-PERP"
		if _, day, dated := strings.Cut(s.Symbol, "_"); dated && day != "PERP" {
			in.Symbol = strings.TrimSuffix(in.Symbol, "PERP") + day
			in.Expiry = s.DeliveryDate * 1e6
		}
		var tick, lot string
		for _, f := range s.Filters {
			switch f.FilterType {
			case "PRICE_FILTER":
				tick = f.TickSize
			case "LOT_SIZE":
				lot = f.StepSize
			}
		}
		setSteps(&in, tick, lot, spec)
		in.ContractSize = md.Decimal{Mant: max(s.ContractSize, 1)}.Strip() // USD-M sizes are in the base
		each(in)
	}
	return nil
}

// Native implements Venue.
func (BinanceUSDM) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	if len(p) != 3 || p[0] == "" || p[1] == "" {
		return "", false
	}
	if isDay(p[2]) {
		return p[0] + p[1] + "_" + p[2], true
	}
	return p[0] + p[1], p[2] == "PERP"
}

// Symbol implements Venue: BTCUSDT is a perpetual, BTCUSDT_260327 expires.
func (BinanceUSDM) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	name, day, dated := strings.Cut(native, "_")
	base, quote, ok := splitQuote(name)
	if !dated {
		return base + "-" + quote + "-PERP", md.InstrumentPerp, ok
	}
	return base + "-" + quote + "-" + day, md.InstrumentFuture, ok && isDay(day)
}

// Native implements Venue.
func (BinanceCOINM) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	if len(p) != 3 || p[0] == "" || p[1] == "" {
		return "", false
	}
	return p[0] + p[1] + "_" + p[2], p[2] == "PERP" || isDay(p[2])
}

// Symbol implements Venue: BTCUSD_PERP is a perpetual, BTCUSD_260327 expires.
func (BinanceCOINM) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	name, day, dated := strings.Cut(native, "_")
	base, ok := strings.CutSuffix(name, "USD")
	ok = ok && dated && base != ""
	if day == "PERP" {
		return base + "-USD-PERP", md.InstrumentPerpInverse, ok
	}
	return base + "-USD-" + day, md.InstrumentFutureInverse, ok && isDay(day)
}
