package raw

import (
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		venue, text string
		op          op
		keys        string
		answer      string // part of what is answered at once
	}{
		{"binance", `{"method":"SUBSCRIBE","params":["a@trade","b@depth"],"id":1}`, opSubscribe, "a@trade b@depth", ""},
		{"binance", `{"method":"UNSUBSCRIBE","params":["a@trade"],"id":1}`, opUnsubscribe, "a@trade", ""},
		{"binance", `{"method":"LIST_SUBSCRIPTIONS","id":1}`, opList, "", ""},
		{"binance", `{"method":"GET_PROPERTY","params":["combined"],"id":"x"}`, opNone, "", `{"result":true,"id":"x"}`},
		{"binance", `{"method":"SET_PROPERTY","params":["combined",1],"id":2}`, opNone, "", `"code":1`},
		{"binance", `{"method":"SUBSCRIBE","params":[1],"id":3}`, opNone, "", `"error"`},
		{"binance", `{"method":"SUBSCRIBE","params":[],"id":3}`, opNone, "", `"error"`},
		{"okx", `{"id":"7","op":"subscribe","args":[{"instId":"X","channel":"books"}]}`, opSubscribe, `{"channel":"books","instId":"X"}`, ""},
		{"okx", `ping`, opNone, "", "pong"},
		{"okx", `{"op":"login","args":[]}`, opNone, "", `"event":"error"`},
		{"okx", `{"op":"subscribe","args":[{"instId":"X"}]}`, opNone, "", `"event":"error"`},
		{"bitget", `{"op":"unsubscribe","args":[{"instType":"SPOT","channel":"trade","instId":"X"}]}`, opUnsubscribe, `{"channel":"trade","instId":"X","instType":"SPOT"}`, ""},
		{"bybit", `{"req_id":"r","op":"subscribe","args":["orderbook.50.X"]}`, opSubscribe, "orderbook.50.X", ""},
		{"bybit", `{"req_id":"r","op":"ping"}`, opNone, "", `"ret_msg":"pong","conn_id":"relay","req_id":"r","op":"ping"`},
		{"bybit", `{"op":"subscribe","args":[7]}`, opNone, "", `"success":false`},
	} {
		r := dialectOf(c.venue).request([]byte(c.text), false)
		if r.op != c.op || strings.Join(r.keys, " ") != c.keys || !strings.Contains(string(r.answer), c.answer) || (c.answer != "") != (r.answer != nil) {
			t.Errorf("%s %s: %+v %s", c.venue, c.text, r, r.answer)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		venue, text string
		want        verdict
		bare        string
	}{
		{"binance", `{"stream":"a@trade","data":{"e":"trade","q":"{\"}"}}`, verdict{kind: isData, key: "a@trade"}, `{"e":"trade","q":"{\"}"}`},
		{"binance", `{"result":null,"id":4}`, verdict{kind: isAck, id: 4}, ""},
		{"binance", `{"error":{"code":2,"msg":"no"},"id":4}`, verdict{kind: isRefusal, id: 4, code: "2", text: "no"}, ""},
		{"binance", `{"code":2,"msg":"no","id":4}`, verdict{kind: isRefusal, id: 4, code: "2", text: "no"}, ""},
		{"binance", `{"e":"serverShutdown"}`, verdict{}, ""},
		{"okx", `{"arg":{"channel":"books","instId":"X"},"action":"snapshot","data":[{}]}`, verdict{kind: isData, key: `{"channel":"books","instId":"X"}`, snapshot: true}, ""},
		{"okx", `{"event":"subscribe","arg":{"channel":"trades","instId":"X"},"connId":"a"}`, verdict{kind: isAck, key: `{"channel":"trades","instId":"X"}`}, ""},
		{"okx", `{"event":"error","code":"60018","msg":"no such channel","connId":"a"}`, verdict{kind: isRefusal, code: "60018", text: "no such channel"}, ""},
		{"bitget", `{"event":"error","arg":{"channel":"x"},"code":30001,"msg":"no"}`, verdict{kind: isRefusal, key: `{"channel":"x"}`, code: "30001", text: "no"}, ""},
		{"bitget", `pong`, verdict{}, ""},
		{"bybit", `{"topic":"orderbook.50.X","type":"snapshot","ts":1,"data":{}}`, verdict{kind: isData, key: "orderbook.50.X", snapshot: true}, ""},
		{"bybit", `{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{}}`, verdict{kind: isData, key: "orderbook.50.X"}, ""},
		{"bybit", `{"success":true,"ret_msg":"","conn_id":"c","req_id":"12","op":"subscribe"}`, verdict{kind: isAck, id: 12}, ""},
		{"bybit", `{"success":false,"ret_msg":"no topic","conn_id":"c","req_id":"12","op":"subscribe"}`, verdict{kind: isRefusal, id: 12, text: "no topic"}, ""},
		{"bybit", `{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}`, verdict{}, ""},
	} {
		got := dialectOf(c.venue).judge([]byte(c.text))
		if got.kind != c.want.kind || got.key != c.want.key || got.id != c.want.id || got.snapshot != c.want.snapshot ||
			got.code != c.want.code || got.text != c.want.text || string(got.bare) != c.bare {
			t.Errorf("%s %s: %+v bare %s", c.venue, c.text, got, got.bare)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		venue, path, query string
		keys               string
		bare, ok           bool
	}{
		{"binance", "/ws", "", "", true, true}, {"binance", "/ws/a@trade/b@trade", "", "a@trade b@trade", true, true},
		{"binance", "/stream", "streams=a@trade/b@trade", "a@trade b@trade", false, true}, {"binance", "/wsx", "", "", false, false},
		{"binance", "", "", "", false, false}, {"okx", "/ws/v5/public", "", "", false, true}, {"okx", "/ws/v5/private", "", "", false, false},
		{"bitget", "/v2/ws/public", "", "", false, true}, {"bybit-linear", "/v5/public/linear", "", "", false, true}, {"bybit", "/v5/private", "", "", false, false},
	} {
		keys, bare, ok := dialectOf(c.venue).open(c.path, c.query)
		if ok != c.ok || ok && (bare != c.bare || strings.Join(keys, " ") != c.keys) {
			t.Errorf("%s %s?%s: %v %v %v", c.venue, c.path, c.query, keys, bare, ok)
		}
	}
	for _, bad := range []Config{{Venue: "kraken"}, {Venue: "binance", URL: "http://x"}, {Venue: ""}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// FuzzDialects: neither a client's nor a venue's message makes a dialect panic, and a
// request has an argument per key.
func FuzzDialects(f *testing.F) {
	for _, s := range []string{`{"method":"SUBSCRIBE","params":["a@trade"],"id":1}`, `{"op":"subscribe","args":[{"channel":"books","instId":"X"}]}`,
		`{"op":"subscribe","args":["orderbook.50.X"],"req_id":"1"}`, `ping`, `{"stream":"a","data":{}}`, `{"stream":"a","data":`, `[]`,
		`{"method":"SET_PROPERTY","params":["combined",true]}`, `{"arg":{"channel":1},"data":[]}`, `{"id":"x","error":{"code":{}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, venue := range []string{"binance", "okx", "bitget", "bybit"} {
			d := dialectOf(venue)
			r := d.request(text, true)
			if len(r.keys) != len(r.args) || r.op == opNone && r.answer == nil {
				t.Fatalf("%s: %+v", venue, r)
			}
			for _, k := range r.keys {
				d.ack(&r, k)
				d.refuse(&r, k, "1", "no")
				d.wire(true, []string{k}, 1)
			}
			d.judge(text)
		}
	})
}
