package relay

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// Error codes of {"op":"error"}. The list is closed.
const (
	codeJSON        = "bad_json"     // the message is not a JSON object
	codeRequest     = "bad_request"  // a field is missing or of the wrong type
	codeOp          = "bad_op"       // op is not known
	codeTopic       = "bad_topic"    // a topic or pattern is malformed, or names no venue or channel
	codeOption      = "bad_option"   // depth, conflate_ms or policy is out of range
	codeUnsupported = "unsupported"  // right, but not offered here (raw)
	codeLimit       = "limit"        // too many topics, patterns or option sets
	codeRate        = "rate_limited" // too many requests

	codeForbidden    = "forbidden"    // a topic that the token does not cover
	codeUnauthorized = "unauthorized" // the token of auth is not accepted
	codeBusy         = "busy"         // a replay runs on the connection, or it has subscriptions
)

var errorCodes = [...]string{codeJSON, codeRequest, codeOp, codeTopic, codeOption,
	codeUnsupported, codeLimit, codeRate, codeForbidden, codeUnauthorized, codeBusy}

// operation is what a client may ask.
type operation uint8

const (
	opSubscribe operation = iota
	opResume
	opUnsubscribe
	opList
	opPing
	opAuth
	opReplay
	opStop
	opUnknown
	numOps
)

var operations = [numOps]string{"subscribe", "resume", "unsubscribe", "list", "ping", "auth", "replay", "stop", "unknown"}

// maxInflight bounds the requests of one connection that wait for the hub.
const maxInflight = 32

// maxID bounds a request's id in bytes, quotes included.
const maxID = 64

// badRequest is an error answer.
type badRequest struct {
	code, text string
}

func (e *badRequest) Error() string { return e.code + ": " + e.text }

func bad(code, text string) *badRequest { return &badRequest{code, text} }

// serve answers one text message of a client, or passes it to the hub.
func (s *shard) serve(c *conn, text []byte) {
	if !s.allowed(c) {
		s.refuse(c, requestID(&s.parser, text), bad(codeRate,
			"more than "+strconv.Itoa(s.limits.Requests)+" requests per second"))
		s.flooded(c)
		return
	}
	op, r, err := parseRequest(&s.parser, text, &s.limits)
	s.stats.requests[op].Add(1)
	if err == nil && op == opAuth && c.inflight < maxInflight { // the hub has to hear of it
		err = s.reauth(c, &r)
	}
	switch {
	case err != nil:
		s.refuse(c, r.id, err)
	case op == opPing:
		c.answer(textFrame(append(appendID([]byte(`{"op":"pong"`), r.id), '}')))
	case c.inflight >= maxInflight:
		s.refuse(c, r.id, bad(codeRate, "too many requests without an answer"))
	default:
		c.inflight++
		c.known = true
		r.conn, r.grant = c, c.grant
		s.ask(r)
	}
}

// flooded counts what was beyond the rate and closes a connection that goes on.
func (s *shard) flooded(c *conn) {
	if c.refused++; int(c.refused) > s.limits.RequestBurst {
		s.close(c, ws.StatusPolicyViolation, "too many requests", closedRate)
	}
}

func (s *shard) refuse(c *conn, id string, err *badRequest) {
	s.stats.errors.add(err.code)
	c.answer(textFrame(appendError(nil, id, err.code, err.text)))
}

// allowed takes one token of the connection's bucket.
func (s *shard) allowed(c *conn) bool {
	l := &s.limits
	c.tokens += float32(l.Requests) * float32(s.now-c.refilled) / float32(time.Second)
	c.tokens = min(c.tokens, float32(l.RequestBurst))
	c.refilled = s.now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	if c.tokens > float32(l.RequestBurst)/2 {
		c.refused = 0
	}
	return true
}

// parseRequest reads one request. r.id is set as far as it could be read, also
// with an error. It accepts any bytes.
func parseRequest(p *fastjson.Parser, text []byte, l *Limits) (op operation, r request, err *badRequest) {
	v, perr := p.ParseBytes(text)
	if perr != nil || v.Type() != fastjson.TypeObject {
		return opUnknown, r, bad(codeJSON, "not a JSON object")
	}
	if r.id, err = idOf(v); err != nil {
		return opUnknown, r, err
	}
	name := string(v.GetStringBytes("op"))
	for op = 0; op < opUnknown; op++ {
		if operations[op] == name {
			break
		}
	}
	switch op {
	case opSubscribe:
		r.op = requestSubscribe
		if r.opt, err = optionsOf(v); err == nil {
			r.patterns, err = patternsOf(v, "topics", l)
		}
	case opResume:
		r.op = requestResume
		if r.opt, err = optionsOf(v); err == nil {
			r.resume, err = resumeOf(v, l)
		}
		if err == nil && v.Exists("patterns") {
			r.patterns, err = patternsOf(v, "patterns", l)
		}
	case opUnsubscribe:
		r.op = requestUnsubscribe
		r.patterns, err = patternsOf(v, "topics", l)
	case opList:
		r.op = requestList
	case opAuth:
		r.op = requestAuth
		if r.token = string(v.GetStringBytes("token")); r.token == "" {
			err = bad(codeRequest, "token must be a string")
		}
	case opReplay:
		r.op = requestReplay
		err = pastOf(v, &r, l, time.Now().UnixNano())
	case opStop:
		r.op = requestStop
	case opUnknown:
		err = bad(codeOp, "op must be subscribe, resume, unsubscribe, list, ping, auth, replay or stop")
	}
	return op, r, err
}

