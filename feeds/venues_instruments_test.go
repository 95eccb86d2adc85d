package feeds

import (
	"errors"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// TestSymbols goes from native to symbol and back.
func TestSymbols(t *testing.T) {
	for _, c := range []struct {
		venue                 Venue
		native, class, symbol string
		kind                  md.InstrumentKind
	}{
		{Binance{}, "BTCUSDT", "", "BTC-USDT", md.InstrumentSpot},
		{Binance{}, "BLZETH", "", "BLZ-ETH", md.InstrumentSpot},
		{Binance{}, "RUNEEUR", "", "RUNE-EUR", md.InstrumentSpot},
		{Binance{}, "BTCFDUSD", "", "BTC-FDUSD", md.InstrumentSpot},
		{Binance{}, "USDCUSDT", "", "USDC-USDT", md.InstrumentSpot},
		{Bitget{}, "BTCUSDT", "SPOT", "BTC-USDT", md.InstrumentSpot},
		{Bitget{}, "BTCUSDC", "spot", "BTC-USDC", md.InstrumentSpot},
		{Bitget{}, "STGUSDT", "sp", "STG-USDT", md.InstrumentSpot},
		{Bitget{}, "BTCUSDT", "USDT-FUTURES", "BTC-USDT-PERP", md.InstrumentPerp},
		{Bitget{}, "BTCPERP", "USDC-FUTURES", "BTC-USDC-PERP", md.InstrumentPerp},
		{Bitget{}, "BTCUSD", "COIN-FUTURES", "BTC-USD-PERP", md.InstrumentPerpInverse},
		{Bitget{}, "UNIUSDT", "mc", "UNI-USDT-PERP", md.InstrumentPerp},
		{Bitget{}, "BTCUSD", "mc", "BTC-USD-PERP", md.InstrumentPerpInverse},
		{Bitget{}, "BTCUSDT", "usdt-futures", "BTC-USDT-PERP", md.InstrumentPerp},
		{OKX{}, "BTC-USDT", "", "BTC-USDT", md.InstrumentSpot},
		{OKX{}, "BTC-USDT-SWAP", "", "BTC-USDT-PERP", md.InstrumentPerp},
		{OKX{}, "BTC-USD-SWAP", "", "BTC-USD-PERP", md.InstrumentPerpInverse},
		{OKX{}, "BTC-USD-220527", "", "BTC-USD-220527", md.InstrumentFutureInverse},
		{OKX{}, "LTC-USDT-220624", "", "LTC-USDT-220624", md.InstrumentFuture},
		{OKX{}, "BTC-USD-220514-22000-C", "", "BTC-USD-220514-22000-C", md.InstrumentOption},
		{OKX{}, "EOS-USD-210625-8.5-P", "", "EOS-USD-210625-8d5-P", md.InstrumentOption},
	} {
		symbol, kind, ok := c.venue.Symbol(c.native, c.class)
		if symbol != c.symbol || kind != c.kind || !ok {
			t.Errorf("%s %q: %q %s %v", c.native, c.class, symbol, kind, ok)
		}
		if native, ok := c.venue.Native(symbol); native != c.native || !ok {
			t.Errorf("%s: native %q %v, want %q", symbol, native, ok, c.native)
		}
		if err := md.CheckToken(symbol); err != nil {
			t.Errorf("%s is no token: %v", symbol, err)
		}
	}
	for _, c := range [...]struct {
		venue         Venue
		native, class string
	}{{Binance{}, "", ""}, {Binance{}, "USDT", ""}, {Binance{}, "XXXX", ""}, {Bitget{}, "BTCUSD", "USDT-FUTURES"},
		{Bitget{}, "BTCUSDT", "MARGIN"}, {OKX{}, "BTC", ""}, {OKX{}, "BTC-USD-22", ""}, {OKX{}, "-USD", ""}} {
		if s, _, ok := c.venue.Symbol(c.native, c.class); ok {
			t.Errorf("%s: %q has the symbol %q", c.venue.Spec().Name, c.native, s)
		}
	}
}

func subFor(symbol, native string, kind md.InstrumentKind) *md.Instrument {
	return &md.Instrument{Symbol: symbol, Native: native, Kind: kind}
}

// TestSubscribe compares the frames that are sent.
func TestSubscribe(t *testing.T) {
	btc := subFor("BTC-USDT", "BTCUSDT", md.InstrumentSpot)
	perp := subFor("BTC-USDT-PERP", "BTCUSDT", md.InstrumentPerp)
	usdc := subFor("BTC-USDC-PERP", "BTCPERP", md.InstrumentPerp)
	coin := subFor("BTC-USD-PERP", "BTCUSD", md.InstrumentPerpInverse)
	swap := subFor("BTC-USDT-PERP", "BTC-USDT-SWAP", md.InstrumentPerp)
	spot := subFor("BTC-USDT", "BTC-USDT", md.InstrumentSpot)
	f := func(v Venue, subs []Sub, want string) {
		t.Helper()
		rq := Requests{ID: 1}
		frames := v.Subscribe(nil, subs, &rq)
		if len(frames) != 1 || string(frames[0]) != want || rq.ID != 2 {
			t.Errorf("%s: %d %q\nwant %s", v.Spec().Name, rq.ID, frames, want)
		}
		rq.ID = 1
		back := v.Unsubscribe(nil, subs, &rq)
		op := strings.NewReplacer("SUBSCRIBE", "UNSUBSCRIBE", `"subscribe"`, `"unsubscribe"`)
		if len(back) != 1 || string(back[0]) != op.Replace(want) {
			t.Errorf("%s: %q", v.Spec().Name, back)
		}
	}
	f(Binance{}, []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelBBO, btc}, {md.ChannelTicker, btc}},
		`{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@trade","btcusdt@bookTicker","btcusdt@ticker"],"id":1}`)
	f(Bitget{}, []Sub{{md.ChannelBook, btc}, {md.ChannelTicker, perp}, {md.ChannelFunding, perp}, {md.ChannelBBO, usdc}, {md.ChannelTrades, coin}},
		`{"op":"subscribe","args":[{"instType":"SPOT","channel":"books","instId":"BTCUSDT"},{"instType":"USDT-FUTURES","channel":"ticker","instId":"BTCUSDT"},{"instType":"USDC-FUTURES","channel":"books1","instId":"BTCPERP"},{"instType":"COIN-FUTURES","channel":"trade","instId":"BTCUSD"}]}`)
	f(OKX{}, []Sub{{md.ChannelBook, spot}, {md.ChannelFunding, spot}, {md.ChannelTicker, swap}, {md.ChannelOpenInterest, swap}},
		`{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"},{"channel":"index-tickers","instId":"BTC-USDT"},{"channel":"tickers","instId":"BTC-USDT-SWAP"},{"channel":"mark-price","instId":"BTC-USDT-SWAP"},{"channel":"open-interest","instId":"BTC-USDT-SWAP"}]}`)
}

