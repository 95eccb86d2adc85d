package sim

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// listing is what a market lists: an instrument's names and units. Prices are
// counted in 10^-priceDecimals of the quote and move in ticks, sizes in
// 10^-sizeDecimals of the base and move in lots.
type listing struct {
	symbol        string // BASE-QUOTE, with what follows for derivatives: -PERP …
	base, quote   string
	suffix        string // of the symbol, "" for spot, "PERP" and so on
	priceDecimals int
	sizeDecimals  int
	tick, lot     int64 // in the units above
	start         int64 // opening price, in the units above
	unit          int64 // a usual order, in lots
}

// native is the name without a dash that Binance and Bitget use.
func (l *listing) native() string { return l.base + l.quote }

// known lists the instruments with prices of their own: about the prices, ticks
// and lots that big spot exchanges have.
func known() []listing {
	return []listing{
		{symbol: "BTC-USDT", priceDecimals: 2, sizeDecimals: 5, tick: 1, lot: 1, start: 64_123_45, unit: 4_000},
		{symbol: "ETH-USDT", priceDecimals: 2, sizeDecimals: 4, tick: 1, lot: 1, start: 3_187_62, unit: 8_000},
		{symbol: "SOL-USDT", priceDecimals: 2, sizeDecimals: 3, tick: 1, lot: 1, start: 148_37, unit: 9_000},
		{symbol: "XRP-USDT", priceDecimals: 4, sizeDecimals: 1, tick: 1, lot: 1, start: 5_234, unit: 9_000},
		{symbol: "DOGE-USDT", priceDecimals: 5, sizeDecimals: 0, tick: 1, lot: 1, start: 12_871, unit: 12_000},
		{symbol: "ADA-USDT", priceDecimals: 4, sizeDecimals: 1, tick: 1, lot: 1, start: 4_518, unit: 9_000},
		{symbol: "LTC-USDT", priceDecimals: 2, sizeDecimals: 3, tick: 1, lot: 1, start: 83_41, unit: 9_000},
		{symbol: "ETH-BTC", priceDecimals: 5, sizeDecimals: 4, tick: 1, lot: 1, start: 4_971, unit: 8_000},
		{symbol: "BTC-USDC", priceDecimals: 2, sizeDecimals: 5, tick: 1, lot: 1, start: 64_119_80, unit: 2_000},
		{symbol: "PEPE-USDT", priceDecimals: 8, sizeDecimals: 0, tick: 1, lot: 1, start: 1_127, unit: 90_000_000},
	}
}

// newListing finds or makes up the listing of a symbol.
func newListing(symbol string) (listing, error) {
	base, rest, ok := strings.Cut(symbol, "-")
	quote, suffix, derived := strings.Cut(rest, "-")
	if !ok || base == "" || quote == "" || derived && suffix == "" || strings.ContainsAny(symbol, ". *>@/") {
		return listing{}, fmt.Errorf("sim: symbol %q is not BASE-QUOTE, or that with a suffix", symbol)
	}
	for _, l := range known() {
		if l.symbol == base+"-"+quote {
			l.symbol, l.base, l.quote, l.suffix = symbol, base, quote, suffix
			return l, nil
		}
	}
	// Others get a price between 1 and 1000 that their name alone decides.
	h := fnv.New64a()
	h.Write([]byte(symbol))
	return listing{
		symbol: symbol, base: base, quote: quote, suffix: suffix,
		priceDecimals: 3, sizeDecimals: 2, tick: 1, lot: 1,
		start: 1_000 + int64(h.Sum64()%999_000), unit: 5_000,
	}, nil
}
