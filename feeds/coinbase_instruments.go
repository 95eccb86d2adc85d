package feeds

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Coinbase) Catalogue(base string) []Request {
	return gets(base + "/api/v3/brokerage/market/products?product_type=SPOT")
}

// DecodeCatalogue implements Venue.
func (Coinbase) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Products []struct {
			ID        string `json:"product_id"`
			Type      string `json:"product_type"`
			Alias     string
			Status    string
			Disabled  bool   `json:"is_disabled"`
			Halted    bool   `json:"trading_disabled"`
			ViewOnly  bool   `json:"view_only"`
			PriceStep string `json:"price_increment"`
			QuoteStep string `json:"quote_increment"`
			BaseStep  string `json:"base_increment"`
		}
		Pagination struct {
			Next string `json:"next_cursor"`
			More bool   `json:"has_next"`
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("coinbase: instrument list: %w", err)
	}
	if doc.Products == nil {
		return "", fmt.Errorf("coinbase: instrument list has no products: %.100q", body)
	}
	for _, p := range doc.Products {
		symbol, kind, ok := Coinbase{}.Symbol(p.ID, "")
		if !ok || p.Type != "SPOT" || p.Alias != "" || p.Disabled || p.Halted || p.ViewOnly || p.Status != "" && p.Status != "online" {
			continue
		}
		if p.PriceStep == "" {
			p.PriceStep = p.QuoteStep
		}
		in := md.Instrument{Venue: md.VenueCoinbase, Kind: kind, Symbol: symbol, Native: p.ID}
		setSteps(&in, p.PriceStep, p.BaseStep, &coinbaseSpec)
		each(in)
	}
	if doc.Pagination.More && doc.Pagination.Next != "" {
		return "&cursor=" + url.QueryEscape(doc.Pagination.Next), nil
	}
	return "", nil
}

// Native implements Venue.
func (Coinbase) Native(symbol string) (string, bool) { return dashed(symbol) }

// Symbol implements Venue.
func (Coinbase) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	symbol, ok := dashed(native)
	return symbol, md.InstrumentSpot, ok
}

// dashed is the name of a spot market where the venue's is the same as ours.
func dashed(name string) (string, bool) {
	base, quote, ok := strings.Cut(name, "-")
	return name, ok && base != "" && quote != "" && !strings.ContainsAny(name, ". *>") && !strings.Contains(quote, "-")
}
