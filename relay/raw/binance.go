package raw

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// binance speaks Binance's market streams
// (https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams): at most
// 5 messages a second and 1,024 streams a connection. Upstream it always asks for
// combined frames, which name their stream; the object in one is what the venue sends to
// clients of /ws.
type binance struct{ p fastjson.Parser }

func (*binance) limits() limits {
	return limits{every: 300 * time.Millisecond, batch: 100, streams: 1000}
}

func (*binance) snapshots(string) bool { return false }

func (*binance) open(path, query string) (keys []string, bare, ok bool) {
	names, bare := strings.CutPrefix(path, "/ws")
	switch {
	case bare && (names == "" || names[0] == '/'):
	case strings.TrimSuffix(path, "/") == "/stream":
		q, _ := url.ParseQuery(query)
		names = q.Get("streams")
	default:
		return nil, false, false
	}
	return strings.FieldsFunc(names, func(c rune) bool { return c == '/' }), bare, true
}

func (b *binance) request(text []byte, bare bool) request {
	v := parse(&b.p, text)
	if v == nil {
		return request{answer: b.fail("3", "Invalid JSON", "")}
	}
	r := request{id: jsonOf(v, "id")}
	method := string(v.GetStringBytes("method"))
	switch method {
	case "SUBSCRIBE", "UNSUBSCRIBE":
		r.op = opSubscribe
		if method == "UNSUBSCRIBE" {
			r.op = opUnsubscribe
		}
		for _, x := range v.GetArray("params") {
			s, err := x.StringBytes()
			if err != nil || len(s) == 0 || len(s) > 128 {
				return request{answer: b.fail("2", "Invalid request: property name must be a string", r.id)}
			}
			r.keys = append(r.keys, string(s))
		}
		if len(r.keys) == 0 {
			return request{answer: b.fail("2", "Invalid request: params is empty", r.id)}
		}
		r.args = r.keys
	case "LIST_SUBSCRIPTIONS":
		r.op = opList
	case "GET_PROPERTY", "SET_PROPERTY":
		params := v.GetArray("params")
		if len(params) == 0 || string(params[0].GetStringBytes()) != "combined" {
			return request{answer: b.fail("0", "Unknown property", r.id)}
		}
		if method == "GET_PROPERTY" {
			return request{answer: join(`{"result":`, strconv.FormatBool(!bare), `,"id":`, orNull(r.id), `}`)}
		}
		if len(params) != 2 || params[1].Type() != fastjson.TypeTrue && params[1].Type() != fastjson.TypeFalse {
			return request{answer: b.fail("1", "Invalid value type: expected Boolean", r.id)}
		}
		r.op, r.bare, r.answer = opMode, !params[1].GetBool(), b.ack(&r, "")
	default:
		return request{answer: b.fail("2", "Invalid request: unknown method", r.id)}
	}
	return r
}

func (*binance) wire(subscribe bool, keys []string, id uint64) []byte {
	method := "UNSUBSCRIBE"
	if subscribe {
		method = "SUBSCRIBE"
	}
	out := join(`{"method":"`, method, `","params":[`)
	for i, k := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quoted(k)...)
	}
	return append(out, join(`],"id":`, strconv.FormatUint(id, 10), `}`)...)
}

func (b *binance) judge(frame []byte) verdict {
	if rest, ok := bytes.CutPrefix(frame, []byte(`{"stream":"`)); ok {
		key, data, found := bytes.Cut(rest, []byte(`","data":`))
		if found && len(data) > 0 && data[len(data)-1] == '}' && !bytes.ContainsAny(key, `"\`) {
			return verdict{kind: isData, key: string(key), bare: data[:len(data)-1]}
		}
	}
	v := parse(&b.p, frame)
	if v == nil {
		return verdict{}
	}
	id := number(v, "id")
	failed := v
	if e := v.Get("error"); e != nil && e.Type() == fastjson.TypeObject {
		failed = e
	}
	switch {
	case id != 0 && failed.Exists("code"):
		return verdict{kind: isRefusal, id: id, code: jsonOf(failed, "code"), text: string(failed.GetStringBytes("msg"))}
	case id != 0 && v.Exists("result"):
		return verdict{kind: isAck, id: id}
	}
	return verdict{}
}

func orNull(id string) string {
	if id == "" {
		return "null"
	}
	return id
}

func (*binance) ack(r *request, _ string) []byte {
	return join(`{"result":null,"id":`, orNull(r.id), `}`)
}

func (b *binance) refuse(r *request, _, code, text string) []byte { return b.fail(code, text, r.id) }

func (*binance) fail(code, text, id string) []byte {
	return join(`{"error":{"code":`, code, `,"msg":`, quoted(text), `},"id":`, orNull(id), `}`)
}

func (*binance) listed(r *request, keys []string) []byte {
	out := []byte(`{"result":[`)
	for i, k := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quoted(k)...)
	}
	return append(out, join(`],"id":`, orNull(r.id), `}`)...)
}
