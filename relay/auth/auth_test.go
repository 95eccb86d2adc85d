package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickrelay/ring/md"
)

func file(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func publicPEM(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func sign(t testing.TB, m jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, claims)
	if kid != "" {
		tok.Header["kid"] = kid
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const deskSecret = "desk-secret-0123456789"

func TestTokens(t *testing.T) {
	path := file(t, "desk", []byte(deskSecret+"\n"))
	t.Setenv("AUTH_TEST_OPS", "ops-secret-0123456789")
	v, err := New(Config{Tokens: []Token{
		{Name: "desk", File: path, Topics: []string{"binance.trades.*", "okx.>"}},
		{Name: "ops", Env: "AUTH_TEST_OPS", Metrics: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	desk, err := v.Verify(deskSecret, time.Now())
	if err != nil || desk.Name != "desk" || desk.Metrics {
		t.Fatalf("%+v %v", desk, err)
	}
	ops, err := v.Verify("ops-secret-0123456789", time.Now())
	if err != nil || ops.Name != "ops" || !ops.Metrics || ops.Topic("okx.book.X-Y") {
		t.Fatalf("%+v %v", ops, err)
	}
	for _, bad := range []string{deskSecret + "x", deskSecret[1:], "DESK" + deskSecret[4:], deskSecret + "\n", "desk", strings.Repeat("a", maxToken+1), "ä" + deskSecret} {
		if g, err := v.Verify(bad, time.Now()); g != nil || !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v %v", bad, g, err)
		}
	}
	if _, err := v.Verify("", time.Now()); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}

	// A secret that changes ends the grants of the old one, and no others.
	if err := v.Load(); err != nil || desk.Revoked() {
		t.Fatalf("revoked by a reload without a change: %v", err)
	}
	os.WriteFile(path, []byte("short"), 0o600)
	if err := v.Load(); err == nil || desk.Revoked() {
		t.Fatalf("%v, revoked %v", err, desk.Revoked())
	}
	os.WriteFile(path, []byte("another-secret-0123456789"), 0o600)
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	if !desk.Revoked() || ops.Revoked() {
		t.Errorf("revoked: desk %v, ops %v", desk.Revoked(), ops.Revoked())
	}
	if _, err := v.Verify(deskSecret, time.Now()); err == nil {
		t.Error("the old secret is still good")
	}
}

func TestGrants(t *testing.T) {
	pats, err := patterns([]string{"binance.trades.*", "okx.>", "*.bbo.BTC-USDT", "bybit.raw.>"})
	if err != nil {
		t.Fatal(err)
	}
	g := &Grant{Topics: pats}
	for topic, want := range map[string]bool{
		"binance.trades.BTC-USDT": true, "binance.book.BTC-USDT": false, "okx.book.A-B": true,
		"kraken.bbo.BTC-USDT": true, "kraken.bbo.ETH-USDT": false, "okx.raw._": false, "bybit.raw._": true, "bybit.book.A-B": false,
	} {
		if got := g.Topic(topic); got != want {
			t.Errorf("topic %s: %v", topic, got)
		}
	}
	for text, want := range map[string]bool{
		">": true, "binance.>": true, "binance.book.*": false, "*.book.*": true, "kraken.bbo.*": true, "kraken.trades.>": false,
		"binance.*.BTC-USDT": true, "kraken.*.ETH-USDT": false, "okx.raw.>": false, "bybit.raw.>": true,
	} {
		p, err := md.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Any(p); got != want {
			t.Errorf("pattern %s: %v", text, got)
		}
	}
	var none *Grant
	if none.Topic("okx.book.A-B") || (&Grant{}).Topic("okx.book.A-B") || none.Open() || !Open().Topic("okx.book.A-B") || !Open().Raw("okx") {
		t.Error("nothing must grant nothing, and Open everything")
	}
}

// issuer has a key of each kind and a verifier that knows them.
type issuer struct {
	secret []byte
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{secret: []byte("0123456789abcdef0123456789abcdef")}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, i.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return i
}

func claims(change ...any) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "alice", "iss": "https://id.example", "aud": "tickrelay", "exp": time.Now().Add(time.Hour).Unix(),
		"topics": []string{"binance.>"}}
	for i := 0; i+1 < len(change); i += 2 {
		if change[i+1] == nil {
			delete(c, change[i].(string))
			continue
		}
		c[change[i].(string)] = change[i+1]
	}
	return c
}

func TestJWTAlgorithms(t *testing.T) {
	i := newIssuer(t)
	for _, c := range []struct {
		name string
		cfg  JWT
		m    jwt.SigningMethod
		key  any
	}{
		{"HS256", JWT{HS256File: file(t, "s", i.secret)}, jwt.SigningMethodHS256, i.secret},
		{"RS256", JWT{PublicKeyFile: file(t, "k", publicPEM(t, &i.rsa.PublicKey))}, jwt.SigningMethodRS256, i.rsa},
		{"ES256", JWT{PublicKeyFile: file(t, "k", publicPEM(t, &i.ec.PublicKey))}, jwt.SigningMethodES256, i.ec},
		{"EdDSA", JWT{PublicKeyFile: file(t, "k", publicPEM(t, i.ed.Public()))}, jwt.SigningMethodEdDSA, i.ed},
	} {
		v, err := New(Config{JWT: &c.cfg})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		g, err := v.Verify(sign(t, c.m, c.key, "any", claims()), time.Now())
		if err != nil || g.Name != "alice" || !g.Topic("binance.book.A-B") || g.Topic("okx.book.A-B") {
			t.Errorf("%s: %+v %v", c.name, g, err)
		}
		// The other keys' tokens, the public key as a shared secret, and no signature.
		others := []string{
			sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", claims()),
			sign(t, jwt.SigningMethodHS256, publicPEM(t, &i.rsa.PublicKey), "", claims()),
			sign(t, jwt.SigningMethodHS512, i.secret, "", claims()),
			sign(t, jwt.SigningMethodPS256, i.rsa, "", claims()),
		}
		for _, o := range others {
			if g, err := v.Verify(o, time.Now()); g != nil || !errors.Is(err, ErrUnknown) {
				t.Errorf("%s accepts %.40s: %v", c.name, o, err)
			}
		}
	}
}

func TestJWTClaims(t *testing.T) {
	i := newIssuer(t)
	v, err := New(Config{JWT: &JWT{HS256File: file(t, "s", i.secret), Issuer: "https://id.example", Audience: "tickrelay",
		Leeway: 30 * time.Second, TopicsClaim: "rights"}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, c := range []struct {
		name   string
		claims jwt.MapClaims
		want   error
	}{
		{"good", claims("rights", []string{"okx.>"}), nil},
		{"one string", claims("rights", "okx.> binance.trades.*"), nil},
		{"no rights", claims(), nil},
		{"expired", claims("exp", now.Add(-time.Minute).Unix()), ErrExpired},
		{"expired within the leeway", claims("exp", now.Add(-10*time.Second).Unix()), nil},
		{"no end", claims("exp", nil), ErrUnknown},
		{"end is text", claims("exp", "tomorrow"), ErrUnknown},
		{"not yet", claims("nbf", now.Add(time.Minute).Unix()), ErrUnknown},
		{"issued later", claims("iat", now.Add(time.Minute).Unix()), ErrUnknown},
		{"issuer", claims("iss", "https://evil.example"), ErrUnknown},
		{"audience", claims("aud", "other"), ErrUnknown},
		{"no audience", claims("aud", nil), ErrUnknown},
		{"bad pattern", claims("rights", []string{"nowhere.>"}), ErrUnknown},
		{"rights are numbers", claims("rights", []int{1}), ErrUnknown},
		{"rights are an object", claims("rights", map[string]int{}), ErrUnknown},
	} {
		g, err := v.Verify(sign(t, jwt.SigningMethodHS256, i.secret, "", c.claims), now)
		if !errors.Is(err, c.want) || (err == nil) != (g != nil) {
			t.Errorf("%s: %v %v", c.name, g, err)
		}
	}
	g, err := v.Verify(sign(t, jwt.SigningMethodHS256, i.secret, "", claims("sub", "bob\n\x1b[31m"+strings.Repeat("x", 99), "metrics", true)), now)
	if err != nil || !g.Metrics || len(g.Name) > 64 || strings.ContainsAny(g.Name, "\n\x1b") {
		t.Errorf("%+v %v", g, err)
	}
	if g.Expired(now.Add(time.Hour)) || !g.Expired(now.Add(time.Hour+31*time.Second)) {
		t.Errorf("ends at %v", g.Expires)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func jwks(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rsaJWK(k *rsa.PublicKey, kid string) map[string]any {
	return map[string]any{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(k.N.Bytes()), "e": "AQAB"}
}

func edJWK(k ed25519.PublicKey, kid string) map[string]any {
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(k)}
}

func TestJWKS(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	edPub := i.ed.Public().(ed25519.PublicKey)
	path := file(t, "jwks.json", jwks(t, rsaJWK(&i.rsa.PublicKey, "a"), edJWK(edPub, "b"), map[string]any{"kty": "later", "kid": "c"},
		map[string]any{"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"}))
	v, err := New(Config{JWT: &JWT{JWKSFile: path}})
	if err != nil {
		t.Fatal(err)
	}
	good := func(what, tok string, want bool) {
		t.Helper()
		if _, err := v.Verify(tok, time.Now()); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	old := sign(t, jwt.SigningMethodRS256, i.rsa, "a", claims())
	good("rsa", old, true)
	good("no kid", sign(t, jwt.SigningMethodRS256, i.rsa, "", claims()), true)
	good("ed25519", sign(t, jwt.SigningMethodEdDSA, i.ed, "b", claims()), true)
	good("the other's kid", sign(t, jwt.SigningMethodRS256, i.rsa, "b", claims()), false)
	good("unknown kid", sign(t, jwt.SigningMethodRS256, i.rsa, "z", claims()), false)
	good("another key", sign(t, jwt.SigningMethodRS256, other.rsa, "a", claims()), false)

	for name, bad := range map[string][]byte{
		"no JSON": []byte("{"), "empty": jwks(t), "shared secret": jwks(t, map[string]any{"kty": "oct", "k": b64(i.secret)}),
		"wrong alg": jwks(t, map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "b", "alg": "RS256", "x": b64(edPub)}),
		"short":     jwks(t, map[string]any{"kty": "RSA", "kid": "a", "n": b64(bytes.Repeat([]byte{0xff}, 128)), "e": "AQAB"}),
	} {
		os.WriteFile(path, bad, 0o600)
		if err := v.Load(); err == nil {
			t.Errorf("%s: loaded", name)
		}
		good("after "+name, old, true)
	}
	os.WriteFile(path, jwks(t, rsaJWK(&other.rsa.PublicKey, "a")), 0o600)
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	good("the old key after rotation", old, false)
	good("the new key", sign(t, jwt.SigningMethodRS256, other.rsa, "a", claims()), true)
}

// Whatever goes wrong, no secret is told.
func TestNothingSecretIsTold(t *testing.T) {
	i := newIssuer(t)
	var log bytes.Buffer
	path := file(t, "desk", []byte(deskSecret))
	os.Chmod(path, 0o644)
	bad := file(t, "bad", []byte("bad secret with blanks "+deskSecret))
	_, err1 := New(Config{Tokens: []Token{{Name: "x", File: bad}}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, err2 := New(Config{Tokens: []Token{{Name: "x", File: path}, {Name: "y", File: path}}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, err3 := New(Config{JWT: &JWT{HS256File: file(t, "s", []byte(deskSecret))}})
	v, err := New(Config{Tokens: []Token{{Name: "x", File: path}}, JWT: &JWT{HS256File: file(t, "s", i.secret)}})
	if err != nil || err1 == nil || err2 == nil || err3 == nil {
		t.Fatal(err, err1, err2, err3)
	}
	forged := sign(t, jwt.SigningMethodHS256, []byte("another secret"), "", claims())
	_, err4 := v.Verify(forged, time.Now())
	told := fmt.Sprint(err1, err2, err3, err4, log.String(), fmt.Sprintf("%+v %v", v.state.Load().tokens[0].grant, v.cfg))
	for _, secret := range []string{deskSecret, string(i.secret), forged, "blanks"} {
		if strings.Contains(told, secret) {
			t.Errorf("%q is told in\n%s", secret, told)
		}
	}
	if !strings.Contains(log.String(), "everybody on this host can read") {
		t.Error("no warning about the file's mode")
	}
}

func TestConfigProblems(t *testing.T) {
	for name, c := range map[string]Config{
		"nobody":       {},
		"no name":      {Tokens: []Token{{File: "x"}}},
		"no secret":    {Tokens: []Token{{Name: "x"}}},
		"two places":   {Tokens: []Token{{Name: "x", File: "x", Env: "X"}}},
		"two names":    {Tokens: []Token{{Name: "x", File: "x"}, {Name: "x", File: "y"}}},
		"bad pattern":  {Tokens: []Token{{Name: "x", File: "x", Topics: []string{"nowhere.>"}}}},
		"no key":       {JWT: &JWT{}},
		"two secrets":  {JWT: &JWT{HS256Env: "X", HS256File: "x"}},
		"large leeway": {JWT: &JWT{HS256Env: "X", Leeway: time.Hour}},
		"no file":      {Tokens: []Token{{Name: "x", File: "/nowhere"}}},
		"not set":      {Tokens: []Token{{Name: "x", Env: "AUTH_TEST_NOT_SET"}}},
		"no PEM":       {JWT: &JWT{PublicKeyFile: file(t, "k", []byte("x"))}},
		"private key":  {JWT: &JWT{PublicKeyFile: file(t, "k", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzVerify: no text is let in but the secret and what the issuer signed, and none
// makes the verifier panic.
func FuzzVerify(f *testing.F) {
	i := newIssuer(f)
	v, err := New(Config{Tokens: []Token{{Name: "desk", File: file(f, "desk", []byte(deskSecret))}},
		JWT: &JWT{HS256File: file(f, "s", i.secret), PublicKeyFile: file(f, "k", publicPEM(f, i.ed.Public()))}})
	if err != nil {
		f.Fatal(err)
	}
	signed := sign(f, jwt.SigningMethodHS256, i.secret, "", claims())
	head, rest, _ := strings.Cut(signed, ".")
	for _, s := range []string{deskSecret, signed, signed + ".", head + "." + head + ".", "eyJhbGciOiJub25lIn0." + rest, "..", "a.b.c", "e30.e30.e30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := v.Verify(s, time.Now())
		if (g == nil) == (err == nil) {
			t.Fatalf("%v with %v", g, err)
		}
		if g != nil && s != deskSecret && !strings.HasPrefix(s, head+".") {
			t.Fatalf("%q was let in as %s", s, g.Name)
		}
	})
}
