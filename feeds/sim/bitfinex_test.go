package sim_test

import (
	"strings"
	"testing"

	"tickrelay/feeds/sim"
)

// TestBitfinexFrames follows the numbers of a connection over two channels.
func TestBitfinexFrames(t *testing.T) {
	x := openOf(t, "bitfinex", sim.Options{}, sim.Symbols("bitfinex"))
	c := dial(t, x.URL(), nil)
	for _, q := range [][2]string{
		{``, `"platform":{"status":1}`},
		{`{"event":"conf","flags":65536}`, `"status":"OK"`},
		{`{"event":"ping"}`, `"pong"`}, {`{"event":"dance"}`, `"code":10000`}, {`[`, `"code":10000`},
		{`{"event":"subscribe","channel":"book","symbol":"tNOPE","prec":"P0","freq":"F0","len":"250"}`, `"code":10300`},
		{`{"event":"subscribe","channel":"ticker","symbol":"tBTCUST"}`, `"chanId":200001`},
	} {
		if q[0] != "" {
			c.send(q[0])
		}
		if got := string(c.next()); !strings.Contains(got, q[1]) {
			t.Errorf("%s: %s", q[0], got)
		}
	}
	c.next()
	c.send(`{"event":"subscribe","channel":"book","symbol":"tBTCUST","prec":"P0","freq":"F0","len":"250"}`)
	if got := string(c.next()); !strings.Contains(got, `"chanId":200002`) {
		t.Error(got)
	}
	x.run(1000)
	x.freeze(t)
	for n := range 50 {
		f := decode[[]any](t, c.next())
		if id, seq := f[0].(float64), f[len(f)-1].(float64); id != 200001 && id != 200002 || seq != float64(n+2) {
			t.Fatalf("frame %d: %v", n, f)
		}
	}
	_, body, _, _ := get(t, x.REST()+"/v2/conf/pub:list:pair:futures")
	if string(body) != `[["BTCF0:USTF0"]]` {
		t.Errorf("%s", body)
	}
}
