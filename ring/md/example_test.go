package md_test

import (
	"fmt"

	"tickrelay/ring/md"
)

func ExampleParseDecimal() {
	for _, s := range []string{"61737.63000000", "1.1e-7", "0.12345678901234567891", "1,5"} {
		d, err := md.ParseDecimal([]byte(s))
		fmt.Println(d.Mant, d.Exp, d, err)
	}
	// Output:
	// 6173763000000 -8 61737.63 <nil>
	// 11 -8 0.00000011 <nil>
	// 0 0 0 md: number does not fit 63 bits and an exponent of -128 to 127 exactly
	// 0 0 0 md: not a decimal number
}

func ExampleAppendJSON() {
	trade := md.Record{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Seq: 8,
		TsEvent: 1763842100123000000, TsRecv: 1763842100123456789,
		Price: 6412345000000, PriceExp: -8, Size: 123, SizeExp: -5, ID: 12345, Side: md.SideBuy}
	fmt.Printf("%s\n", md.AppendJSON(nil, "binance.trades.BTC-USDT", 7, []md.Record{trade}))
	// Output:
	// {"type":"trade","topic":"binance.trades.BTC-USDT","seq":8,"prev":7,"ts_event":"1763842100123000000","ts_recv":"1763842100123456789","id":"12345","price":"64123.45","size":"0.00123","side":"buy"}
}