// TestSubscribeLimits asks for very many and looks at each frame.
func TestSubscribeLimits(t *testing.T) {
	var subs []Sub
	for i := range 1000 {
		name := "COIN" + string(rune('A'+i%26)) + string(rune('A'+i/26%26)) + string(rune('A'+i/676))
		subs = append(subs, Sub{md.ChannelTrades, subFor(name+"-USDT", name+"USDT", md.InstrumentSpot)})
	}
	for v, limit := range map[Venue]int{Binance{}: 32 << 10, Bitget{}: 4096, OKX{}: 64 << 10} {
		rq, total := Requests{ID: 1}, 0
		frames := v.Subscribe(nil, subs, &rq)
		for _, f := range frames {
			n := strings.Count(strings.ToUpper(string(f)), "COIN")
			total += n
			if n > v.Spec().SubsPerFrame || len(f) > limit {
				t.Errorf("%s: %d subscriptions in %d bytes", v.Spec().Name, n, len(f))
			}
		}
		if total != len(subs) || rq.ID != len(frames)+1 {
			t.Errorf("%s: %d of %d subscribed, next id %d after %d frames", v.Spec().Name, total, len(subs), rq.ID, len(frames))
		}
	}
}

func TestBinanceSnapshot(t *testing.T) {
	in := subFor("BTC-USDT", "BTCUSDT", md.InstrumentSpot)
	if got := (Binance{}).SnapshotURL("http://x", in); got != "http://x/api/v3/depth?symbol=BTCUSDT&limit=5000" {
		t.Error(got)
	}
	var d Decoded
	body := `{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"],["5","1"]]}`
	if err := (Binance{}).DecodeSnapshot([]byte(body), in, &d); err != nil {
		t.Fatal(err)
	}
	ev := d.Events[0]
	if len(d.Events) != 1 || ev.SeqLast != 1027024 || ev.Action != ActionReplace || string(ev.Native) != "BTCUSDT" || ev.To != 3 {
		t.Errorf("%+v", ev)
	}
	if r := d.Recs[1]; r.Price != 400000200 || r.PriceExp != -8 || r.Side != md.SideAsk || r.ID != 1027024 {
		t.Errorf("%+v", r)
	}
	for cut := range body {
		d.Reset()
		if err := (Binance{}).DecodeSnapshot([]byte(body[:cut]), in, &d); err == nil {
			t.Fatalf("%q is accepted", body[:cut])
		}
	}
	d.Reset()
	if err := (Binance{}).DecodeSnapshot([]byte(`{"code":-1121,"msg":"Invalid symbol."}`), in, &d); err == nil || !strings.Contains(err.Error(), "Invalid symbol") {
		t.Errorf("an error answer gives %v", err)
	}
	for _, v := range [...]Venue{OKX{}, Bitget{}} {
		if err := v.DecodeSnapshot([]byte(body), in, &d); !errors.Is(err, ErrUnsupported) || v.SnapshotURL("x", in) != "" {
			t.Errorf("%s: %v", v.Spec().Name, err)
		}
	}
}

