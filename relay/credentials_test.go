package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

const (
	deskToken = "desk-token-0123456789"
	opsToken  = "ops-token-0123456789"
	jwtSecret = "0123456789abcdef0123456789abcdef"
)

func secretFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func authConfig(t testing.TB) *auth.Config {
	return &auth.Config{
		Tokens: []auth.Token{
			{Name: "desk", File: secretFile(t, deskToken), Topics: []string{"binance.trades.*", "binance.book.BTC-USDT"}},
			{Name: "ops", File: secretFile(t, opsToken), Metrics: true},
		},
		JWT: &auth.JWT{HS256File: secretFile(t, jwtSecret)},
	}
}

func signed(t testing.TB, life time.Duration, topics ...string) string {
	t.Helper()
	exp := float64(time.Now().Add(life).UnixNano()) / 1e9
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "alice", "topics": topics, "exp": exp}).SignedString([]byte(jwtSecret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dialWith opens a WebSocket as one kind of client does; status is that of a refusal.
func dialWith(t testing.TB, g *Gateway, path string, header http.Header, protocols ...string) (*wsClient, int) {
	t.Helper()
	status := 0
	d := ws.Dialer{Timeout: 10 * time.Second, Protocols: protocols, Header: ws.HandshakeHeaderHTTP(header),
		OnStatusError: func(code int, _ []byte, _ io.Reader) { status = code }}
	conn, br, _, err := d.Dial(context.Background(), "ws://"+g.Addr().String()+path)
	if err != nil {
		if status == 0 {
			t.Fatal(err)
		}
		return nil, status
	}
	t.Cleanup(func() { conn.Close() })
	var r io.Reader = conn
	if br != nil {
		r = io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn)
	}
	return &wsClient{t: t, conn: conn, r: bufio.NewReader(r)}, 101
}

func bearerHeader(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func authSource(t testing.TB) (*source, *md.Table) {
	tab := newTable(t)
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades, md.ChannelBook, md.ChannelBBO)
	return s, tab
}

func TestTokenPlaces(t *testing.T) {
	s, tab := authSource(t)
	g := gateway(t, Config{Table: tab.View(), Auth: authConfig(t)}, s.ring(1024))
	for _, c := range []struct {
		name, path string
		header     http.Header
		protocols  []string
		want       int
	}{
		{"nothing", "/ws", nil, nil, 401},
		{"header", "/ws", bearerHeader(deskToken), nil, 101},
		{"header, JWT", "/ws", bearerHeader(signed(t, time.Hour)), nil, 101},
		{"header, other case", "/ws", http.Header{"Authorization": {"bearer  " + deskToken}}, nil, 101},
		{"header, other scheme", "/ws", http.Header{"Authorization": {"Basic " + deskToken}}, nil, 401},
		{"query", "/ws?a=b&token=" + deskToken, nil, nil, 101},
		{"query, wrong", "/ws?token=x" + deskToken, nil, nil, 401},
		{"subprotocol", "/ws", nil, []string{ProtocolJSON, TokenProtocol + deskToken}, 101},
		{"subprotocol, first", "/ws", nil, []string{TokenProtocol + deskToken, ProtocolJSON}, 101},
		{"subprotocol, wrong", "/ws", nil, []string{ProtocolJSON, TokenProtocol + "nonsense-0123456789"}, 401},
		{"the header decides", "/ws?token=" + deskToken, bearerHeader("nonsense-0123456789"), nil, 401},
		{"expired JWT", "/ws", bearerHeader(signed(t, -time.Minute)), nil, 401},
	} {
		if _, got := dialWith(t, g, c.path, c.header, c.protocols...); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	refused := &g.accept.stats.refused[refusedToken] // counted behind the answer
	eventually(t, "six to be counted as refused for the token", func() bool { return refused.Load() >= 6 })
	if n := refused.Load(); n != 6 {
		t.Errorf("%d counted as refused for the token", n)
	}
}

func TestTopicRights(t *testing.T) {
	s, tab := authSource(t)
	g := gateway(t, Config{Table: tab.View(), Auth: authConfig(t)}, s.ring(1024))
	awaitTopics(t, g, 3)
	c, _ := dialWith(t, g, "/ws", bearerHeader(deskToken))
	refused := func(request, code string) {
		t.Helper()
		c.send("%s", request)
		if m := c.want("error", ""); m.Code != code {
			t.Errorf("%s: %+v", request, m)
		}
	}
	refused(`{"op":"subscribe","topics":["binance.bbo.BTC-USDT"]}`, codeForbidden)
	refused(`{"op":"subscribe","topics":["binance.trades.BTC-USDT","okx.>"]}`, codeForbidden)
	refused(`{"op":"resume","topics":{"binance.bbo.BTC-USDT":{"epoch":"1","seq":0}}}`, codeForbidden)
	refused(`{"op":"auth","token":"nonsense-0123456789"}`, codeUnauthorized)
	refused(`{"op":"auth"}`, codeRequest)

	c.send(`{"op":"list"}`)
	if at := c.want("list", "").positions(t); len(at) != 2 {
		t.Errorf("list: %v", at)
	}
	c.send(`{"op":"subscribe","topics":["*.*.*"]}`)
	if at := c.want("subscribed", "").positions(t); len(at) != 2 {
		t.Errorf("subscribed: %v", at)
	}
	d, _ := dialWith(t, g, "/ws", bearerHeader(deskToken))
	d.send(`{"op":"resume","topics":{"%s":{"epoch":"1","seq":0}},"patterns":["*.*.*"]}`, tradeTopic)
	if at := d.want("subscribed", "").positions(t); len(at) != 2 {
		t.Errorf("resumed: %v", at)
	}
	// Topics that appear later are judged too.
	s.add(md.VenueBinance, "ETH-USDT", md.ChannelBBO, md.ChannelTrades, md.ChannelBook)
	s.quote("binance.bbo.ETH-USDT", 1, 2)
	s.quote(btcBBO, 1, 2)
	s.trade("binance.trades.ETH-USDT", 1, 100)
	if at := c.want("topic", "").positions(t); len(at) != 1 || at["binance.trades.ETH-USDT"].Epoch == "" {
		t.Errorf("topic: %v", at)
	}
	c.want("trade", "binance.trades.ETH-USDT")

	// A narrower token ends what it does not cover; a wider one serves new requests.
	c.send(`{"op":"auth","id":7,"token":"%s"}`, signed(t, time.Hour, "binance.bbo.*"))
	if m := c.want("auth", ""); string(m.ID) != "7" {
		t.Errorf("%+v", m)
	}
	c.want("unsubscribed", "")
	s.trade("binance.trades.ETH-USDT", 2, 100)
	c.quiet()
	c.send(`{"op":"subscribe","topics":["binance.bbo.BTC-USDT"]}`)
	c.want("subscribed", "")
	c.want("bbo", "binance.bbo.BTC-USDT")
}

func TestHTTPRights(t *testing.T) {
	s, tab := authSource(t)
	g := gateway(t, Config{Table: tab.View(), Auth: authConfig(t)}, s.ring(1024))
	awaitTopics(t, g, 3)
	ask := func(path, token string) (int, string) {
		r, _ := http.NewRequest("GET", "http://"+g.Addr().String()+path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		if res.StatusCode == 401 && res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", path)
		}
		return res.StatusCode, string(b)
	}
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{"/", "", 200}, {"/healthz", "", 200},
		{"/metrics", "", 401}, {"/metrics", deskToken, 403}, {"/metrics", opsToken, 200}, {"/metrics?token=" + opsToken, "", 200},
		{"/api/v1/topics", "", 401}, {"/api/v1/topics", deskToken, 200}, {"/api/v1/instruments", "", 401}, {"/api/v1/feeds", "", 401},
		{"/api/v1/feeds", opsToken, 200}, {"/api/v1/book/binance/BTC-USDT", "", 401}, {"/api/v1/book/binance/BTC-USDT", opsToken, 403},
		{"/api/v1/book/binance/ETH-USDT", deskToken, 403}, {"/api/v1/nothing", "", 401},
	} {
		if got, body := ask(c.path, c.token); got != c.want {
			t.Errorf("%s with %q: %d %s, want %d", c.path, c.token, got, body, c.want)
		}
	}
	if got, _ := ask("/api/v1/book/binance/BTC-USDT", deskToken); got == 401 || got == 403 {
		t.Errorf("the desk's own book: %d", got)
	}
	if _, body := ask("/api/v1/topics", deskToken); strings.Contains(body, "bbo") || !strings.Contains(body, "trades") {
		t.Errorf("topics: %s", body)
	}
	if _, body := ask("/readyz", ""); !strings.Contains(body, `"problems":[]`) {
		t.Errorf("/readyz tells strangers: %s", body)
	}
}

func TestTokenExpiresAndRefreshes(t *testing.T) {
	s, tab := authSource(t)
	g := gateway(t, Config{Table: tab.View(), Auth: authConfig(t)}, s.ring(1024))
	awaitTopics(t, g, 3)
	dies, _ := dialWith(t, g, "/ws", bearerHeader(signed(t, 1500*time.Millisecond, "binance.>")))
	lives, _ := dialWith(t, g, "/ws", bearerHeader(signed(t, 1500*time.Millisecond, "binance.>")))
	lives.send(`{"op":"subscribe","topics":["%s"]}`, tradeTopic)
	lives.want("subscribed", "")
	lives.send(`{"op":"auth","token":"%s"}`, signed(t, time.Hour, "binance.>"))
	lives.want("auth", "")
	if code, reason := dies.closed(); code != closeUnauthorized || !strings.Contains(reason, "expired") {
		t.Errorf("closed with %d %q", code, reason)
	}
	s.trade(tradeTopic, 1, 100)
	lives.want("trade", tradeTopic)
	eventually(t, "counted", func() bool {
		return g.shards[0].stats.closed[closedToken].Load()+g.shards[len(g.shards)-1].stats.closed[closedToken].Load() > 0
	})
}

func TestTokenTakenAway(t *testing.T) {
	s, tab := authSource(t)
	cfg := authConfig(t)
	g := gateway(t, Config{Table: tab.View(), Auth: cfg}, s.ring(1024))
	desk, _ := dialWith(t, g, "/ws", bearerHeader(deskToken))
	ops, _ := dialWith(t, g, "/ws", bearerHeader(opsToken))
	if err := os.WriteFile(cfg.Tokens[0].File, []byte("another-token-0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, reason := desk.closed(); code != closeUnauthorized || !strings.Contains(reason, "revoked") {
		t.Errorf("closed with %d %q", code, reason)
	}
	ops.quiet()
	if _, got := dialWith(t, g, "/ws", bearerHeader(deskToken)); got != 401 {
		t.Errorf("the old token: %d", got)
	}
	if _, got := dialWith(t, g, "/ws", bearerHeader("another-token-0123456789")); got != 101 {
		t.Errorf("the new token: %d", got)
	}
}

// Logs, answers and metrics tell nothing secret, whatever clients do with tokens.
func TestNothingSecretInLogsOrMetrics(t *testing.T) {
	s, tab := authSource(t)
	var log logBuffer
	cfg := authConfig(t)
	g := gateway(t, Config{Table: tab.View(), Auth: cfg, Log: log.logger()}, s.ring(1024))
	awaitTopics(t, g, 3)
	good, forged := signed(t, time.Hour, "binance.>"), signed(t, time.Hour)+"x"
	var told strings.Builder
	for _, token := range []string{deskToken, good, forged, "wrong-token-0123456789"} {
		for _, path := range []string{"/ws?token=" + token, "/metrics?token=" + token, "/api/v1/topics?token=" + token, "/nowhere?token=" + token} {
			code, header, body := get(t, g, path)
			fmt.Fprintln(&told, code, header, body)
		}
		if c, _ := dialWith(t, g, "/ws", bearerHeader(token)); c != nil {
			c.send(`{"op":"auth","token":"%s"}`, forged)
			_, answer, _ := c.read()
			told.Write(answer)
		}
	}
	os.WriteFile(cfg.Tokens[0].File, []byte("too short"), 0o600)
	fmt.Fprintln(&told, g.Reload())
	_, _, metrics := get(t, g, "/metrics?token="+opsToken)
	told.WriteString(metrics)
	told.WriteString(log.String())
	for _, secret := range []string{deskToken, opsToken, jwtSecret, good, forged, "wrong-token", "too short"} {
		if strings.Contains(told.String(), secret) {
			t.Errorf("%q is told", secret)
		}
	}
	if !strings.Contains(log.String(), "not reloaded") {
		t.Error("the log was not looked at")
	}
}

func TestAuthWithoutTokens(t *testing.T) {
	s, tab := authSource(t)
	g := gateway(t, Config{Table: tab.View()}, s.ring(1024))
	c := dial(t, g)
	c.send(`{"op":"auth","token":"x"}`)
	if m := c.want("error", ""); m.Code != codeUnsupported {
		t.Errorf("%+v", m)
	}
}

// FuzzToken: no head makes the search for a token or the handshake panic, and no one
// comes in but with the token in one of its places.
func FuzzToken(f *testing.F) {
	v, err := auth.New(*authConfig(f))
	if err != nil {
		f.Fatal(err)
	}
	base := "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, s := range []string{base + "\r\n", base + "Authorization: Bearer " + deskToken + "\r\n\r\n",
		base + "Sec-WebSocket-Protocol: a, " + TokenProtocol + deskToken + "\r\n\r\n",
		strings.Replace(base, "/ws", "/ws?token="+deskToken, 1) + "\r\n", base + "Authorization\r\n: Bearer\r\n\r\n",
		strings.Replace(base, "/ws", "/ws?token=%64esk-token-0123456789&%zz", 1) + "\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		var grant *auth.Grant
		_, answer, err := handshake(head, nil, true, func(token string) (err error) {
			grant, err = v.Verify(token, time.Now())
			return err
		})
		if err == nil && (grant == nil || grant.Name != "desk") {
			t.Fatalf("let in with %v: %q", grant, head)
		}
		if strings.Contains(string(answer), deskToken) {
			t.Fatalf("the answer tells the token: %q", answer)
		}
	})
}
