package sim_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"tickrelay/feeds/sim"
)

type okxFrame struct {
	Event  string
	Arg    struct{ Channel, InstID string }
	Action string
	Data   []struct {
		Asks, Bids [][4]string
		TS         string
		Checksum   *int32
		Prev       *int64 `json:"prevSeqId"`
		Seq        *int64 `json:"seqId"`
	}
}

// pairs drops the deprecated field and the order count.
func pairs(levels [][4]string) [][2]string {
	out := make([][2]string, len(levels))
	for i, l := range levels {
		out[i] = [2]string{l[0], l[1]}
	}
	return out
}

// crcOf recomputes the documented checksum from the texts that were sent.
func (b *textBook) crcOf() int32 {
	bids, asks := b.prices(true), b.prices(false)
	var parts []string
	for i := range 25 {
		if i < len(bids) {
			parts = append(parts, b.bids[bids[i]].price, b.bids[bids[i]].size)
		}
		if i < len(asks) {
			parts = append(parts, b.asks[asks[i]].price, b.asks[asks[i]].size)
		}
	}
	return int32(crc32.ChecksumIEEE([]byte(strings.Join(parts, ":"))))
}

const okxBooks = `{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}`

// followOKX applies books pushes until the book has the number.
func followOKX(t *testing.T, c *client, b *textBook, until int64, sums bool) (updates int) {
	t.Helper()
	last := int64(-1)
	for last != until {
		f := decode[okxFrame](t, c.next())
		if f.Event != "" || f.Arg.Channel != "books" {
			continue
		}
		d := f.Data[0]
		if *d.Prev != last {
			t.Fatalf("prevSeqId %d after seqId %d", *d.Prev, last)
		}
		if (f.Action == "snapshot") != (last == -1) {
			t.Fatalf("action %s after seqId %d", f.Action, last)
		}
		last = *d.Seq
		b.apply(pairs(d.Bids), pairs(d.Asks))
		updates++
		switch {
		case !sums && *d.Checksum != 0:
			t.Fatalf("checksum %d, want 0", *d.Checksum)
		case sums && *d.Checksum != b.crcOf():
			t.Fatalf("checksum %d, computed %d after %d frames", *d.Checksum, b.crcOf(), updates)
		}
	}
	return updates
}

func TestOKXBook(t *testing.T) {
	for _, sums := range []bool{false, true} {
		t.Run(fmt.Sprintf("checksums=%v", sums), func(t *testing.T) {
			x := open(t, "okx", sim.Options{Checksums: sums})
			x.run(150)
			early := dial(t, x.URL(), nil)
			early.send(okxBooks)
			early.want(`{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d30001"}`)
			x.run(777)
			late := dial(t, x.URL(), nil)
			late.send(okxBooks) // between two pushes: the snapshot is of the last one
			late.want(`{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d30002"}`)
			x.run(530)
			x.freeze(t)
			truth, err := x.Book("BTC-USDT")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []*client{early, late} {
				b := newTextBook(2, 5)
				if n := followOKX(t, c, b, truth.Seq, sums); n < 5 {
					t.Errorf("only %d frames", n)
				}
				b.equal(t, truth)
			}
		})
	}
}

