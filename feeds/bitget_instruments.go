package feeds

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Bitget) Catalogue(base string) []Request {
	mix := base + "/api/v2/mix/market/contracts?productType="
	return gets(base+"/api/v2/spot/public/symbols", mix+"USDT-FUTURES", mix+"USDC-FUTURES", mix+"COIN-FUTURES")
}

// bitgetSymbol is an entry of an instrument list of v1 or v2, spot or futures.
type bitgetSymbol struct {
	Symbol, SymbolName, BaseCoin, QuoteCoin string

	Status, SymbolStatus         string // spot; futures of v2
	PricePrecision, PriceScale   string // spot: decimals of prices, v2 and v1
	QuantityPrecision            string
	QuantityScale                string
	PricePlace, VolumePlace      string // futures: decimals
	PriceEndStep, SizeMultiplier string // futures: last digit's step; size step (v2)
	SymbolType                   string // futures of v2: perpetual, delivery
	DeliveryTime                 string // ms
}

// DecodeCatalogue implements Venue.
func (Bitget) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Code, Msg string
		Data      []bitgetSymbol
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("bitget: instrument list: %w", err)
	}
	if doc.Code != "00000" {
		return "", fmt.Errorf("bitget: instrument list refused: code %q: %s", doc.Code, doc.Msg)
	}
	for k := range doc.Data {
		if in, ok := doc.Data[k].instrument(); ok {
			each(in)
		}
	}
	return "", nil
}

func (s *bitgetSymbol) instrument() (md.Instrument, bool) {
	if s.BaseCoin == "" || s.QuoteCoin == "" {
		return md.Instrument{}, false
	}
	in := md.Instrument{Venue: md.VenueBitget, Native: s.SymbolName, Symbol: token(s.BaseCoin) + "-" + token(s.QuoteCoin)}
	if in.Native == "" {
		in.Native, _, _ = strings.Cut(s.Symbol, "_") // v1 appends _UMCBL and the like
	}
	if s.PricePlace == "" { // spot
		in.Kind = md.InstrumentSpot
		in.Tick, in.PriceExp = decimals(s.PricePrecision+s.PriceScale, bitgetSpec.PriceExp)
		in.Lot, in.SizeExp = decimals(s.QuantityPrecision+s.QuantityScale, bitgetSpec.SizeExp)
		return in, s.Status == "online"
	}
	inverse := s.QuoteCoin == "USD"
	switch {
	case s.SymbolType == "delivery":
		ms, err := strconv.ParseInt(s.DeliveryTime, 10, 64)
		if err != nil || ms <= 0 || ms > 1<<43 {
			return in, false
		}
		in.Expiry = ms * 1e6
		in.Symbol += "-" + expiryDay(in.Expiry)
		if in.Kind = md.InstrumentFuture; inverse {
			in.Kind = md.InstrumentFutureInverse
		}
	case inverse:
		in.Symbol, in.Kind = in.Symbol+"-PERP", md.InstrumentPerpInverse
	default:
		in.Symbol, in.Kind = in.Symbol+"-PERP", md.InstrumentPerp
	}
	in.Tick, in.PriceExp = decimals(s.PricePlace, bitgetSpec.PriceExp)
	if end, err := md.ParseDecimal([]byte(s.PriceEndStep)); err == nil && in.Tick.Mant != 0 {
		in.Tick = product(in.Tick, end)
	}
	in.Lot, in.SizeExp = decimals(s.VolumePlace, bitgetSpec.SizeExp)
	if s.SizeMultiplier != "" {
		in.Lot, _ = step(s.SizeMultiplier, in.SizeExp)
	}
	if !inverse {
		in.ContractSize = md.Decimal{Mant: 1} // sizes are in the base coin
	}
	return in, s.SymbolStatus == "" || s.SymbolStatus == "normal"
}

// decimals reads a number of decimals as the step that it allows.
func decimals(text string, otherwise int8) (md.Decimal, int8) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 18 {
		return md.Decimal{}, otherwise
	}
	return places(int8(n)), int8(-n)
}

// Native implements Venue.
func (Bitget) Native(symbol string) (string, bool) {
	p := strings.Split(strings.TrimSuffix(symbol, "-INV"), "-")
	switch {
	case len(p) < 2 || p[0] == "" || p[1] == "":
		return "", false
	case len(p) == 2:
		return p[0] + p[1], true
	case len(p) == 3 && p[2] == "PERP" && p[1] == "USDC":
		return p[0] + "PERP", true
	case len(p) == 3 && p[2] == "PERP":
		return p[0] + p[1], true
	}
	return "", false // delivery contracts are named by month codes
}

// Symbol implements Venue; class is the instType of v1, v2 or v3.
func (Bitget) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	var base, quote string
	ok := false
	switch strings.ToLower(class) {
	case "spot", "sp", "":
		base, quote, ok = splitQuote(native)
		return base + "-" + quote, md.InstrumentSpot, ok
	case "usdt-futures":
		base, ok = strings.CutSuffix(native, "USDT")
		quote = "USDT"
	case "usdc-futures":
		base, ok = strings.CutSuffix(native, "PERP")
		quote = "USDC"
	case "coin-futures":
		base, ok = strings.CutSuffix(native, "USD")
		quote = "USD"
	case "mc":
		for _, c := range [...][2]string{{"USDT", "USDT"}, {"PERP", "USDC"}, {"USD", "USD"}} {
			if base, ok = strings.CutSuffix(native, c[0]); ok {
				quote = c[1]
				break
			}
		}
	}
	kind := md.InstrumentPerp
	if quote == "USD" {
		kind = md.InstrumentPerpInverse
	}
	return base + "-" + quote + "-PERP", kind, ok && base != ""
}
