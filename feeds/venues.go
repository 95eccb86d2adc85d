package feeds

// Venues returns every venue that this build speaks, in the order of their
// numbers. The values carry no state and may be shared by any number of feeds.
func Venues() []Venue {
	return []Venue{
		Binance{}, BinanceUSDM{}, BinanceCOINM{},
		Bitget{}, OKX{},
		Bybit{BybitSpot}, Bybit{BybitLinear}, Bybit{BybitInverse},
		Coinbase{}, CoinbaseExchange{},
		Kraken{}, KrakenFutures{},
		Bitstamp{},
		Deribit{},
		Gateio{}, GateioFutures{},
		Kucoin{}, KucoinFutures{},
		Hyperliquid{},
		Upbit{},
		Bitfinex{},
	}
}

// ByName returns the venue called name in topics and configuration.
func ByName(name string) (Venue, bool) {
	for _, v := range Venues() {
		if v.Spec().Name == name {
			return v, true
		}
	}
	return nil, false
}