func TestOKXWindowIs400Deep(t *testing.T) {
	clock := sim.NewManualClock(time.UnixMilli(1_763_842_100_000))
	m, err := sim.OpenMarket(sim.MarketConfig{Seed: 4, Symbols: []string{"BTC-USDT"}, Levels: 600, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sim.Serve(t.Context(), "okx", "127.0.0.1:0", m, sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	x := &exchange{srv, m, clock}
	c := dial(t, x.URL(), nil)
	c.send(okxBooks)
	c.next()
	x.run(2000)
	x.freeze(t)
	truth, _ := x.Book("BTC-USDT")
	if len(truth.Bids) != 400 || len(truth.Asks) != 400 {
		t.Fatalf("%d bids, %d asks", len(truth.Bids), len(truth.Asks))
	}
	b := newTextBook(2, 5)
	followOKX(t, c, b, truth.Seq, false)
	b.equal(t, truth)
}

func TestOKXChannels(t *testing.T) {
	x := open(t, "okx", sim.Options{TickerEvery: -1, DepthEvery: -1})
	c := dial(t, x.URL(), nil)
	c.send("ping")
	c.want("pong")
	for _, channel := range []string{"trades", "tickers", "bbo-tbt", "books5"} {
		c.send(`{"op":"subscribe","args":[{"channel":"` + channel + `","instId":"ETH-USDT"}]}`)
		if ack := string(c.next()); !strings.HasPrefix(ack, `{"event":"subscribe","arg":{"channel":"`+channel+`","instId":"ETH-USDT"}`) {
			t.Fatalf("%s", ack)
		}
		if first := string(c.next()); !strings.HasPrefix(first, `{"arg":{"channel":"`+channel+`","instId":"ETH-USDT"},"data":[{`) {
			t.Fatalf("%.200s", first)
		}
	}
	x.run(300)
	seen := map[string]int{}
	for len(seen) < 4 {
		f := decode[struct {
			Arg  struct{ Channel string }
			Data []map[string]any
		}](t, c.next())
		seen[f.Arg.Channel]++
		want := map[string]string{
			"trades": "instId tradeId px sz side ts count source seqId", "bbo-tbt": "asks bids ts seqId", "books5": "asks bids instId ts seqId",
			"tickers": "instType instId last lastSz askPx askSz bidPx bidSz open24h high24h low24h sodUtc0 sodUtc8 volCcy24h vol24h ts",
		}[f.Arg.Channel]
		for name := range strings.FieldsSeq(want) {
			if _, ok := f.Data[0][name]; !ok {
				t.Fatalf("%s without %s: %v", f.Arg.Channel, name, f.Data[0])
			}
		}
		if len(f.Data[0]) != len(strings.Fields(want)) {
			t.Fatalf("%s: %v", f.Arg.Channel, f.Data[0])
		}
	}
}

func TestOKXErrorsAndKeepAlive(t *testing.T) {
	x := open(t, "okx", sim.Options{KeepAlive: time.Second})
	c := dial(t, x.URL(), nil)
	c.send(`{"op":"subscribe","args":[{"channel":"nosuch","instId":"BTC-USDT"}]}`)
	c.want(`{"event":"error","code":"60018","msg":"Wrong URL or channel:nosuch,instId:BTC-USDT doesn't exist. Please use the correct URL, channel and parameters referring to API document.","connId":"a4d30001"}`)
	c.send(`{"op":"dance"}`)
	c.want(`{"event":"error","code":"60012","msg":"Invalid request: {\"op\":\"dance\"}","connId":"a4d30001"}`)
	c.send(okxBooks)
	c.next()
	snap := decode[okxFrame](t, c.next())
	x.clock.Advance(1500 * time.Millisecond)
	x.market.Tick()
	alive := decode[okxFrame](t, c.next())
	if d := alive.Data[0]; alive.Action != "update" || len(d.Asks)+len(d.Bids) != 0 || *d.Prev != *d.Seq || *d.Seq != *snap.Data[0].Seq {
		t.Fatalf("%+v", alive)
	}
	c.send(`{"op":"unsubscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}`)
	c.want(`{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d30001"}`)
	x.run(300)
	c.quiet(50 * time.Millisecond)
}

func TestOKXREST(t *testing.T) {
	x := open(t, "okx", sim.Options{})
	_, body, _, _ := get(t, x.REST()+"/api/v5/public/instruments?instType=SPOT")
	list := decode[struct {
		Code string
		Data []struct{ InstID, TickSz, LotSz, BaseCcy, QuoteCcy, State string }
	}](t, body)
	if list.Code != "0" || len(list.Data) != 2 || list.Data[0].InstID != "BTC-USDT" || list.Data[0].TickSz != "0.01" ||
		list.Data[0].LotSz != "0.00001" || list.Data[0].State != "live" {
		t.Errorf("%s", body)
	}
	if status, _, _, _ := get(t, x.REST()+"/api/v5/public/instruments"); status != 400 {
		t.Errorf("status %d without instType", status)
	}
}