// requestID reads the id alone, for an answer that refuses the request unread.
func requestID(p *fastjson.Parser, text []byte) string {
	v, err := p.ParseBytes(text)
	if err != nil {
		return ""
	}
	id, _ := idOf(v)
	return id
}

// idOf returns the id as JSON text, "" if there is none.
func idOf(v *fastjson.Value) (string, *badRequest) {
	id := v.Get("id")
	if id == nil || id.Type() == fastjson.TypeNull {
		return "", nil
	}
	switch id.Type() {
	case fastjson.TypeString:
		b, err := json.Marshal(string(id.GetStringBytes()))
		if err == nil && len(b) <= maxID {
			return string(b), nil
		}
	case fastjson.TypeNumber:
		if b := id.MarshalTo(nil); len(b) <= maxID && json.Valid(b) {
			return string(b), nil
		}
	}
	return "", bad(codeRequest, "id must be a number or a string of at most 64 bytes")
}

func optionsOf(v *fastjson.Value) (opt options, err *badRequest) {
	depth, err := intOf(v, "depth", MaxDepth)
	if err != nil {
		return opt, err
	}
	ms, err := intOf(v, "conflate_ms", MaxConflate)
	if err != nil {
		return opt, err
	}
	p, err := policyOf(v)
	return options{depth: depth, conflate: time.Duration(ms) * time.Millisecond, policy: p}, err
}

func intOf(v *fastjson.Value, key string, most int) (int, *badRequest) {
	x := v.Get(key)
	if x == nil || x.Type() == fastjson.TypeNull {
		return 0, nil
	}
	n, err := x.Int()
	if err != nil || n < 0 || n > most {
		return 0, bad(codeOption, key+" must be a whole number from 0 to "+strconv.Itoa(most))
	}
	return n, nil
}

func patternsOf(v *fastjson.Value, key string, l *Limits) ([]md.Pattern, *badRequest) {
	list := v.Get(key)
	if list == nil || list.Type() != fastjson.TypeArray {
		return nil, bad(codeRequest, key+" must be an array of topics or patterns")
	}
	items := list.GetArray()
	if len(items) == 0 {
		return nil, bad(codeRequest, key+" is empty")
	}
	if len(items) > l.MaxTopics {
		return nil, bad(codeLimit, "more than "+strconv.Itoa(l.MaxTopics)+" topics in a request")
	}
	patterns := make([]md.Pattern, 0, len(items))
	for _, it := range items {
		if it.Type() != fastjson.TypeString {
			return nil, bad(codeRequest, key+" must be an array of strings")
		}
		p, err := patternOf(string(it.GetStringBytes()))
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

func patternOf(s string) (md.Pattern, *badRequest) {
	p, err := md.ParsePattern(s)
	if err != nil {
		return p, bad(codeTopic, strings.TrimPrefix(err.Error(), "md: "))
	}
	if _, rest, ok := strings.Cut(s, "."); ok && (rest == "raw" || strings.HasPrefix(rest, "raw.")) {
		return p, bad(codeUnsupported, s+": raw frames are not served on this endpoint")
	}
	return p, nil
}

func resumeOf(v *fastjson.Value, l *Limits) ([]resumePoint, *badRequest) {
	obj := v.GetObject("topics")
	if obj == nil || obj.Len() == 0 {
		return nil, bad(codeRequest, `topics must be an object {"topic":{"epoch":"…","seq":N},…}`)
	}
	if obj.Len() > l.MaxTopics {
		return nil, bad(codeLimit, "more than "+strconv.Itoa(l.MaxTopics)+" topics in a request")
	}
	var points []resumePoint
	var err *badRequest
	obj.Visit(func(key []byte, pos *fastjson.Value) {
		if err != nil {
			return
		}
		var p resumePoint
		if p, err = pointOf(string(key), pos); err == nil {
			points = append(points, p)
		}
	})
	return points, err
}

func pointOf(name string, v *fastjson.Value) (p resumePoint, err *badRequest) {
	if p.topic, err = patternOf(name); err != nil {
		return p, err
	}
	if !p.topic.Literal() {
		return p, bad(codeTopic, name+": resume takes topics, not patterns")
	}
	epoch, e1 := strconv.ParseInt(string(v.GetStringBytes("epoch")), 10, 64)
	seq := v.Get("seq")
	if e1 != nil || seq == nil {
		return p, bad(codeRequest, name+`: want {"epoch":"…","seq":N}`)
	}
	n, e2 := seq.Uint64()
	if e2 != nil {
		return p, bad(codeRequest, name+": seq must be a whole number")
	}
	p.epoch, p.seq = epoch, n
	return p, nil
}

func appendID(dst []byte, id string) []byte {
	if id == "" {
		return dst
	}
	return append(append(dst, `,"id":`...), id...)
}

func appendError(dst []byte, id, code, message string) []byte {
	text, err := json.Marshal(message)
	if err != nil {
		text = []byte(`""`)
	}
	dst = append(dst, `{"op":"error"`...)
	dst = appendID(dst, id)
	dst = append(dst, `,"code":"`...)
	dst = append(dst, code...)
	dst = append(dst, `","message":`...)
	return append(append(dst, text...), '}')
}
