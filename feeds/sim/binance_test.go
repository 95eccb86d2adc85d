package sim_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tickrelay/feeds/sim"
)

type binanceFrame struct {
	Stream string          `json:"stream"`
	Data   json.RawMessage `json:"data"`
}

type binanceDepth struct {
	Event  string      `json:"e"`
	Time   int64       `json:"E"`
	Symbol string      `json:"s"`
	First  int64       `json:"U"`
	Last   int64       `json:"u"`
	Bids   [][2]string `json:"b"`
	Asks   [][2]string `json:"a"`
}

type binanceSnapshot struct {
	Last int64       `json:"lastUpdateId"`
	Bids [][2]string `json:"bids"`
	Asks [][2]string `json:"asks"`
}

func TestBinanceRESTJoin(t *testing.T) {
	x := open(t, "binance", sim.Options{})
	c := dial(t, x.URL()+"?streams=btcusdt@depth@100ms/btcusdt@bookTicker", nil)
	waitSessions(t, x.Server, 1)
	x.run(250)
	status, body, _, err := get(t, x.REST()+"/api/v3/depth?symbol=BTCUSDT&limit=5000")
	if err != nil || status != 200 {
		t.Fatal(status, err)
	}
	snap := decode[binanceSnapshot](t, body)
	x.run(730)
	x.freeze(t)
	truth, err := x.Book("BTC-USDT")
	if err != nil {
		t.Fatal(err)
	}
	b := newTextBook(8, 8)
	b.apply(snap.Bids, snap.Asks)
	var last, depths, tops int64
	last = -1
	applied := false
	for last != truth.Seq {
		f := decode[binanceFrame](t, c.next())
		if strings.HasSuffix(f.Stream, "@bookTicker") {
			tops++
			continue
		}
		if f.Stream != "btcusdt@depth@100ms" {
			t.Fatalf("stream %s", f.Stream)
		}
		d := decode[binanceDepth](t, f.Data)
		if d.Event != "depthUpdate" || d.Symbol != "BTCUSDT" || d.First > d.Last || d.Time < 1_763_842_100_000 {
			t.Fatalf("%+v", d)
		}
		if last >= 0 && d.First != last+1 {
			t.Fatalf("U %d after u %d", d.First, last)
		}
		last = d.Last
		depths++
		if d.Last <= snap.Last {
			continue
		}
		if !applied && !(d.First <= snap.Last+1 && snap.Last+1 <= d.Last) {
			t.Fatalf("first event U %d u %d does not join lastUpdateId %d", d.First, d.Last, snap.Last)
		}
		applied = true
		b.apply(d.Bids, d.Asks)
	}
	b.equal(t, truth)
	if depths < 9 || depths > 11 || tops == 0 {
		t.Errorf("%d depth updates in 980 ms at 100 ms, %d book tickers", depths, tops)
	}
}

func TestBinanceBookTickerIsTop(t *testing.T) {
	x := open(t, "binance", sim.Options{DepthEvery: -1})
	c := dial(t, x.URL()+"?streams=ethusdt@depth@100ms/ethusdt@bookTicker", nil)
	waitSessions(t, x.Server, 1)
	_, body, _, _ := get(t, x.REST()+"/api/v3/depth?symbol=ETHUSDT&limit=5000")
	snap := decode[binanceSnapshot](t, body)
	b := newTextBook(8, 8)
	b.apply(snap.Bids, snap.Asks)
	x.run(600)
	x.freeze(t)
	truth, _ := x.Book("ETH-USDT")
	var ticker struct {
		U          int64 `json:"u"`
		B, A       string
		Bid, Ask   string
		Bs, As     string
		LastUpdate int64
	}
	compared := 0
	for last := snap.Last; last != truth.Seq; {
		f := decode[binanceFrame](t, c.next())
		if f.Stream == "ethusdt@bookTicker" {
			fields := decode[map[string]any](t, f.Data)
			ticker.U = int64(fields["u"].(float64))
			ticker.Bid, ticker.Bs = fields["b"].(string), fields["B"].(string)
			ticker.Ask, ticker.As = fields["a"].(string), fields["A"].(string)
			continue
		}
		d := decode[binanceDepth](t, f.Data)
		b.apply(d.Bids, d.Asks)
		if last = d.Last; ticker.U == last {
			compared++
			if got, want := b.topText(), [4]string{ticker.Bid, ticker.Bs, ticker.Ask, ticker.As}; got != want {
				t.Fatalf("top %v, bookTicker %v at u %d", got, want, last)
			}
		}
	}
	if compared < 20 {
		t.Errorf("only %d book tickers met a depth update", compared)
	}
}

