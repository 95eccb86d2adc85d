package raw

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// bybit speaks Bybit v5 (https://bybit-exchange.github.io/docs/v5/ws/connect): 500
// connections in 5 minutes, 21,000 characters of args a connection, ping every 20 s.
type bybit struct{ p fastjson.Parser }

func (*bybit) limits() limits {
	return limits{every: 100 * time.Millisecond, batch: 1, streams: 500, ping: []byte(`{"op":"ping"}`)}
}

func (*bybit) open(path, _ string) (keys []string, bare, ok bool) {
	return nil, false, path == "" || path == "/" || strings.HasPrefix(path, "/v5/public/")
}

func (*bybit) snapshots(key string) bool {
	return strings.HasPrefix(key, "orderbook.") || strings.HasPrefix(key, "tickers.")
}

func (b *bybit) request(text []byte, _ bool) request {
	v := parse(&b.p, text)
	if v == nil {
		return request{answer: b.answer(false, "invalid request: no JSON object", "", "")}
	}
	r := request{id: jsonOf(v, "req_id")}
	switch name := string(v.GetStringBytes("op")); name {
	case "ping":
		return request{answer: b.answer(true, "pong", r.id, "ping")}
	case "subscribe":
		r.op = opSubscribe
	case "unsubscribe":
		r.op = opUnsubscribe
	default:
		return request{answer: b.answer(false, "invalid request: op must be subscribe, unsubscribe or ping", r.id, "")}
	}
	for _, x := range v.GetArray("args") {
		s, err := x.StringBytes()
		if err != nil || len(s) == 0 || len(s) > 128 {
			return request{answer: b.answer(false, "invalid request: args must be strings", r.id, "subscribe")}
		}
		r.keys = append(r.keys, string(s))
	}
	if len(r.keys) == 0 {
		return request{answer: b.answer(false, "invalid request: args is empty", r.id, "subscribe")}
	}
	r.args = r.keys
	return r
}

func (*bybit) wire(subscribe bool, keys []string, id uint64) []byte {
	out := join(`{"op":"`, opName(subscribe), `","req_id":"`, strconv.FormatUint(id, 10), `","args":[`)
	for i, k := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quoted(k)...)
	}
	return append(out, "]}"...)
}

func (b *bybit) judge(frame []byte) verdict {
	v := parse(&b.p, frame)
	if v == nil {
		return verdict{}
	}
	if topic := v.GetStringBytes("topic"); len(topic) > 0 {
		return verdict{kind: isData, key: string(topic), snapshot: string(v.GetStringBytes("type")) == "snapshot"}
	}
	id := number(v, "req_id")
	switch {
	case id == 0:
		return verdict{}
	case v.GetBool("success"):
		return verdict{kind: isAck, id: id}
	}
	return verdict{kind: isRefusal, id: id, text: string(v.GetStringBytes("ret_msg"))}
}

func (b *bybit) ack(r *request, _ string) []byte {
	return b.answer(true, "", r.id, opName(r.op == opSubscribe))
}

func (b *bybit) refuse(r *request, _, _, text string) []byte {
	return b.answer(false, text, r.id, opName(r.op == opSubscribe))
}

func (*bybit) answer(ok bool, text, id, name string) []byte {
	if id == "" {
		id = `""`
	}
	return join(`{"success":`, strconv.FormatBool(ok), `,"ret_msg":`, quoted(text), `,"conn_id":"relay","req_id":`, id, `,"op":"`, name, `"}`)
}

func (*bybit) listed(*request, []string) []byte { return nil }
