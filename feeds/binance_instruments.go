package feeds

import (
	"encoding/json"
	"fmt"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Binance) Catalogue(base string) []Request { return gets(base + "/api/v3/exchangeInfo") }

// DecodeCatalogue implements Venue.
func (Binance) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Symbols []struct {
			Symbol, Status, BaseAsset, QuoteAsset string
			Filters                               []struct{ FilterType, TickSize, StepSize string }
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("binance: instrument list: %w", err)
	}
	if doc.Symbols == nil {
		return "", fmt.Errorf("binance: instrument list has no symbols: %.100q", body)
	}
	for _, s := range doc.Symbols {
		if s.Status != "TRADING" {
			continue
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
		in := md.Instrument{
			Venue: md.VenueBinance, Kind: md.InstrumentSpot,
			Symbol: token(s.BaseAsset) + "-" + token(s.QuoteAsset), Native: s.Symbol,
		}
		setSteps(&in, tick, lot, &binanceSpec)
		each(in)
	}
	return "", nil
}

// Native implements Venue.
func (Binance) Native(symbol string) (string, bool) {
	base, quote, ok := strings.Cut(symbol, "-")
	return base + quote, ok && base != "" && quote != "" && !strings.Contains(quote, "-")
}

// Symbol implements Venue: the quote is the longest one of the known that ends
// the name, because Binance writes base and quote in one word.
func (Binance) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	base, quote, ok := splitQuote(native)
	return base + "-" + quote, md.InstrumentSpot, ok
}
