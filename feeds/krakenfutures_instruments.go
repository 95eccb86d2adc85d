package feeds

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (KrakenFutures) Catalogue(base string) []Request {
	return gets(base + "/derivatives/api/v3/instruments")
}

// DecodeCatalogue implements Venue.
func (KrakenFutures) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Result, Error string
		Instruments   []struct {
			Symbol, LastTradingTime string
			Tradeable               bool
			TickSize, ContractSize  json.Number
			Precision               int8 `json:"contractValueTradePrecision"`
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("kraken-futures: instrument list: %w", err)
	}
	if doc.Result != "success" || doc.Instruments == nil {
		return "", fmt.Errorf("kraken-futures: instrument list refused: %s %.100q", doc.Error, body)
	}
	for _, s := range doc.Instruments {
		native := strings.ToUpper(s.Symbol) // older lists have small letters
		symbol, kind, ok := KrakenFutures{}.Symbol(native, "")
		if !ok || !s.Tradeable || s.Precision < -18 || s.Precision > 18 {
			continue
		}
		in := md.Instrument{Venue: md.VenueKrakenFutures, Kind: kind, Symbol: symbol, Native: native}
		setSteps(&in, s.TickSize.String(), places(s.Precision).String(), &krakenFuturesSpec)
		if size, err := md.ParseDecimal([]byte(s.ContractSize)); err == nil && size.Mant > 0 {
			in.ContractSize = size.Strip()
		}
		if at, err := time.Parse(time.RFC3339, s.LastTradingTime); err == nil {
			in.Expiry = at.UnixNano()
		}
		each(in)
	}
	return "", nil
}

// krakenFuturesKinds are the classes of products by prefix. The linear ones have
// the plain symbol, the inverse ones, margined in the coin, one with -INV.
var krakenFuturesKinds = [...]struct {
	prefix  string
	kind    md.InstrumentKind
	dated   bool
	inverse bool
}{
	{"PF_", md.InstrumentPerp, false, false},
	{"PI_", md.InstrumentPerpInverse, false, true},
	{"PV_", md.InstrumentPerp, false, false},
	{"FF_", md.InstrumentFuture, true, false},
	{"FI_", md.InstrumentFutureInverse, true, true},
	{"FV_", md.InstrumentFuture, true, false},
}

// Native implements Venue. Contracts quoted in BTC are "vanilla" ones.
func (KrakenFutures) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	inverse := len(p) == 4 && p[3] == "INV"
	if len(p) != 3 && !inverse || p[0] == "" || p[1] == "" || p[2] != "PERP" && !isDay(p[2]) {
		return "", false
	}
	dated := p[2] != "PERP"
	class := "F"
	switch {
	case inverse:
		class = "I"
	case p[1] == "BTC":
		class = "V"
	}
	name := class + "_" + krakenFuturesAsset(p[0]) + krakenFuturesAsset(p[1])
	if dated {
		return "F" + name + "_" + p[2], true
	}
	return "P" + name, true
}

// krakenFuturesAsset is how the venue calls an asset.
func krakenFuturesAsset(name string) string {
	if name == "BTC" {
		return "XBT"
	}
	return name
}

// Symbol implements Venue.
func (KrakenFutures) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	for _, k := range krakenFuturesKinds {
		pair, ok := strings.CutPrefix(native, k.prefix)
		if !ok {
			continue
		}
		pair, day, dated := strings.Cut(pair, "_")
		if dated != k.dated || dated && !isDay(day) {
			return "", 0, false
		}
		base, quote := krakenFuturesPair(pair)
		if base == "" {
			return "", 0, false
		}
		symbol := token(krakenAsset(base)) + "-" + krakenAsset(quote)
		if dated {
			symbol += "-" + day
		} else {
			symbol += "-PERP"
		}
		if k.inverse {
			symbol += "-INV"
		}
		return symbol, k.kind, true
	}
	return "", 0, false
}

// krakenFuturesPair splits a name at the quote that ends it.
func krakenFuturesPair(pair string) (base, quote string) {
	for _, quote := range [...]string{"USD", "XBT", "EUR", "GBP", "USDT", "USDC"} {
		if base, ok := strings.CutSuffix(pair, quote); ok {
			return base, quote
		}
	}
	return "", ""
}
