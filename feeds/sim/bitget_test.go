package sim_test

import (
	"fmt"
	"strings"
	"testing"

	"tickrelay/feeds/sim"
)

type bitgetFrame struct {
	Event, Action string
	Arg           struct{ InstType, Channel, InstID string }
	Data          []struct {
		Asks, Bids [][2]string
		Checksum   *int32
		Seq, PSeq  *int64
		TS         string
	}
	TS int64
}

const bitgetBooks = `{"op":"subscribe","args":[{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}]}`

func TestBitgetBook(t *testing.T) {
	for _, o := range []sim.Options{{}, {Checksums: true}, {Checksums: true, NoSequence: true}} {
		t.Run(fmt.Sprintf("checksums=%v,sequence=%v", o.Checksums, !o.NoSequence), func(t *testing.T) {
			x := open(t, "bitget", o)
			c := dial(t, x.URL(), nil)
			c.send(bitgetBooks)
			c.want(`{"event":"subscribe","arg":{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}}`)
			x.run(2000)
			x.freeze(t)
			c.send("ping")
			truth, _ := x.Book("BTC-USDT")
			b := newTextBook(2, 5)
			frames := followBitget(t, c, b, o)
			if frames < 15 || frames > 25 {
				t.Errorf("%d frames in 2 s at 100 ms", frames)
			}
			b.equal(t, truth)
		})
	}
}

// followBitget applies books pushes until the pong.
func followBitget(t *testing.T, c *client, b *textBook, o sim.Options) (frames int) {
	t.Helper()
	last := int64(0)
	for {
		text := c.next()
		if string(text) == "pong" {
			return frames
		}
		f := decode[bitgetFrame](t, text)
		d := f.Data[0]
		if want := [2]string{"snapshot", "update"}[min(frames, 1)]; f.Action != want || f.Arg.InstID != "BTCUSDT" || f.TS == 0 {
			t.Fatalf("%.200s", text)
		}
		b.apply(d.Bids, d.Asks)
		frames++
		if o.NoSequence != (d.Seq == nil) {
			t.Fatalf("seq %v", d.Seq)
		}
		if !o.NoSequence {
			if *d.PSeq != last {
				t.Fatalf("pseq %d after seq %d", *d.PSeq, last)
			}
			last = *d.Seq
		}
		if want := b.crcOf(); o.Checksums && *d.Checksum != want || !o.Checksums && *d.Checksum != 0 {
			t.Fatalf("checksum %d, computed %d", *d.Checksum, want)
		}
	}
}

func TestBitgetChannels(t *testing.T) {
	x := open(t, "bitget", sim.Options{TickerEvery: -1})
	x.run(2000)
	c := dial(t, x.URL(), nil)
	c.send(`{"op":"subscribe","args":[{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}]}`)
	c.want(`{"event":"subscribe","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}}`)
	type trades struct {
		Action string
		Data   []struct{ TS, Price, Size, Side, TradeID string }
	}
	history := decode[trades](t, c.next())
	if history.Action != "snapshot" || len(history.Data) != 50 || history.Data[0].TradeID <= history.Data[49].TradeID {
		t.Fatalf("%+v", history)
	}
	x.run(500)
	live := decode[trades](t, c.next())
	if live.Action != "update" || len(live.Data) == 0 || scaled(live.Data[len(live.Data)-1].TradeID, 0) != scaled(history.Data[0].TradeID, 0)+1 {
		t.Fatalf("%+v after %+v", live, history.Data[0])
	}
	if !strings.Contains(live.Data[0].Price, ".") || len(strings.Split(live.Data[0].Size, ".")[1]) != 5 {
		t.Fatalf("%+v", live)
	}
	c.send(`{"op":"unsubscribe","args":[{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}]}`)
	c.send(`{"op":"subscribe","args":[{"instType":"SPOT","channel":"ticker","instId":"BTCUSDT"},{"instType":"SPOT","channel":"books1","instId":"BTCUSDT"}]}`)
	seen := map[string]bool{}
	for len(seen) < 2 {
		f := decode[struct {
			Event, Action string
			Arg           struct{ Channel string }
			Data          []map[string]any
		}](t, c.next())
		if f.Event != "" || f.Arg.Channel == "trade" {
			continue
		}
		seen[f.Arg.Channel] = true
		if f.Action != "snapshot" {
			t.Fatalf("%+v", f)
		}
		if f.Arg.Channel == "ticker" && (f.Data[0]["lastPr"] == nil || f.Data[0]["baseVolume"] == nil) {
			t.Fatalf("%+v", f)
		}
		if f.Arg.Channel == "books1" && len(f.Data[0]["bids"].([]any)) != 1 {
			t.Fatalf("%+v", f)
		}
	}
}

func TestBitgetErrors(t *testing.T) {
	x := open(t, "bitget", sim.Options{})
	c := dial(t, x.URL(), nil)
	c.send(`{"op":"subscribe","args":[{"instType":"SPOT","channel":"books","instId":"NOSUCH"}]}`)
	c.want(`{"event":"error","arg":{"instType":"SPOT","channel":"books","instId":"NOSUCH"},"code":30001,"msg":"instType:SPOT,channel:books,instId:NOSUCH doesn't exist","op":"subscribe"}`)
	c.send(`{"op":"dance"}`)
	c.want(`{"event":"error","code":30003,"msg":"Invalid op","op":"dance"}`)
	c.send(`nonsense`)
	c.want(`{"event":"error","code":30002,"msg":"Illegal request"}`)
}

func TestBitgetREST(t *testing.T) {
	x := open(t, "bitget", sim.Options{})
	_, body, _, _ := get(t, x.REST()+"/api/v2/spot/public/symbols")
	list := decode[struct {
		Code string
		Data []struct{ Symbol, BaseCoin, QuoteCoin, PricePrecision, QuantityPrecision, Status string }
	}](t, body)
	if list.Code != "00000" || len(list.Data) != 2 || list.Data[1].Symbol != "ETHUSDT" || list.Data[1].PricePrecision != "2" ||
		list.Data[1].QuantityPrecision != "4" || list.Data[1].Status != "online" {
		t.Errorf("%s", body)
	}
	_, body, _, _ = get(t, x.REST()+"/api/v2/mix/market/contracts?productType=USDT-FUTURES")
	if none := decode[struct {
		Code string
		Data []any
	}](t, body); none.Code != "00000" || none.Data == nil || len(none.Data) != 0 {
		t.Errorf("%s", body)
	}
}
