package raw

import (
	"sort"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// args speaks the dialects in which a stream is an object, arg:
//
//   - OKX v5 (https://www.okx.com/docs-v5/en/#overview-websocket): 480 requests an hour
//     and 3 connections a second; silent connections end after 30 s.
//   - Bitget v2 (https://www.bitget.com/api-doc/common/websocket-intro): 10 messages a
//     second, 1,000 streams of which it advises 50; ping every 30 s.
type args struct {
	okx bool
	p   fastjson.Parser
}

func (a *args) limits() limits {
	l := limits{every: 150 * time.Millisecond, batch: 1, streams: 500, perKey: true, ping: []byte("ping")}
	if a.okx {
		l.every = 400 * time.Millisecond
	}
	return l
}

func (a *args) open(path, _ string) (keys []string, bare, ok bool) {
	want := "/v2/ws/public"
	if a.okx {
		want = "/ws/v5/public"
	}
	return nil, false, path == "" || path == "/" || path == want
}

// key is an arg with its fields in order.
func argKey(v *fastjson.Value) string {
	o, err := v.Object()
	if err != nil {
		return ""
	}
	var fields []string
	o.Visit(func(k []byte, x *fastjson.Value) {
		fields = append(fields, quoted(string(k))+":"+string(x.MarshalTo(nil)))
	})
	sort.Strings(fields)
	return "{" + strings.Join(fields, ",") + "}"
}

// channel is that of a key.
func channelOf(key string) string {
	_, rest, _ := strings.Cut(key, `"channel":"`)
	c, _, _ := strings.Cut(rest, `"`)
	return c
}

func (a *args) snapshots(key string) bool {
	c := channelOf(key)
	if a.okx {
		return c == "books" || strings.HasSuffix(c, "-l2-tbt")
	}
	return c == "books" || strings.HasPrefix(c, "candle") || c == "trade"
}

func (a *args) request(text []byte, _ bool) request {
	if isPing(text) {
		return request{answer: []byte("pong")}
	}
	v := parse(&a.p, text)
	if v == nil {
		return request{answer: a.fail("", "", "60012", "Invalid request: no JSON object")}
	}
	r := request{id: jsonOf(v, "id")}
	switch string(v.GetStringBytes("op")) {
	case "subscribe":
		r.op = opSubscribe
	case "unsubscribe":
		r.op = opUnsubscribe
	default:
		return request{answer: a.fail(r.id, "", "60012", "Invalid request: op must be subscribe or unsubscribe")}
	}
	for _, x := range v.GetArray("args") {
		k := argKey(x)
		if channelOf(k) == "" || len(k) > 512 {
			return request{answer: a.fail(r.id, "", "60012", "Invalid request: an arg without channel")}
		}
		r.keys = append(r.keys, k)
		r.args = append(r.args, string(x.MarshalTo(nil)))
	}
	if len(r.keys) == 0 {
		return request{answer: a.fail(r.id, "", "60012", "Invalid request: args is empty")}
	}
	return r
}

func (a *args) wire(subscribe bool, keys []string, _ uint64) []byte {
	return join(`{"op":"`, opName(subscribe), `","args":[`, strings.Join(keys, ","), `]}`)
}

func opName(subscribe bool) string {
	if subscribe {
		return "subscribe"
	}
	return "unsubscribe"
}

func (a *args) judge(frame []byte) verdict {
	v := parse(&a.p, frame)
	if v == nil {
		return verdict{}
	}
	var key string
	if arg := v.Get("arg"); arg != nil {
		key = argKey(arg)
	}
	switch event := string(v.GetStringBytes("event")); {
	case event == "subscribe" || event == "unsubscribe":
		return verdict{kind: isAck, key: key}
	case event == "error":
		code := strings.Trim(jsonOf(v, "code"), `"`)
		return verdict{kind: isRefusal, key: key, code: code, text: string(v.GetStringBytes("msg"))}
	case event == "" && key != "" && v.Exists("data"):
		return verdict{kind: isData, key: key, snapshot: string(v.GetStringBytes("action")) == "snapshot"}
	}
	return verdict{}
}

// arg is that of a key as the client wrote it.
func (r *request) arg(key string) string {
	for i, k := range r.keys {
		if k == key {
			return r.args[i]
		}
	}
	return key
}

func idField(name, id string) string {
	if id == "" {
		return ""
	}
	return `"` + name + `":` + id + `,`
}

func (a *args) ack(r *request, key string) []byte {
	return join(`{`, idField("id", r.id), `"event":"`, opName(r.op == opSubscribe), `","arg":`, r.arg(key), `}`)
}

func (a *args) refuse(r *request, key, code, text string) []byte {
	return a.fail(r.id, r.arg(key), code, text)
}

func (a *args) fail(id, arg, code, text string) []byte {
	if a.okx {
		return join(`{`, idField("id", id), `"event":"error","code":`, quoted(code), `,"msg":`, quoted(text), `}`)
	}
	return join(`{"event":"error",`, idField("arg", arg), `"code":`, code, `,"msg":`, quoted(text), `}`)
}

func (a *args) listed(r *request, _ []string) []byte { return nil }
