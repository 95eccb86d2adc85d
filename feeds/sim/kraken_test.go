package sim_test

import (
	"encoding/json"
	"hash/crc32"
	"strings"
	"testing"

	"tickrelay/feeds/sim"
)

type krakenFrame struct {
	Channel, Type string
	Data          []struct {
		Symbol     string
		Bids, Asks []struct{ Price, Qty json.Number }
		Checksum   uint32
	}
}

// TestKrakenBook follows a book of ten levels as the document says: apply, cut,
// sum up.
func TestKrakenBook(t *testing.T) {
	x := open(t, "kraken", sim.Options{})
	c := dial(t, x.URL(), nil)
	if hello := string(c.next()); !strings.Contains(hello, `"system":"online"`) {
		t.Fatal(hello)
	}
	c.send(`{"method":"subscribe","params":{"channel":"book","depth":10,"symbol":["BTC/USDT"]},"req_id":7}`)
	if ack := string(c.next()); !strings.Contains(ack, `"success":true`) || !strings.Contains(ack, `"req_id":7`) {
		t.Fatal(ack)
	}
	b := newTextBook(2, 5)
	x.run(3000)
	x.freeze(t)
	for n := 0; n < 25; n++ {
		f := decode[krakenFrame](t, c.next())
		d := f.Data[0]
		if (f.Type == "snapshot") != (n == 0) || d.Symbol != "BTC/USDT" {
			t.Fatalf("frame %d is a %s of %s", n, f.Type, d.Symbol)
		}
		var bids, asks [][2]string
		for _, l := range d.Bids {
			bids = append(bids, [2]string{l.Price.String(), l.Qty.String()})
		}
		for _, l := range d.Asks {
			asks = append(asks, [2]string{l.Price.String(), l.Qty.String()})
		}
		b.apply(bids, asks)
		if sum := b.krakenSum(10); sum != d.Checksum {
			t.Fatalf("frame %d: checksum %d, computed %d", n, d.Checksum, sum)
		}
	}
}

// krakenSum cuts the book to a depth and sums it up.
func (b *textBook) krakenSum(depth int) uint32 {
	var text strings.Builder
	digits := func(s string) { text.WriteString(strings.TrimLeft(strings.Replace(s, ".", "", 1), "0")) }
	for _, bid := range []bool{false, true} {
		side := b.asks
		if bid {
			side = b.bids
		}
		for i, p := range b.prices(bid) {
			if i >= depth {
				delete(side, p)
				continue
			}
			digits(side[p].price)
			digits(side[p].size)
		}
	}
	return crc32.ChecksumIEEE([]byte(text.String()))
}

func TestKrakenAnswers(t *testing.T) {
	x := open(t, "kraken", sim.Options{})
	c := dial(t, x.URL(), nil)
	c.next()
	for _, q := range [][2]string{
		{`{"method":"ping","req_id":3}`, `"method":"pong","req_id":3`},
		{`{"method":"subscribe","params":{"channel":"trade","symbol":["NO/PE"]}}`, `"error":"Currency pair not supported NO/PE"`},
		{`{"method":"subscribe","params":{"channel":"book","depth":11,"symbol":["BTC/USDT"]}}`, `"error":"Subscription depth not supported"`},
		{`{"method":"dance"}`, `"success":false`}, {`[`, `"success":false`},
		{`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USDT"]}}`, `"success":true`},
		{`{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USDT"]}}`, `"success":true`},
	} {
		c.send(q[0])
		if got := string(c.next()); !strings.Contains(got, q[1]) {
			t.Errorf("%s: %s", q[0], got)
		}
	}
	if got := string(c.next()); !strings.Contains(got, `"channel":"ticker","type":"snapshot"`) {
		t.Error(got)
	}
	_, body, _, _ := get(t, x.REST()+"/0/public/AssetPairs")
	if !strings.Contains(string(body), `"wsname":"XBT/USDT"`) {
		t.Errorf("%s", body)
	}
}
