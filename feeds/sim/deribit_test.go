package sim_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/feeds/sim"
)

type deribitFrame struct {
	Params struct {
		Channel string
		Data    struct {
			Type       string
			Prev       int64 `json:"prev_change_id"`
			Change     int64 `json:"change_id"`
			Bids, Asks [][3]json.RawMessage
		}
	}
}

// TestDeribitBook follows the chain of a book's changes.
func TestDeribitBook(t *testing.T) {
	x := openOf(t, "deribit", sim.Options{}, sim.Symbols("deribit"))
	c := dial(t, x.URL(), nil)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":["book.BTC_USDC-PERPETUAL.100ms","book.NO-PE.100ms"]}}`)
	if ack := string(c.next()); !strings.Contains(ack, `"result":["book.BTC_USDC-PERPETUAL.100ms"]`) {
		t.Fatal(ack)
	}
	x.run(2000)
	x.freeze(t)
	var last int64
	for n := range 20 {
		d := decode[deribitFrame](t, c.next()).Params.Data
		if (d.Type == "snapshot") != (n == 0) || n > 0 && d.Prev != last || d.Change <= d.Prev || len(d.Bids)+len(d.Asks) == 0 {
			t.Fatalf("frame %d: %s of %d after %d, the last was %d", n, d.Type, d.Change, d.Prev, last)
		}
		last = d.Change
	}
}

func TestDeribitAnswers(t *testing.T) {
	x := openOf(t, "deribit", sim.Options{}, sim.Symbols("deribit"))
	c := dial(t, x.URL(), nil)
	for _, q := range [][2]string{
		{`{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":10}}`, `"result":"ok"`},
		{`{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":1}}`, `"code":-32602`},
		{`{"jsonrpc":"2.0","id":2,"method":"public/test","params":{}}`, `"version"`},
		{`{"jsonrpc":"2.0","id":3,"method":"public/subscribe","params":{"channels":["trades.ETH_USDC-PERPETUAL.raw"]}}`, `"raw_subscriptions_not_available_for_unauthorized"`},
		{`{"jsonrpc":"2.0","id":4,"method":"public/auth","params":{"grant_type":"client_credentials"}}`, `"invalid_credentials"`},
		{`{"jsonrpc":"2.0","id":5,"method":"public/auth","params":{"grant_type":"client_signature","client_id":"k"}}`, `"access_token"`},
		{`{"jsonrpc":"2.0","id":6,"method":"public/subscribe","params":{"channels":["trades.ETH_USDC-PERPETUAL.raw"]}}`, `"result":["trades.`},
		{`{"jsonrpc":"2.0","id":7,"method":"public/dance"}`, `"Method not found"`}, {`[`, `"Parse error"`},
	} {
		c.send(q[0])
		if got := string(c.next()); !strings.Contains(got, q[1]) {
			t.Errorf("%s: %s", q[0], got)
		}
	}
	_, body, _, _ := get(t, x.REST()+"/api/v2/public/get_instruments?currency=any")
	if !strings.Contains(string(body), `"instrument_name":"BTC_USDC-PERPETUAL"`) {
		t.Errorf("%s", body)
	}
}
