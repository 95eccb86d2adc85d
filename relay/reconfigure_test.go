package relay

import (
	"net/http"
	"strings"
	"testing"

	"tickrelay/relay/auth"
)

// TestReconfigure: tokens, origins and limits change under open connections, and only
// those whose grant is gone are closed.
func TestReconfigure(t *testing.T) {
	s, tab := authSource(t)
	g := gateway(t, Config{Table: tab.View()}, s.ring(1024))
	before := dial(t, g)
	withOrigin := http.Header{"Origin": {"https://desk.example"}}
	if _, got := dialWith(t, g, "/ws", withOrigin); got != 403 {
		t.Fatalf("a foreign origin: %d", got)
	}
	if err := g.Reconfigure(Access{Origins: []string{"https://desk.example"}, Limits: Limits{MaxConnsPerAddr: 2, MaxTopics: 1}}); err != nil {
		t.Fatal(err)
	}
	second, got := dialWith(t, g, "/ws", withOrigin)
	if got != 101 {
		t.Fatalf("the origin that is allowed now: %d", got)
	}
	if _, got := dialWith(t, g, "/ws", nil); got != 429 {
		t.Fatalf("a third connection: %d", got)
	}
	second.send(`{"op":"subscribe","topics":["binance.trades.BTC-USDT","binance.book.BTC-USDT"]}`)
	if m := second.want("error", ""); m.Code != codeLimit {
		t.Errorf("more topics than the new limit: %+v", m)
	}

	for _, bad := range []Access{
		{TLS: &TLSConfig{Cert: "a", Key: "b"}}, {Limits: Limits{QueueMessages: 1}}, {Auth: &auth.Config{}},
		{Auth: &auth.Config{Tokens: []auth.Token{{Name: "x", File: "/nonexistent"}}}},
	} {
		if err := g.Reconfigure(bad); err == nil {
			t.Errorf("accepted: %+v", bad)
		}
	}
	before.quiet()

	cfg := authConfig(t)
	if err := g.Reconfigure(Access{Auth: cfg}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*wsClient{before, second} {
		if code, reason := c.closed(); code != closeUnauthorized || !strings.Contains(reason, "revoked") {
			t.Errorf("closed with %d %q", code, reason)
		}
	}
	desk, _ := dialWith(t, g, "/ws", bearerHeader(deskToken))
	ops, _ := dialWith(t, g, "/ws", bearerHeader(opsToken))
	more := *cfg
	more.Tokens = append([]auth.Token(nil), cfg.Tokens...)
	more.Tokens[0].Topics = []string{"binance.bbo.*"}
	if err := g.Reconfigure(Access{Auth: &more}); err != nil {
		t.Fatal(err)
	}
	if code, _ := desk.closed(); code != closeUnauthorized {
		t.Errorf("a token that grants something else: closed with %d", code)
	}
	ops.quiet()
	if err := g.Reconfigure(Access{}); err != nil {
		t.Fatal(err)
	}
	if _, got := dialWith(t, g, "/ws", nil); got != 101 {
		t.Errorf("without tokens again: %d", got)
	}
	ops.quiet()
	more.Tokens = more.Tokens[:1]
	if err := g.Reconfigure(Access{Auth: &more}); err != nil {
		t.Fatal(err)
	}
	if code, _ := ops.closed(); code != closeUnauthorized {
		t.Errorf("a token that was taken away while none was asked for: closed with %d", code)
	}
}
