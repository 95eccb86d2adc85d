package relay

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"tickrelay/relay/auth"
)

// TokenProtocol is the prefix of an entry of Sec-WebSocket-Protocol that carries a token:
// browsers cannot set other fields for a WebSocket. The relay never chooses it.
const TokenProtocol = "tickrelay.token."

// closeUnauthorized ends a connection whose token is over ("Unauthorized" in the IANA's
// registry of WebSocket close codes).
const closeUnauthorized = 3000

// admit says what a token grants; without a verifier everything, to everybody.
func (g *Gateway) admit(token string) (*auth.Grant, error) {
	if v := g.auth.Load(); v != nil {
		return v.Verify(token, time.Now())
	}
	return g.everyone.Load(), nil
}

// tokenOf finds the token in a complete request head: in the field Authorization, else
// in Sec-WebSocket-Protocol, else in the query. It accepts any bytes.
func tokenOf(head []byte) string {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	var offered string
	for f := range bytes.SplitSeq(fields, []byte("\r\n")) {
		name, value, _ := bytes.Cut(f, []byte(":"))
		switch {
		case strings.EqualFold(string(name), "Authorization"):
			if t := bearer(string(value)); t != "" {
				return t
			}
		case offered == "" && strings.EqualFold(string(name), "Sec-WebSocket-Protocol"):
			for p := range strings.SplitSeq(string(value), ",") {
				if t, ok := strings.CutPrefix(strings.TrimSpace(p), TokenProtocol); ok {
					offered = t
				}
			}
		}
	}
	if offered != "" {
		return offered
	}
	_, target, _ := bytes.Cut(line, []byte(" "))
	target, _, _ = bytes.Cut(target, []byte(" "))
	_, query, _ := bytes.Cut(target, []byte("?"))
	values, _ := url.ParseQuery(string(query)) // what could be read of it
	return values.Get("token")
}

// bearer takes the token out of an Authorization field (RFC 6750, section 2.1).
func bearer(value string) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(value), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// authorize says what an HTTP request may have, or answers it with 401.
func (h *httpServer) authorize(ctx *fasthttp.RequestCtx) (*auth.Grant, bool) {
	token := bearer(string(ctx.Request.Header.Peek("Authorization")))
	if token == "" {
		token = string(ctx.QueryArgs().Peek("token"))
	}
	grant, err := h.g.admit(token)
	if err != nil {
		ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
		problem(ctx, fasthttp.StatusUnauthorized, unauthorized(err))
		return nil, false
	}
	return grant, true
}

// unauthorized is what a client is told; auth's errors name no secret.
func unauthorized(err error) string { return strings.TrimPrefix(err.Error(), "auth: ") }

// forbidden answers for what a token does not cover.
func forbidden(ctx *fasthttp.RequestCtx, what string) {
	problem(ctx, fasthttp.StatusForbidden, what+" is not granted to this token")
}

// over says why a connection's grant has ended, "" if it has not.
func (c *conn) over() string {
	switch {
	case c.grant.Revoked():
		return "token revoked"
	case c.grant.Expired(time.Now()):
		return "token expired: send another with the operation auth before the end"
	}
	return ""
}

// reauth takes a new token of an open connection; the old grant stays if it is refused.
func (s *shard) reauth(c *conn, r *request) *badRequest {
	if s.admit == nil || c.grant.Open() {
		return bad(codeUnsupported, "no tokens are configured here")
	}
	grant, err := s.admit(r.token)
	if err != nil {
		s.stats.reauthFailed.Add(1)
		return bad(codeUnauthorized, unauthorized(err))
	}
	c.grant = grant
	return nil
}

// permits refuses a request for topics that its token does not cover. A pattern is
// refused only if it could never select anything; what it selects is sifted later.
func (h *hub) permits(r *request) bool {
	for _, p := range r.patterns {
		if p.Literal() && !r.grant.Topic(p.String()) || !r.grant.Any(p) {
			h.refuse(r.conn, r.id, codeForbidden, p.String()+": not granted to this token")
			return false
		}
	}
	return true
}

// sift leaves of topics what is granted.
func sift(topics []*topic, g *auth.Grant) []*topic {
	if g.Open() {
		return topics
	}
	kept := topics[:0]
	for _, t := range topics {
		if g.Topic(t.name) {
			kept = append(kept, t)
		}
	}
	return kept
}

// authorized puts a connection's new grant in force: what it no longer covers ends.
func (h *hub) authorized(r *request) {
	k := h.clientOf(r)
	k.leavePast()
	var ended []*topic
	for t, st := range k.streams.all() {
		if !r.grant.Topic(t.name) {
			k.streams.delete(t)
			h.leave(r.conn, st)
			ended = append(ended, t)
		}
	}
	out := append([]byte(`{"op":"auth"`), appendID(nil, r.id)...)
	out = append(out, `,"topics":[`...)
	for i, p := range r.grant.Topics {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, "%q", p.String()) // a pattern has no control characters
	}
	out = append(out, `],"expires":`...)
	if r.grant.Expires.IsZero() {
		out = append(out, "null}"...)
	} else {
		out = fmt.Appendf(out, `"%d"}`, r.grant.Expires.UnixNano())
	}
	h.answer(r.conn, out)
	if len(ended) == 0 {
		return
	}
	out = append([]byte(nil), `{"op":"unsubscribed","topics":[`...)
	for i, t := range ended {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, t.quoted...)
	}
	h.answer(r.conn, append(out, "]}"...))
}

// errUnauthorized says that an upgrade was refused for its token.
var errUnauthorized = errors.New("relay: token refused")
