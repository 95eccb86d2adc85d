package feeds

import (
	"strings"
	"time"

	"tickrelay/ring/md"
)

// quotes are the assets that instruments are quoted in at venues which write
// base and quote in one word.
var quotes = [...]string{
	"FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "USDS", "USDE", "USD1", "BIDR", "IDRT", "BVND",
	"BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "GBP", "AUD", "RUB", "UAH", "ARS", "JPY", "MXN", "PLN",
	"RON", "ZAR", "CZK", "COP", "NGN", "IDR", "DAI", "TRX", "XRP", "SOL", "DOGE", "DOT", "VAI", "PAX",
	"EURI", "AEUR", "BGB", "USD",
}

// splitQuote splits a name at the longest known quote that ends it.
func splitQuote(native string) (base, quote string, ok bool) {
	for _, q := range quotes {
		if len(q) > len(quote) && len(native) > len(q) && strings.HasSuffix(native, q) {
			quote = q
		}
	}
	return native[:len(native)-len(quote)], quote, quote != ""
}

// token is s as part of a symbol, which must not hold the separator of topics.
func token(s string) string { return strings.ReplaceAll(s, ".", "d") }

// untoken is the reverse of token for a strike price.
func untoken(s string) string { return strings.ReplaceAll(s, "d", ".") }

// setSteps fills tick, lot and the exponents that follow from them; empty or
// unreadable steps leave the venue's defaults.
func setSteps(in *md.Instrument, tick, lot string, spec *Spec) {
	in.Tick, in.PriceExp = step(tick, spec.PriceExp)
	in.Lot, in.SizeExp = step(lot, spec.SizeExp)
}

// step reads a step size and gives the exponent at which its multiples are
// whole numbers.
func step(text string, otherwise int8) (md.Decimal, int8) {
	v, err := md.ParseDecimal([]byte(text))
	if err != nil || v.Mant <= 0 {
		return md.Decimal{}, otherwise
	}
	v = v.Strip()
	return v, min(v.Exp, 0)
}

// places is the step 10^-n.
func places(n int8) md.Decimal { return md.Decimal{Mant: 1, Exp: -n} }

// product is a × b, or the zero Decimal where it does not fit.
func product(a, b md.Decimal) md.Decimal {
	a, b = a.Strip(), b.Strip()
	e := int(a.Exp) + int(b.Exp)
	if a.Mant <= 0 || b.Mant <= 0 || a.Mant > 1<<62/b.Mant || e < -40 || e > 18 {
		return md.Decimal{}
	}
	return md.Decimal{Mant: a.Mant * b.Mant, Exp: int8(e)}.Strip()
}

// expiryDay is the date of an expiry as symbols carry it.
func expiryDay(ns int64) string { return time.Unix(0, ns).UTC().Format("060102") }

// isDay reports whether s is six digits, as the date in a symbol.
func isDay(s string) bool {
	if len(s) != 6 {
		return false
	}
	for _, c := range []byte(s) {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}
