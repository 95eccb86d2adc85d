package feeds

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tickrelay/ring/md"
)

// Catalogue implements Venue. Contracts are listed in pages.
func (v Bybit) Catalogue(base string) []Request {
	category := [...]string{"spot", "linear", "inverse"}[v.Category]
	return gets(base + "/v5/market/instruments-info?category=" + category + "&status=Trading&limit=1000")
}

// DecodeCatalogue implements Venue.
func (v Bybit) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		RetCode int
		RetMsg  string
		Result  *struct {
			Category       string
			NextPageCursor string
			List           []struct {
				Symbol, Status, BaseCoin, QuoteCoin, ContractType, DeliveryTime string
				PriceFilter                                                     struct{ TickSize string }
				LotSizeFilter                                                   struct{ BasePrecision, QtyStep string }
			}
		}
	}
	name := v.Spec().Name
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("%s: instrument list: %w", name, err)
	}
	if doc.RetCode != 0 || doc.Result == nil {
		return "", fmt.Errorf("%s: instrument list refused: code %d: %s", name, doc.RetCode, doc.RetMsg)
	}
	if doc.Result.Category != "" && doc.Result.Category != [...]string{"spot", "linear", "inverse"}[v.Category] {
		return "", fmt.Errorf("%s: instrument list of category %q", name, doc.Result.Category)
	}
	for _, s := range doc.Result.List {
		symbol, kind, ok := v.Symbol(s.Symbol, "")
		if s.Status != "Trading" || v.Category != BybitSpot && !ok {
			continue
		}
		pair := token(s.BaseCoin) + "-" + token(s.QuoteCoin)
		in := md.Instrument{Venue: v.Spec().Venue, Kind: kind, Symbol: pair, Native: s.Symbol}
		lot := s.LotSizeFilter.BasePrecision
		if v.Category == BybitSpot {
			in.Kind = md.InstrumentSpot
		} else {
			lot, in.ContractSize = s.LotSizeFilter.QtyStep, md.Decimal{Mant: 1}
			in.Symbol += symbol[strings.LastIndexByte(symbol, '-'):]
		}
		if ms, err := strconv.ParseInt(s.DeliveryTime, 10, 64); err == nil && ms > 0 && ms < 1<<43 {
			in.Expiry = ms * 1e6
			in.Symbol = pair + "-" + expiryDay(in.Expiry)
		}
		setSteps(&in, s.PriceFilter.TickSize, lot, v.Spec())
		each(in)
	}
	if c := doc.Result.NextPageCursor; c != "" {
		return "&cursor=" + url.QueryEscape(c), nil
	}
	return "", nil
}

const (
	bybitDay    = "2Jan06"       // of dated linear futures: BTCUSDT-26DEC25
	bybitMonths = "FGHJKMNQUVXZ" // of dated inverse futures: BTCUSDZ25
)

// Native implements Venue.
func (v Bybit) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	if len(p) < 2 || p[0] == "" || p[1] == "" {
		return "", false
	}
	switch {
	case v.Category == BybitSpot:
		return p[0] + p[1], len(p) == 2
	case len(p) != 3:
		return "", false
	case p[2] == "PERP" && v.Category == BybitLinear && p[1] == "USDC":
		return p[0] + "PERP", true
	case p[2] == "PERP":
		return p[0] + p[1], true
	case !isDay(p[2]):
		return "", false
	}
	day, err := time.Parse("060102", p[2])
	if err != nil {
		return "", false
	}
	if v.Category == BybitInverse {
		return p[0] + p[1] + string(bybitMonths[day.Month()-1]) + p[2][:2], true
	}
	text := "-" + strings.ToUpper(day.Format("02Jan06"))
	if p[1] == "USDC" {
		return p[0] + text, true
	}
	return p[0] + p[1] + text, true
}

// Symbol implements Venue.
func (v Bybit) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	switch v.Category {
	case BybitSpot:
		base, quote, ok := splitQuote(native)
		return base + "-" + quote, md.InstrumentSpot, ok
	case BybitLinear:
		return bybitLinear(native)
	}
	if base, ok := strings.CutSuffix(native, "USD"); ok {
		return base + "-USD-PERP", md.InstrumentPerpInverse, base != ""
	}
	base, code, ok := strings.Cut(native, "USD")
	if !ok || base == "" || len(code) != 3 {
		return "", 0, false
	}
	month := strings.IndexByte(bybitMonths, code[0])
	year, err := strconv.Atoi(code[1:])
	if month < 0 || err != nil || year < 0 {
		return "", 0, false
	}
	return base + "-USD-" + lastFriday(2000+year, time.Month(month+1)), md.InstrumentFutureInverse, true
}

// bybitLinear names linear contracts: BTCUSDT, BTCPERP (in USDC),
// BTCUSDT-26DEC25, BTC-26DEC25 (in USDC).
func bybitLinear(native string) (string, md.InstrumentKind, bool) {
	name, text, dated := strings.Cut(native, "-")
	if !dated {
		if base, ok := strings.CutSuffix(native, "PERP"); ok && base != "" {
			return base + "-USDC-PERP", md.InstrumentPerp, true
		}
		base, quote, ok := splitQuote(native)
		return base + "-" + quote + "-PERP", md.InstrumentPerp, ok
	}
	day, err := time.Parse(bybitDay, text)
	if err != nil || name == "" {
		return "", 0, false
	}
	base, quote := name, "USDC"
	if b, ok := strings.CutSuffix(name, "USDT"); ok && b != "" {
		base, quote = b, "USDT"
	}
	return base + "-" + quote + "-" + day.Format("060102"), md.InstrumentFuture, true
}

// lastFriday is the day on which the futures of a month expire.
func lastFriday(year int, month time.Month) string {
	day := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC)
	for day.Weekday() != time.Friday {
		day = day.AddDate(0, 0, -1)
	}
	return day.Format("060102")
}