// TestCatalogues reads one document of each kind.
func TestCatalogues(t *testing.T) {
	f := func(v Venue, body string, want ...md.Instrument) {
		t.Helper()
		var got []md.Instrument
		if _, err := v.DecodeCatalogue([]byte(body), func(in md.Instrument) { got = append(got, in) }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d instruments, want %d: %+v", len(got), len(want), got)
		}
		for k := range want {
			if want[k].Venue = v.Spec().Venue; got[k] != want[k] {
				t.Errorf("%+v\nwant %+v", got[k], want[k])
			}
		}
	}
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	f(Binance{}, `{"symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.00001000"},{"filterType":"LOT_SIZE","stepSize":"0.00010000"},{"filterType":"ICEBERG_PARTS","limit":10}]},{"symbol":"OLDBTC","status":"BREAK","baseAsset":"OLD","quoteAsset":"BTC"}]}`,
		md.Instrument{Kind: md.InstrumentSpot, Symbol: "ETH-BTC", Native: "ETHBTC", PriceExp: -5, SizeExp: -4, Tick: dec(1, -5), Lot: dec(1, -4)})
	f(Bitget{}, `{"code":"00000","data":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","pricePrecision":"2","quantityPrecision":"6","quotePrecision":"6","status":"online"},{"symbol":"OLDUSDT","baseCoin":"OLD","quoteCoin":"USDT","pricePrecision":"2","quantityPrecision":"6","status":"offline"}]}`,
		md.Instrument{Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT", PriceExp: -2, SizeExp: -6, Tick: dec(1, -2), Lot: dec(1, -6)})
	f(Bitget{}, `{"code":"00000","data":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","pricePlace":"1","volumePlace":"3","priceEndStep":"5","sizeMultiplier":"0.001","symbolType":"perpetual","symbolStatus":"normal"},{"symbol":"BTCUSDH25","baseCoin":"BTC","quoteCoin":"USD","pricePlace":"1","volumePlace":"3","priceEndStep":"1","sizeMultiplier":"0.01","symbolType":"delivery","symbolStatus":"normal","deliveryTime":"1743148800000"}]}`,
		md.Instrument{Kind: md.InstrumentPerp, Symbol: "BTC-USDT-PERP", Native: "BTCUSDT", PriceExp: -1, SizeExp: -3, Tick: dec(5, -1), Lot: dec(1, -3), ContractSize: dec(1, 0)},
		md.Instrument{Kind: md.InstrumentFutureInverse, Symbol: "BTC-USD-250328", Native: "BTCUSDH25", PriceExp: -1, SizeExp: -3, Tick: dec(1, -1), Lot: dec(1, -2), Expiry: 1743148800000e6})
	f(Bitget{}, `{"code":"00000","data":[{"symbol":"BTCUSD_DMCBL","quoteCoin":"USD","baseCoin":"BTC","priceEndStep":"5","volumePlace":"3","pricePlace":"1"}]}`,
		md.Instrument{Kind: md.InstrumentPerpInverse, Symbol: "BTC-USD-PERP", Native: "BTCUSD", PriceExp: -1, SizeExp: -3, Tick: dec(5, -1), Lot: dec(1, -3)})
	f(OKX{}, `{"code":"0","data":[{"instId":"BTC-USD-220514-22000-C","instType":"OPTION","state":"live","tickSz":"0.0005","lotSz":"1","ctVal":"1","ctMult":"0.1","ctType":"","expTime":"1652515200000"},{"instId":"BTC-USD-SWAP","instType":"SWAP","state":"live","tickSz":"0.1","lotSz":"1","ctVal":"100","ctMult":"1","ctType":"inverse","expTime":""},{"instId":"X-USDT","state":"suspend"}]}`,
		md.Instrument{Kind: md.InstrumentOption, Symbol: "BTC-USD-220514-22000-C", Native: "BTC-USD-220514-22000-C", PriceExp: -4, Tick: dec(5, -4), Lot: dec(1, 0), ContractSize: dec(1, -1), Expiry: 1652515200000e6},
		md.Instrument{Kind: md.InstrumentPerpInverse, Symbol: "BTC-USD-PERP", Native: "BTC-USD-SWAP", PriceExp: -1, Tick: dec(1, -1), Lot: dec(1, 0), ContractSize: dec(1, 2)})
	for _, v := range Venues() {
		for _, body := range [...]string{``, `{`, `[]`, `{"code":"50011","msg":"Too Many Requests","data":[]}`, `{"lastUpdateId":1,"bids":[],"asks":[]}`} {
			if _, err := v.DecodeCatalogue([]byte(body), func(md.Instrument) {}); err == nil {
				t.Errorf("%s takes %q for an instrument list", v.Spec().Name, body)
			}
		}
	}
}

// TestCapturedCatalogues reads the lists of real sessions: each instrument fits
// the table, and its symbol leads back to its name.
func TestCapturedCatalogues(t *testing.T) {
	for name, v := range map[string]Venue{"binance/spot_2021-10-12_cf.rest.ndjson.gz": Binance{},
		"bitget/v1_spot_mix_2022-04-07.rest.ndjson.gz": Bitget{}, "okx/v5_2022-05-13.rest.ndjson.gz": OKX{}} {
		total := 0
		captures(t, name, func(n int, l *captureLine) {
			if strings.Contains(l.URL, "/depth?") {
				return
			}
			if _, err := v.DecodeCatalogue([]byte(l.Body), func(in md.Instrument) {
				total++
				if native, ok := v.Native(in.Symbol); in.Expiry == 0 && (!ok || native != in.Native) {
					t.Errorf("%s: %s is %q in the list, %q by rule", name, in.Symbol, in.Native, native)
				}
				if in.Tick.Mant <= 0 || in.Lot.Mant <= 0 || md.CheckToken(in.Symbol) != nil {
					t.Errorf("%s: %+v", name, in)
				}
			}); err != nil {
				t.Errorf("%s:%d: %v", name, n, err)
			}
		})
		t.Logf("%s: %d instruments", name, total)
		if total < 250 {
			t.Errorf("%s: only %d instruments", name, total)
		}
	}
}
