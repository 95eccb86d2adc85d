package feeds

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"tickrelay/ring/md"
)

// Catalogue implements Venue. Options are listed per underlying.
func (OKX) Catalogue(base string) []Request {
	base += "/api/v5/public/instruments?instType="
	return gets(base+"SPOT", base+"SWAP", base+"FUTURES", base+"OPTION&uly=BTC-USD", base+"OPTION&uly=ETH-USD")
}

// DecodeCatalogue implements Venue.
func (OKX) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var doc struct {
		Code, Msg string
		Data      []struct {
			InstID, InstType, State, TickSz, LotSz, CtVal, CtMult, CtType, ExpTime string
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("okx: instrument list: %w", err)
	}
	if doc.Code != "0" {
		return "", fmt.Errorf("okx: instrument list refused: code %q: %s", doc.Code, doc.Msg)
	}
	for _, s := range doc.Data {
		symbol, kind, ok := OKX{}.Symbol(s.InstID, "")
		if s.State != "live" || !ok {
			continue
		}
		in := md.Instrument{Venue: md.VenueOKX, Kind: kind, Symbol: symbol, Native: s.InstID}
		switch {
		case s.CtType == "inverse" && kind == md.InstrumentPerp:
			in.Kind = md.InstrumentPerpInverse
		case s.CtType == "linear" && kind == md.InstrumentPerpInverse:
			in.Kind = md.InstrumentPerp
		case s.CtType == "inverse" && kind == md.InstrumentFuture:
			in.Kind = md.InstrumentFutureInverse
		case s.CtType == "linear" && kind == md.InstrumentFutureInverse:
			in.Kind = md.InstrumentFuture
		}
		setSteps(&in, s.TickSz, s.LotSz, &okxSpec)
		val, _ := md.ParseDecimal([]byte(s.CtVal))
		mult, _ := md.ParseDecimal([]byte(s.CtMult))
		in.ContractSize = product(val, mult)
		if ms, err := strconv.ParseInt(s.ExpTime, 10, 64); err == nil && ms > 0 && ms < 1<<43 {
			in.Expiry = ms * 1e6
		}
		each(in)
	}
	return "", nil
}

// Native implements Venue.
func (OKX) Native(symbol string) (string, bool) {
	p := strings.Split(symbol, "-")
	switch {
	case len(p) == 2:
	case len(p) == 3 && p[2] == "PERP", len(p) == 4 && p[2] == "PERP" && p[3] == "INV":
		p = append(p[:2], "SWAP")
	case len(p) == 3 && isDay(p[2]):
	case len(p) == 5 && isDay(p[2]):
		p[3] = untoken(p[3])
	default:
		return "", false
	}
	return strings.Join(p, "-"), p[0] != "" && p[1] != ""
}

// Symbol implements Venue. Contracts on a USD index are margined in the coin.
func (OKX) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	p := strings.Split(native, "-")
	if len(p) < 2 || p[0] == "" || p[1] == "" {
		return "", 0, false
	}
	pair, usd := token(p[0])+"-"+token(p[1]), p[1] == "USD"
	switch {
	case len(p) == 2:
		return pair, md.InstrumentSpot, true
	case len(p) == 3 && p[2] == "SWAP" && usd:
		return pair + "-PERP", md.InstrumentPerpInverse, true
	case len(p) == 3 && p[2] == "SWAP":
		return pair + "-PERP", md.InstrumentPerp, true
	case len(p) == 3 && isDay(p[2]) && usd:
		return pair + "-" + p[2], md.InstrumentFutureInverse, true
	case len(p) == 3 && isDay(p[2]):
		return pair + "-" + p[2], md.InstrumentFuture, true
	case len(p) == 5 && isDay(p[2]) && (p[4] == "C" || p[4] == "P"):
		return pair + "-" + p[2] + "-" + token(p[3]) + "-" + p[4], md.InstrumentOption, true
	}
	return "", 0, false
}
