package feeds

import (
	"encoding/json"
	"fmt"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Bitfinex) Catalogue(base string) []Request {
	return gets(base+"/v2/conf/pub:list:pair:exchange", base+"/v2/conf/pub:list:pair:futures")
}

// DecodeCatalogue implements Venue: names alone. Prices have five significant
// digits, so that there is no tick; sizes have eight decimals.
func (Bitfinex) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var lists [][]string
	if err := json.Unmarshal(body, &lists); err != nil {
		return "", fmt.Errorf("bitfinex: list of pairs: %w", err)
	}
	if len(lists) == 0 {
		return "", fmt.Errorf("bitfinex: list of pairs: no list in %.100q", body)
	}
	for _, pairs := range lists {
		for _, p := range pairs {
			if len(p) < 6 {
				return "", fmt.Errorf("bitfinex: list of pairs: %q is none", p)
			}
		}
		for _, p := range pairs {
			symbol, kind, ok := Bitfinex{}.Symbol("t"+p, "")
			if !ok {
				continue
			}
			in := md.Instrument{Venue: md.VenueBitfinex, Kind: kind, Symbol: symbol, Native: "t" + p,
				PriceExp: bitfinexSpec.PriceExp, SizeExp: bitfinexSpec.SizeExp, Lot: places(8)}
			if kind == md.InstrumentPerp {
				in.ContractSize = md.Decimal{Mant: 1}
			}
			each(in)
		}
	}
	return "", nil
}

// bitfinexAliases are assets that the venue calls by other names than the world
// (https://api-pub.bitfinex.com/v2/conf/pub:map:currency:sym).
var bitfinexAliases = [...][2]string{
	{"UST", "USDT"}, {"UDC", "USDC"}, {"EUT", "EURT"}, {"TSD", "TUSD"}, {"ALG", "ALGO"}, {"ATO", "ATOM"},
	{"DSH", "DASH"}, {"IOT", "IOTA"}, {"MNA", "MANA"}, {"QTM", "QTUM"},
}

func bitfinexAsset(name string) string {
	for _, a := range bitfinexAliases {
		if a[0] == name {
			return a[1]
		}
	}
	return name
}

// Native implements Venue.
func (Bitfinex) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	perp := len(p) == 3 && p[2] == "PERP"
	if len(p) != 2 && !perp || p[0] == "" || p[1] == "" {
		return "", false
	}
	for k := range p[:2] {
		for _, a := range bitfinexAliases {
			if a[1] == p[k] {
				p[k] = a[0]
			}
		}
	}
	switch {
	case perp:
		return "t" + p[0] + "F0:" + p[1] + "F0", true
	case len(p[0]) == 3 && len(p[1]) == 3:
		return "t" + p[0] + p[1], true
	}
	return "t" + p[0] + ":" + p[1], true
}

// Symbol implements Venue. Perpetuals are pairs of assets that end in F0.
func (Bitfinex) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	name, ok := strings.CutPrefix(native, "t")
	base, quote, colon := strings.Cut(name, ":")
	if !colon && len(name) == 6 {
		base, quote = name[:3], name[3:]
	}
	if !ok || base == "" || quote == "" || strings.ContainsAny(name, "-") || strings.Contains(quote, ":") {
		return "", 0, false
	}
	b, perp := strings.CutSuffix(base, "F0")
	q, linear := strings.CutSuffix(quote, "F0")
	if perp != linear || b == "" || q == "" {
		return "", 0, false
	}
	symbol := token(bitfinexAsset(b)) + "-" + token(bitfinexAsset(q))
	if perp {
		return symbol + "-PERP", md.InstrumentPerp, true
	}
	return symbol, md.InstrumentSpot, true
}
