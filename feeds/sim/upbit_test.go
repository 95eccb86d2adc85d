package sim_test

import (
	"strings"
	"testing"

	"tickrelay/feeds/sim"
)

// TestUpbitAnswers subscribes twice: the second request replaces the first.
func TestUpbitAnswers(t *testing.T) {
	x := openOf(t, "upbit", sim.Options{}, sim.Symbols("upbit"))
	c := dial(t, x.URL(), nil)
	for _, q := range [][2]string{
		{`PING`, `{"status":"UP"}`}, {`[`, `"WRONG_FORMAT"`}, {`[{"type":"trade"},{"format":"SIMPLE"}]`, `"NO_TICKET"`},
		{`[{"ticket":"t"},{"type":"orderbook","codes":["KRW-BTC.5"]},{"format":"SIMPLE"}]`, `{"ty":"orderbook","cd":"KRW-BTC"`},
		{`[{"ticket":"t"},{"type":"ticker","codes":["BTC-ETH"]},{"format":"SIMPLE"}]`, `{"ty":"ticker","cd":"BTC-ETH"`},
	} {
		c.send(q[0])
		if got := string(c.next()); !strings.Contains(got, q[1]) {
			t.Errorf("%s: %s", q[0], got)
		}
	}
	x.run(500)
	x.freeze(t)
	for range 5 {
		if got := string(c.next()); !strings.Contains(got, `{"ty":"ticker","cd":"BTC-ETH"`) {
			t.Error(got)
		}
	}
	_, body, _, _ := get(t, x.REST()+"/v1/market/all")
	if !strings.Contains(string(body), `"market":"KRW-BTC"`) {
		t.Errorf("%s", body)
	}
}
