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
func (Deribit) Catalogue(base string) []Request {
	return gets(base + "/api/v2/public/get_instruments?currency=any&expired=false")
}

// DecodeCatalogue implements Venue. Combinations of instruments are left out:
// their prices are differences.
func (Deribit) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Error  *struct{ Message string }
		Result []struct {
			Name   string      `json:"instrument_name"`
			Kind   string      `json:"kind"`
			Type   string      `json:"future_type"`
			Active bool        `json:"is_active"`
			Tick   json.Number `json:"tick_size"`
			Lot    json.Number `json:"min_trade_amount"`
			Period string      `json:"settlement_period"`
			Expiry int64       `json:"expiration_timestamp"` // ms
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("deribit: instrument list: %w", err)
	}
	if doc.Error != nil || doc.Result == nil {
		return "", fmt.Errorf("deribit: instrument list refused: %.200q", body)
	}
	for k := range doc.Result {
		s := &doc.Result[k]
		symbol, kind, ok := Deribit{}.Symbol(s.Name, "")
		if !ok || !s.Active || strings.HasSuffix(s.Kind, "combo") {
			continue
		}
		in := md.Instrument{Venue: md.VenueDeribit, Kind: kind, Symbol: symbol, Native: s.Name}
		if kind != md.InstrumentSpot {
			in.ContractSize = md.Decimal{Mant: 1} // amounts are not counted in contracts
		}
		if s.Kind != "spot" && s.Period != "perpetual" && s.Expiry > 0 && s.Expiry < 1<<43 {
			in.Expiry = s.Expiry * 1e6
		}
		setSteps(&in, s.Tick.String(), s.Lot.String(), &deribitSpec)
		each(in)
	}
	return "", nil
}

// Native implements Venue.
func (Deribit) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	if len(p) < 2 || p[0] == "" || p[1] == "" {
		return "", false
	}
	name := p[0]
	if p[1] != "USD" || len(p) == 2 {
		name += "_" + p[1]
	}
	switch {
	case len(p) == 2:
		return name, true
	case len(p) == 3 && p[2] == "PERP":
		return name + "-PERPETUAL", true
	case len(p) == 3 || len(p) == 5:
		day, ok := deribitDay(p[2])
		if !ok {
			return "", false
		}
		return strings.Join(append([]string{name, day}, p[3:]...), "-"), true
	}
	return "", false
}

// Symbol implements Venue. What has no quote currency in its name is quoted in
// USD and margined in the coin; a strike has d for its point, as our symbols.
func (Deribit) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	p := strings.Split(native, "-")
	base, quote, linear := strings.Cut(p[0], "_")
	if !linear {
		quote = "USD"
	}
	if base == "" || quote == "" || strings.Contains(quote, "_") {
		return "", 0, false
	}
	pair := token(base) + "-" + token(quote)
	if len(p) == 1 {
		return pair, md.InstrumentSpot, linear
	}
	if len(p) == 2 && p[1] == "PERPETUAL" {
		if linear {
			return pair + "-PERP", md.InstrumentPerp, true
		}
		return pair + "-PERP", md.InstrumentPerpInverse, true
	}
	t, err := time.Parse("2Jan06", p[1])
	if err != nil {
		return "", 0, false
	}
	day := expiryDay(t.UnixNano())
	switch {
	case len(p) == 2 && linear:
		return pair + "-" + day, md.InstrumentFuture, true
	case len(p) == 2:
		return pair + "-" + day, md.InstrumentFutureInverse, true
	case len(p) == 4 && (p[3] == "C" || p[3] == "P") && p[2] != "":
		return pair + "-" + day + "-" + token(p[2]) + "-" + p[3], md.InstrumentOption, true
	}
	return "", 0, false
}

// deribitDay is a symbol's date as the venue writes it: 9MAR24.
func deribitDay(day string) (string, bool) {
	if !isDay(day) {
		return "", false
	}
	t, err := time.Parse("060102", day)
	if err != nil {
		return "", false
	}
	return strconv.Itoa(t.Day()) + strings.ToUpper(t.Format("Jan06")), true
}
