package feeds

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Kraken) Catalogue(base string) []Request { return gets(base + "/0/public/AssetPairs") }

// DecodeCatalogue implements Venue. The list has the names of v1.
func (Kraken) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Error  []string
		Result map[string]struct {
			WSName, Status string
			Pair           int8   `json:"pair_decimals"`
			Lot            int8   `json:"lot_decimals"`
			Tick           string `json:"tick_size"`
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("kraken: instrument list: %w", err)
	}
	if len(doc.Error) > 0 || doc.Result == nil {
		return "", fmt.Errorf("kraken: instrument list refused: %s %.100q", strings.Join(doc.Error, ", "), body)
	}
	names := make([]string, 0, len(doc.Result))
	for name := range doc.Result {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := doc.Result[name]
		symbol, kind, ok := Kraken{}.Symbol(p.WSName, "")
		if !ok || p.Status == "delisted" || p.Pair < 0 || p.Pair > 30 || p.Lot < 0 || p.Lot > 30 {
			continue
		}
		in := md.Instrument{Venue: md.VenueKraken, Kind: kind, Symbol: symbol, Native: krakenName(p.WSName)}
		tick, lot := p.Tick, places(p.Lot).String()
		if tick == "" {
			tick = places(p.Pair).String()
		}
		setSteps(&in, tick, lot, &krakenSpec)
		each(in)
	}
	return "", nil
}

// krakenName is a pair's name in v2, given that of v1 or v2.
func krakenName(pair string) string {
	base, quote, _ := strings.Cut(pair, "/")
	return krakenAsset(base) + "/" + krakenAsset(quote)
}

// krakenAsset is an asset's name in v2: v1 had others for two of them.
func krakenAsset(name string) string {
	switch name {
	case "XBT":
		return "BTC"
	case "XDG":
		return "DOGE"
	}
	return name
}

// Native implements Venue.
func (Kraken) Native(symbol string) (string, bool) {
	base, quote, ok := strings.Cut(symbol, "-")
	return base + "/" + quote, ok && base != "" && quote != "" && !strings.Contains(quote, "-")
}

// Symbol implements Venue, for names of v2 and v1.
func (Kraken) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	base, quote, ok := strings.Cut(native, "/")
	if !ok || base == "" || quote == "" || strings.ContainsAny(quote, "/-") || strings.Contains(base, "-") {
		return "", 0, false
	}
	return token(krakenAsset(base)) + "-" + token(krakenAsset(quote)), md.InstrumentSpot, true
}
