package feeds

import "strings"

// pairFile is a file of messages with the values that another project makes of
// them, below pairs/ in the folder of recorded traffic.
type pairFile struct {
	name   string // below pairs/, without ".ndjson"
	venues []Venue
	// conventions are the rows, by the end of their test's name, where values
	// differ on purpose. docs/venues-conventions.md says why, row by row.
	conventions []string
	// skip are names of members that differ on purpose in every row.
	skip []string
}

// rows are the conventions one by one: "messages 1, 4" are two.
func (f *pairFile) rows() (rows []string) {
	for _, c := range f.conventions {
		list := strings.Split(c, ", ")
		prefix := list[0][:strings.LastIndex(list[0], " ")+1]
		for k, one := range list {
			if k > 0 {
				one = prefix + one
			}
			rows = append(rows, one)
		}
	}
	return rows
}

// pairFiles are all that hold messages of venues here.
func pairFiles() []pairFile {
	return []pairFile{
		{"tardis-node/kraken", []Venue{Kraken{}}, []string{"kraken messages 8", "kraken v2 messages 6"}, nil},
		{"tardis-node/cryptofacilities", []Venue{KrakenFutures{}}, []string{"messages 11", "messages 13"}, nil},
		{"tardis-node/coinbase", []Venue{CoinbaseExchange{}}, []string{"messages 6", "messages 7", "messages 9"}, nil},
		{"tardis-node/binance-futures", []Venue{BinanceUSDM{}}, []string{"messages 1", "messages 4", "messages 6", "messages 7", "messages 9", "messages 10", "messages 15"}, nil},
		{"tardis-node/binance-delivery", []Venue{BinanceCOINM{}}, []string{"messages 2", "messages 6", "messages 7", "messages 8", "messages 12"}, nil},
		{"tardis-node/bybit-spot", []Venue{Bybit{}}, []string{"messages 3, 4"}, nil},
		{"tardis-node/gate-io", []Venue{Gateio{}}, []string{"messages 1", "messages 2", "messages 4", "messages 5", "messages 6"}, nil},
		{"tardis-node/gate-io-futures", []Venue{GateioFutures{}}, []string{"messages 3", "messages 4", "messages 11", "messages 14"}, nil},
		{"tardis-node/kucoin", []Venue{Kucoin{}}, []string{"messages 8", "messages 9", "messages 11", "messages 12", "messages 13", "messages 15"}, nil},
		{"tardis-node/kucoin-futures", []Venue{KucoinFutures{}}, []string{"messages 2", "messages 4", "messages 11", "messages 12", "messages 13", "messages 14"}, nil},
		{"tardis-node/bitstamp", []Venue{Bitstamp{}}, []string{"messages 3", "messages 5"}, nil},
		{"tardis-node/hyperliquid", []Venue{Hyperliquid{}}, []string{"messages 3"}, nil},
		{"crypto-msg-parser/kraken", []Venue{Kraken{}, KrakenFutures{}},
			[]string{"candlestick::spot", "l2_snapshot::spot", "l2_snapshot::inverse_swap"}, nil},
		{"crypto-msg-parser/coinbase_pro", []Venue{CoinbaseExchange{}}, []string{"trade"}, nil},
		{"crypto-msg-parser/bitstamp", []Venue{Bitstamp{}}, []string{"l2_topk"}, nil},
		{"tardis-node/binance", []Venue{Binance{}}, []string{
			"messages 4",
			"messages 9",
		}, nil},
		{"tardis-node/bybit", []Venue{Bybit{BybitLinear}, Bybit{BybitInverse}}, []string{
			"messages 2, 3, 5, 6, 8, 10, 12, 13, 15, 20, 28, 34, 35, 36, 38",
			"messages 31, 32, 50, 51",
			"messages 42, 52",
			"messages 53",
		}, nil},
		{"tardis-node/deribit", []Venue{Deribit{}}, []string{"messages 2"}, []string{"id", "book_ticker"}},
		{"tardis-node/bitfinex", []Venue{Bitfinex{}}, nil, nil},
		{"tardis-node/bitfinex-derivatives", []Venue{Bitfinex{}}, []string{
			"messages 19",
			"messages 20",
		}, []string{"lastPrice", "derivative_ticker.timestamp", "book_ticker"}},
		{"tardis-node/upbit", []Venue{Upbit{}}, nil, nil},
		{"tardis-node/bitget", []Venue{Bitget{}}, []string{
			"messages 7",
			"messages 9",
		}, nil},
		{"tardis-node/bitget-futures", []Venue{Bitget{}}, []string{"bitget-futures messages 5", "v3 messages 7"}, []string{"indexPrice"}},
		{"tardis-node/okex", []Venue{OKX{}}, []string{
			"messages 1, 4, 5, 7",
			"messages 12",
		}, nil},
		{"tardis-node/okex-futures", []Venue{OKX{}}, []string{
			"messages 1, 4, 5, 6, 8, 10, 11, 12, 13, 15, 16",
			"messages 26",
			"messages 29",
			"messages 30",
		}, nil},
		{"tardis-node/okex-swap", []Venue{OKX{}}, []string{
			"messages 2, 4, 5, 6, 9, 10, 11, 12, 13",
			"messages 19",
			"messages 20",
			"messages 21",
			"messages 22",
		}, nil},
		{"tardis-node/okex-options", []Venue{OKX{}}, []string{
			"messages 2, 3, 5, 6, 10, 11, 13, 14, 16, 17, 21, 22",
			"messages 25",
			"messages 26",
			"messages 28",
		}, nil},
		{"tardis-node/okex-spreads", []Venue{OKX{}}, []string{"messages 2"}, nil},
		{"crypto-msg-parser/binance", []Venue{Binance{}, BinanceUSDM{}, BinanceCOINM{}}, []string{
			"ticker::option",
			"candlestick::inverse_future, candlestick::inverse_swap",
			"open_interest::inverse_swap",
		}, []string{"timestamp"}},
		{"crypto-msg-parser/bitfinex", []Venue{Bitfinex{}}, []string{
			"trade::spot_snapshot",
			"trade::swap_tu",
			"l3_event::spot_snapshot, l3_event::linear_swap_snapshot",
			"candlestick::spot_snapshot, candlestick::linear_swap_snapshot",
			"l2_snapshot::spot",
		}, nil},
		{"crypto-msg-parser/bitget", []Venue{Bitget{}}, []string{
			"trade::linear_swap",
			"l2_topk::spot, l2_topk::linear_swap",
			"funding_rate::linear_swap, trade::linear_swap (2), funding_rate::linear_swap (2), l2_orderbook::linear_swap_update, l2_orderbook::inverse_swap_update, candlestick::inverse_swap",
			"candlestick::spot_update, candlestick::inverse_swap_update, candlestick::linear_swap_update",
			"l2_snapshot::spot, l2_snapshot::linear_swap",
			"open_interest::linear_swap",
		}, []string{"extract_symbol"}},
		{"crypto-msg-parser/bybit", []Venue{Bybit{BybitSpot}, Bybit{BybitLinear}, Bybit{BybitInverse}}, []string{
			"trade::inverse_future, trade::linear_swap, l2_orderbook::inverse_future_update, l2_orderbook::inverse_swap_update, l2_orderbook::linear_swap_update, ticker::inverse_future_snapshot, ticker::inverse_swap_snapshot, ticker::linear_swap_snapshot",
			"candlestick::inverse_swap",
			"l2_snapshot::inverse_future, l2_snapshot::linear_swap, open_interest::inverse_swap",
		}, nil},
		{"crypto-msg-parser/deribit", []Venue{Deribit{}}, []string{
			"l2_topk::inverse_future, l2_topk::option",
			"candlestick::inverse_swap",
			"l2_snapshot::inverse_swap, open_interest::inverse_future, open_interest::inverse_swap",
		}, nil},
		{"crypto-msg-parser/gate", []Venue{Gateio{}, GateioFutures{}}, []string{
			"trade::spot_20210916, l2_event::spot_update_20210916",
			"l2_event::inverse_future_snapshot, l2_event::linear_future_update, l2_topk::inverse_swap",
			"candlestick::inverse_future, candlestick::inverse_swap",
			"l2_snapshot::spot, l2_snapshot::linear_future, l2_snapshot::linear_swap",
			"open_interest::linear_swap",
		}, nil},
		{"crypto-msg-parser/kucoin", []Venue{Kucoin{}, KucoinFutures{}}, []string{
			"bbo::spot_2",
			"l3_event::spot, l3_event::inverse_swap",
			"candlestick::spot, candlestick::inverse_swap",
			"open_interest::unknown",
		}, nil},
		{"crypto-msg-parser/okx", []Venue{OKX{}}, []string{
			"l2_topk::spot_2",
			"l2_topk::linear_future, l2_topk::linear_swap",
			"candlestick::spot, candlestick::linear_future, candlestick::linear_swap",
			"l2_snapshot::spot, l2_snapshot::linear_future, l2_snapshot::linear_swap, open_interest::inverse_future, open_interest::linear_future, open_interest::linear_swap",
		}, nil},
		{"crypto-msg-parser/okx_v3", []Venue{OKX{}}, []string{"trade::spot, trade::linear_swap, trade::inverse_swap, trade::option, funding_rate::linear_swap, l2_event::spot_update, l2_event::inverse_swap_snapshot, l2_topk::linear_swap"}, nil},
	}
}

// pairForeign are the files of exchanges, or of their markets, that are none of
// the venues here.
var pairForeign = map[string]bool{
	"ascendex": true, "aster": true, "aster-futures": true, "binance-dex": true, "binance-european-options": true,
	"bitflyer": true, "bithumb": true, "bitmex": true, "bitnomial": true, "bybit-options": true,
	"coinbase-international": true, "coinflex": true, "crypto-com": true, "delta": true, "dydx": true, "dydx-v4": true,
	"ftx": true, "ftx-us": true, "gemini": true, "hitbtc": true, "huobi": true, "huobi-dm": true,
	"huobi-dm-linear-swap": true, "huobi-dm-options": true, "huobi-dm-swap": true, "lighter": true, "mexc": true,
	"okcoin": true, "phemex": true, "poloniex": true, "polymarket": true, "serum": true, "woo-x": true,
}