func TestBinanceRequests(t *testing.T) {
	x := open(t, "binance", sim.Options{})
	c := dial(t, "ws://"+x.Addr()+"/ws", nil)
	say := func(request, answer string) {
		t.Helper()
		time.Sleep(210 * time.Millisecond) // five messages a second
		c.send(request)
		c.want(answer)
	}
	say(`{"method":"SUBSCRIBE","params":["btcusdt@trade","nosuch@trade","btcusdt@ticker"],"id":1}`, `{"result":null,"id":1}`)
	say(`{"method":"LIST_SUBSCRIPTIONS","id":"a2"}`, `{"result":["btcusdt@trade","btcusdt@ticker"],"id":"a2"}`)
	say(`{"method":"UNSUBSCRIBE","params":["btcusdt@ticker"],"id":3}`, `{"result":null,"id":3}`)
	say(`{"method":"GET_PROPERTY","params":["combined"],"id":4}`, `{"result":false,"id":4}`)
	say(`{"method":"SET_PROPERTY","params":["combined",true],"id":5}`, `{"result":null,"id":5}`)
	say(`{"method":"SET_PROPERTY","params":["x",true],"id":6}`, `{"code":0,"msg":"Unknown property","id":6}`)
	say(`{"method":"SUBSCRIBE","params":["a"],"id":1.5}`, `{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}`)
	say(`{"id":7}`, "{\"code\":2,\"msg\":\"Invalid request: missing field `method` at line 1 column 8\",\"id\":7}")
	say(`{`, `{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}`)
	x.run(300)
	f := decode[binanceFrame](t, c.next())
	if f.Stream != "btcusdt@trade" {
		t.Fatalf("stream %q", f.Stream)
	}
	trade := decode[map[string]any](t, f.Data)
	if trade["e"] != "trade" || trade["s"] != "BTCUSDT" || len(strings.SplitN(trade["p"].(string), ".", 2)[1]) != 8 {
		t.Fatalf("%s", f.Data)
	}
}

func TestBinanceTooManyRequests(t *testing.T) {
	x := open(t, "binance", sim.Options{})
	c := dial(t, "ws://"+x.Addr()+"/ws", nil)
	for range 7 {
		c.send(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)
	}
	wantClose(t, c, 1008)
}

func TestBinanceTradesAreContinuous(t *testing.T) {
	x := open(t, "binance", sim.Options{})
	c := dial(t, x.URL()+"?streams=btcusdt@trade/btcusdt@ticker", nil)
	waitSessions(t, x.Server, 1)
	x.run(3000)
	x.freeze(t)
	var last, trades, tickers float64
	for trades < 100 || tickers < 2 {
		f := decode[map[string]any](t, decode[binanceFrame](t, c.next()).Data)
		if f["e"] == "24hrTicker" {
			tickers++
			if f["h"].(string) < f["l"].(string) || f["n"].(float64) <= 0 {
				t.Fatalf("%v", f)
			}
			continue
		}
		if id := f["t"].(float64); last != 0 && id != last+1 {
			t.Fatalf("trade %v after %v", id, last)
		} else {
			last = id
		}
		trades++
	}
}

func TestBinanceREST(t *testing.T) {
	x := open(t, "binance", sim.Options{})
	_, body, _, _ := get(t, x.REST()+"/api/v3/exchangeInfo")
	info := decode[struct {
		Symbols []struct {
			Symbol, Status, BaseAsset, QuoteAsset string
			Filters                               []map[string]string
		}
	}](t, body)
	if len(info.Symbols) != 2 || info.Symbols[0].Symbol != "BTCUSDT" || info.Symbols[0].Status != "TRADING" ||
		info.Symbols[0].Filters[0]["tickSize"] != "0.01000000" || info.Symbols[0].Filters[1]["stepSize"] != "0.00001000" {
		t.Errorf("%+v", info)
	}
	if status, body, _, _ := get(t, x.REST()+"/api/v3/depth?symbol=NOSUCH"); status != 400 || !strings.Contains(string(body), "-1121") {
		t.Errorf("%d %s", status, body)
	}
	_, body, _, _ = get(t, x.REST()+"/api/v3/depth?symbol=BTCUSDT&limit=7")
	if s := decode[binanceSnapshot](t, body); len(s.Bids) != 7 || len(s.Asks) != 7 {
		t.Errorf("%s", body)
	}
	if status, _, _, _ := get(t, x.REST()+"/nosuch"); status != 404 {
		t.Errorf("status %d", status)
	}
}

func TestBinancePing(t *testing.T) {
	x := open(t, "binance", sim.Options{PingEvery: 40 * time.Millisecond})
	c := dial(t, x.URL(), nil)
	pings := 0
	for {
		f, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode == 0x9 {
			pings++
			continue
		}
		if f.Header.OpCode == 0x8 { // the fourth ping found three unanswered
			break
		}
	}
	if pings != 3 {
		t.Errorf("%d pings before the close, want 3", pings)
	}
}
