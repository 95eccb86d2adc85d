package sim

import (
	"slices"
	"strings"
)

// exchange is one that can be simulated: a dialect, and what it lists.
type exchange struct {
	venue string
	open  func(*Server) dialect
	// lists reports whether the exchange has an instrument of this symbol.
	lists func(symbol string) bool
	// symbols are two or more that it has, for demonstrations and tests.
	symbols []string
}

// exchanges are all of them, in the order of the venues' numbers.
var exchanges = []exchange{
	{"binance", func(s *Server) dialect { return newBinance(s, binanceSpot) }, isSpot, usdtPairs},
	{"binance-usdm", func(s *Server) dialect { return newBinance(s, binanceUSDM()) }, isDerivative, usdtPerps},
	{"binance-coinm", func(s *Server) dialect { return newBinance(s, binanceCOINM) }, isDerivative, usdPerps},
	{"bitget", func(s *Server) dialect { return newBitget(s) }, isSpot, usdtPairs},
	{"okx", func(s *Server) dialect { return newOKX(s) }, isSpot, usdtPairs},
	{"bybit", func(s *Server) dialect { return newBybit(s, "spot") }, isSpot, usdtPairs},
	{"bybit-linear", func(s *Server) dialect { return newBybit(s, "linear") }, isDerivative, usdtPerps},
	{"bybit-inverse", func(s *Server) dialect { return newBybit(s, "inverse") }, isDerivative, usdPerps},
	{"coinbase", func(s *Server) dialect { return newCoinbase(s) }, isSpot, usdPairs},
	{"coinbase-exchange", func(s *Server) dialect { return newCoinbaseExchange(s) }, isSpot, usdPairs},
	{"kraken", func(s *Server) dialect { return newKraken(s) }, isSpot, usdtPairs},
	{"kraken-futures", func(s *Server) dialect { return newKrakenFutures(s) }, isUSDPerp, usdPerps},
	{"bitstamp", func(s *Server) dialect { return newBitstamp(s) }, isSpot, usdPairs},
	{"hyperliquid", func(s *Server) dialect { return newHyperliquid(s) }, isUSDPerp, usdPerps},
	{"deribit", func(s *Server) dialect { return newDeribit(s) }, isDeribit, []string{"BTC-USDC-PERP", "ETH-USDC-PERP", "BTC-USD-261225-90000-C"}},
	{"gateio", func(s *Server) dialect { return newGateio(s, "spot.") }, isSpot, usdtPairs},
	{"gateio-futures", func(s *Server) dialect { return newGateio(s, "futures.") }, isDerivative, usdtPerps},
	{"kucoin", func(s *Server) dialect { return newKucoin(s, false) }, isSpot, usdtPairs},
	{"kucoin-futures", func(s *Server) dialect { return newKucoin(s, true) }, isDerivative, usdtPerps},
	{"upbit", func(s *Server) dialect { return newUpbit(s) }, isSpot, []string{"BTC-KRW", "ETH-KRW", "ETH-BTC"}},
	{"bitfinex", func(s *Server) dialect { return newBitfinex(s) }, isBitfinex, []string{"BTC-USDT", "BTC-USDT-PERP", "ETH-USDT"}},
}

var (
	usdtPairs = []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}
	usdtPerps = []string{"BTC-USDT-PERP", "ETH-USDT-PERP", "SOL-USDT-PERP"}
	usdPerps  = []string{"BTC-USD-PERP", "ETH-USD-PERP", "SOL-USD-PERP"}
)

// isSpot holds for BASE-QUOTE.
func isSpot(symbol string) bool { return strings.Count(symbol, "-") == 1 }

// isDerivative holds for BASE-QUOTE with a suffix.
func isDerivative(symbol string) bool { return strings.Count(symbol, "-") > 1 }

func exchangeOf(venue string) *exchange {
	if i := slices.IndexFunc(exchanges, func(x exchange) bool { return x.venue == venue }); i >= 0 {
		return &exchanges[i]
	}
	return nil
}

// Venues lists the exchanges that can be simulated.
func Venues() []string {
	var names []string
	for _, x := range exchanges {
		names = append(names, x.venue)
	}
	return names
}

// Symbols are instruments that a simulated exchange has, at least two; nil if
// it cannot be simulated.
func Symbols(venue string) []string {
	if x := exchangeOf(venue); x != nil {
		return slices.Clone(x.symbols)
	}
	return nil
}

// listed are the market's instruments that the server's exchange has.
func (s *Server) listed() []*instrument {
	var list []*instrument
	for _, in := range s.m.list {
		if s.lists(in.symbol) {
			list = append(list, in)
		}
	}
	return list
}
