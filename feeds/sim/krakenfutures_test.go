package sim_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/feeds/sim"
)

// TestKrakenFuturesBook follows a book by its numbers.
func TestKrakenFuturesBook(t *testing.T) {
	x := openOf(t, "kraken-futures", sim.Options{}, sim.Symbols("kraken-futures")[:2])
	c := dial(t, x.URL(), nil)
	c.want(`{"event":"info","version":1}`)
	c.send(`{"event":"subscribe","feed":"book","product_ids":["PF_XBTUSD"]}`)
	c.want(`{"event":"subscribed","feed":"book","product_ids":["PF_XBTUSD"]}`)
	x.run(500)
	x.freeze(t)
	truth, err := x.Book("BTC-USD-PERP")
	if err != nil {
		t.Fatal(err)
	}
	type level struct{ Price, Qty json.Number }
	b := newTextBook(-int(truth.PriceExp), -int(truth.SizeExp))
	last := int64(0)
	for last != truth.Seq {
		f := decode[struct {
			level
			Feed, Side string
			Seq        int64
			Bids, Asks []level
		}](t, c.next())
		if last != 0 && f.Seq != last+1 {
			t.Fatalf("seq %d after %d", f.Seq, last)
		}
		last = f.Seq
		var bids, asks [][2]string
		for _, l := range f.Bids {
			bids = append(bids, [2]string{l.Price.String(), l.Qty.String()})
		}
		for _, l := range f.Asks {
			asks = append(asks, [2]string{l.Price.String(), l.Qty.String()})
		}
		if one := [2]string{f.Price.String(), f.Qty.String()}; f.Side == "buy" {
			bids = append(bids, one)
		} else if f.Side == "sell" {
			asks = append(asks, one)
		}
		b.apply(bids, asks)
	}
	b.equal(t, truth)
}

func TestKrakenFuturesAnswers(t *testing.T) {
	x := openOf(t, "kraken-futures", sim.Options{}, sim.Symbols("kraken-futures")[:2])
	c := dial(t, x.URL(), nil)
	c.next()
	for _, q := range [][2]string{
		{`{"event":"subscribe","feed":"heartbeat"}`, `{"event":"subscribed","feed":"heartbeat"}`},
		{`{"event":"subscribe","feed":"book","product_ids":["PF_NO"]}`, `"event":"error"`},
		{`{"event":"dance"}`, `"event":"error"`}, {`[`, `"event":"error"`},
		{`{"event":"subscribe","feed":"ticker","product_ids":["PF_ETHUSD"]}`, `"event":"subscribed"`},
	} {
		c.send(q[0])
		if got := string(c.next()); !strings.Contains(got, q[1]) {
			t.Errorf("%s: %s", q[0], got)
		}
	}
	if got := string(c.next()); !strings.Contains(got, `"openInterest":`) {
		t.Error(got)
	}
	_, body, _, _ := get(t, x.REST()+"/derivatives/api/v3/instruments")
	if !strings.Contains(string(body), `"symbol":"PF_XBTUSD"`) {
		t.Errorf("%s", body)
	}
}
