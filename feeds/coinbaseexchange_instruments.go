package feeds

import (
	"encoding/json"
	"fmt"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (CoinbaseExchange) Catalogue(base string) []Request { return gets(base + "/products") }

// DecodeCatalogue implements Venue.
func (CoinbaseExchange) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc []struct {
		ID        string
		Status    string
		QuoteStep string `json:"quote_increment"`
		BaseStep  string `json:"base_increment"`
		Disabled  bool   `json:"trading_disabled"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("coinbase-exchange: instrument list: %w", err)
	}
	if len(doc) == 0 {
		return "", fmt.Errorf("coinbase-exchange: instrument list is empty: %.100q", body)
	}
	for _, p := range doc {
		symbol, kind, ok := CoinbaseExchange{}.Symbol(p.ID, "")
		if !ok || p.Disabled || p.Status != "online" {
			continue
		}
		in := md.Instrument{Venue: md.VenueCoinbaseExchange, Kind: kind, Symbol: symbol, Native: p.ID}
		setSteps(&in, p.QuoteStep, p.BaseStep, &coinbaseExchangeSpec)
		each(in)
	}
	return "", nil
}

// Native implements Venue.
func (CoinbaseExchange) Native(symbol string) (string, bool) { return dashed(symbol) }

// Symbol implements Venue.
func (CoinbaseExchange) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	symbol, ok := dashed(native)
	return symbol, md.InstrumentSpot, ok
}
