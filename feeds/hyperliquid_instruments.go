package feeds

import (
	"encoding/json"
	"fmt"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue: perpetuals of the venue's own, then spot.
func (Hyperliquid) Catalogue(base string) []Request {
	return []Request{
		{URL: base + "/info", Body: []byte(`{"type":"meta"}`)},
		{URL: base + "/info", Body: []byte(`{"type":"spotMeta"}`)},
	}
}

// Decimals that a price may have at most, less those of the size.
const (
	hyperliquidPerpDecimals = 6
	hyperliquidSpotDecimals = 8
)

// hyperliquidPair is an entry of a universe.
type hyperliquidPair struct {
	Name       string
	SzDecimals int8
	IsDelisted bool
	Tokens     []int
}

// DecodeCatalogue implements Venue. The tick is the least that a price may have;
// five significant digits bound it from above.
func (Hyperliquid) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Universe []hyperliquidPair
		Tokens   []struct {
			Name       string
			SzDecimals int8
			Index      int
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("hyperliquid: instrument list: %w", err)
	}
	if doc.Universe == nil {
		return "", fmt.Errorf("hyperliquid: instrument list has no universe: %.100q", body)
	}
	add := func(symbol, native string, kind md.InstrumentKind, size, decimals int8) {
		if size < 0 || size > decimals || md.CheckToken(symbol) != nil {
			return
		}
		in := md.Instrument{Venue: md.VenueHyperliquid, Kind: kind, Symbol: symbol, Native: native}
		setSteps(&in, places(decimals-size).String(), places(size).String(), &hyperliquidSpec)
		if kind == md.InstrumentPerp {
			in.ContractSize = md.Decimal{Mant: 1}
		}
		each(in)
	}
	if doc.Tokens == nil {
		for _, p := range doc.Universe {
			if !p.IsDelisted {
				symbol, kind, _ := Hyperliquid{}.Symbol(p.Name, "")
				add(symbol, p.Name, kind, p.SzDecimals, hyperliquidPerpDecimals)
			}
		}
		return "", nil
	}
	names, sizes := map[int]string{}, map[int]int8{}
	for _, t := range doc.Tokens {
		names[t.Index], sizes[t.Index] = token(t.Name), t.SzDecimals
	}
	listed := map[string]bool{} // anybody may name a token as another is named: the first one counts
	for _, p := range doc.Universe {
		if len(p.Tokens) != 2 || names[p.Tokens[0]] == "" || names[p.Tokens[1]] == "" {
			continue
		}
		symbol := names[p.Tokens[0]] + "-" + names[p.Tokens[1]]
		if !listed[symbol] {
			listed[symbol] = true
			add(symbol, p.Name, md.InstrumentSpot, sizes[p.Tokens[0]], hyperliquidSpotDecimals)
		}
	}
	return "", nil
}

// Native implements Venue. Most spot pairs have numbers for names, which the
// catalogue alone tells.
func (Hyperliquid) Native(symbol string) (string, bool) {
	coin, ok := strings.CutSuffix(symbol, "-USD-PERP")
	return coin, ok && coin != ""
}

// Symbol implements Venue: perpetuals, quoted in USD and paid in USDC, and the
// one spot pair that has a name. Names are in the venue's capitals: kPEPE is a
// thousand PEPE.
func (Hyperliquid) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	if base, quote, spot := strings.Cut(native, "/"); spot {
		return token(base) + "-" + token(quote), md.InstrumentSpot, base != "" && quote != ""
	}
	if native == "" || native[0] == '@' {
		return "", 0, false
	}
	return token(native) + "-USD-PERP", md.InstrumentPerp, true
}
