package feeds

import (
	"encoding/json"
	"fmt"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Bitstamp) Catalogue(base string) []Request { return gets(base + "/api/v2/markets/") }

// DecodeCatalogue implements Venue, for the list of markets and the older one of
// trading pairs.
func (Bitstamp) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc []struct {
		Name, Trading string
		Market        string `json:"market_symbol"`
		Pair          string `json:"url_symbol"`
		Type          string `json:"market_type"`
		Base          int8   `json:"base_decimals"`
		Counter       int8   `json:"counter_decimals"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("bitstamp: instrument list: %w", err)
	}
	if len(doc) == 0 {
		return "", fmt.Errorf("bitstamp: instrument list is empty: %.100q", body)
	}
	for _, p := range doc {
		native := p.Market
		if native == "" {
			native = p.Pair
		}
		base, quote, ok := strings.Cut(p.Name, "/")
		if !ok || native == "" || p.Trading != "Enabled" || p.Type != "" && p.Type != "SPOT" ||
			p.Base < 0 || p.Base > 18 || p.Counter < 0 || p.Counter > 18 {
			continue
		}
		in := md.Instrument{Venue: md.VenueBitstamp, Kind: md.InstrumentSpot, Symbol: token(base) + "-" + token(quote), Native: native}
		setSteps(&in, places(p.Counter).String(), places(p.Base).String(), &bitstampSpec)
		each(in)
	}
	return "", nil
}

// Native implements Venue.
func (Bitstamp) Native(symbol string) (string, bool) {
	base, quote, ok := strings.Cut(symbol, "-")
	return strings.ToLower(base + quote), ok && base != "" && quote != "" && !strings.Contains(quote, "-")
}

// Symbol implements Venue: the quote is one of those of the venue.
func (Bitstamp) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	name := strings.ToUpper(native)
	for _, quote := range [...]string{"USDT", "USDC", "EURC", "USD", "EUR", "GBP", "BTC", "ETH", "PAX"} {
		if base, ok := strings.CutSuffix(name, quote); ok && base != "" {
			return token(base) + "-" + quote, md.InstrumentSpot, true
		}
	}
	return "", 0, false
}
