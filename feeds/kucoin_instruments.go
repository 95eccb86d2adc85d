package feeds

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tickrelay/ring/md"
)

// Catalogue implements Venue.
func (Kucoin) Catalogue(base string) []Request { return gets(base + "/api/v2/symbols") }

// Catalogue implements Venue.
func (KucoinFutures) Catalogue(base string) []Request { return gets(base + "/api/v1/contracts/active") }

// kucoinList reads the list of an answer.
func kucoinList(name string, body []byte, list any) error {
	var doc struct {
		Code, Msg string
		Data      json.RawMessage
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("%s: instrument list: %w", name, err)
	}
	if doc.Code != "200000" {
		return fmt.Errorf("%s: instrument list refused: code %q: %s", name, doc.Code, doc.Msg)
	}
	if err := json.Unmarshal(doc.Data, list); err != nil {
		return fmt.Errorf("%s: instrument list: %w", name, err)
	}
	return nil
}

// DecodeCatalogue implements Venue.
func (Kucoin) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var list []struct {
		Symbol, PriceIncrement, BaseIncrement string
		EnableTrading                         bool
	}
	if err := kucoinList("kucoin", body, &list); err != nil {
		return "", err
	}
	for _, s := range list {
		symbol, kind, ok := Kucoin{}.Symbol(s.Symbol, "")
		if !s.EnableTrading || !ok {
			continue
		}
		in := md.Instrument{Venue: md.VenueKucoin, Kind: kind, Symbol: symbol, Native: s.Symbol}
		setSteps(&in, s.PriceIncrement, s.BaseIncrement, &kucoinSpec)
		each(in)
	}
	return "", nil
}

// DecodeCatalogue implements Venue. The multiplier of inverse contracts is
// negative: USD per contract.
func (KucoinFutures) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var list []struct {
		Symbol, BaseCurrency, QuoteCurrency, Status string
		IsInverse                                   bool
		Multiplier, TickSize, LotSize               json.Number
		ExpireDate                                  int64
	}
	if err := kucoinList("kucoin-futures", body, &list); err != nil {
		return "", err
	}
	for _, s := range list {
		if s.Status != "Open" || s.BaseCurrency == "" || s.QuoteCurrency == "" {
			continue
		}
		in := md.Instrument{Venue: md.VenueKucoinFutures, Kind: md.InstrumentPerp, Native: s.Symbol,
			Symbol: kucoinCoin(s.BaseCurrency) + "-" + token(s.QuoteCurrency) + "-PERP"}
		if s.ExpireDate > 0 {
			in.Expiry, in.Kind = s.ExpireDate*1e6, md.InstrumentFuture
			in.Symbol = strings.TrimSuffix(in.Symbol, "PERP") + expiryDay(in.Expiry)
		}
		if s.IsInverse {
			in.Kind++
		}
		setSteps(&in, s.TickSize.String(), s.LotSize.String(), &kucoinFuturesSpec)
		if v, err := md.ParseDecimal([]byte(strings.TrimPrefix(s.Multiplier.String(), "-"))); err == nil {
			in.ContractSize = v.Strip()
		}
		each(in)
	}
	return "", nil
}

// kucoinCoin is a base currency as symbols have it.
func kucoinCoin(s string) string {
	if s == "XBT" {
		return "BTC"
	}
	return token(s)
}

// Native implements Venue.
func (Kucoin) Native(symbol string) (string, bool) {
	base, quote, ok := strings.Cut(symbol, "-")
	return symbol, ok && base != "" && quote != "" && !strings.Contains(quote, "-")
}

// Symbol implements Venue.
func (Kucoin) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	base, quote, ok := strings.Cut(native, "-")
	return token(base) + "-" + token(quote), md.InstrumentSpot, ok && base != "" && quote != "" && !strings.Contains(quote, "-")
}

// Native implements Venue.
func (KucoinFutures) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	if len(p) != 3 || p[0] == "" || p[1] == "" {
		return "", false
	}
	if p[0] == "BTC" {
		p[0] = "XBT"
	}
	if p[2] == "PERP" {
		return p[0] + p[1] + "M", true
	}
	day, err := time.Parse("060102", p[2])
	if err != nil || p[1] != "USD" {
		return "", false
	}
	return p[0] + "M" + string(bybitMonths[day.Month()-1]) + p[2][:2], true
}

// Symbol implements Venue: XBTUSDTM and XBTUSDM do not expire, XBTMZ25 does, on
// the last Friday of the month.
func (KucoinFutures) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	if name, ok := strings.CutSuffix(native, "M"); ok {
		for _, quote := range [...]string{"USDT", "USDC", "USD"} {
			base, ok := strings.CutSuffix(name, quote)
			if !ok || base == "" {
				continue
			}
			if quote == "USD" {
				return kucoinCoin(base) + "-USD-PERP", md.InstrumentPerpInverse, true
			}
			return kucoinCoin(base) + "-" + quote + "-PERP", md.InstrumentPerp, true
		}
		return "", 0, false
	}
	if len(native) < 5 || native[len(native)-4] != 'M' {
		return "", 0, false
	}
	month := strings.IndexByte(bybitMonths, native[len(native)-3])
	year, err := strconv.Atoi(native[len(native)-2:])
	if month < 0 || err != nil || year < 0 {
		return "", 0, false
	}
	day := lastFriday(2000+year, time.Month(month+1))
	return kucoinCoin(native[:len(native)-4]) + "-USD-" + day, md.InstrumentFutureInverse, true
}
