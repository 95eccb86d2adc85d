package main

import (
	"strings"
	"testing"
)

const oneFeed = "feeds:\n- {venue: okx, instruments: [BTC-USDT]}\n"

func TestGatewayConfigProblems(t *testing.T) {
	_, err := parseConfig("x.yaml", []byte(oneFeed+`tls: {cert: x}
origins: [desk.example, "https://ok.example:8443", "https://desk.example/path", "*"]
auth:
  tokens:
    - {name: desk, token_file: f, topics: ["binanse.>"]}
    - {name: desk, topics: [">"]}
    - {name: idle, token_env: IDLE}
    - {name: plain, token: secret, topics: [">"]}
  jwt: {leeway: soon}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"x.yaml:3: tls: want both", `x.yaml:4: origins: "desk.example"`, `x.yaml:4: origins: "https://desk.example/path"`,
		`x.yaml:5: auth: token "desk": md: bad topic`, `a second token named "desk"`, `token "plain": want either a file`,
		"x.yaml:9: auth.tokens[2]: it grants nothing", `x.yaml:10: unknown key "token" in auth.tokens[3]`,
		"x.yaml:11: auth.jwt.leeway:", "x.yaml:5: auth: jwt: no key",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no line %q in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "ok.example") {
		t.Errorf("a good origin is refused:\n%v", err)
	}
}

func TestGatewayConfigGood(t *testing.T) {
	c, err := parseConfig("x.yaml", []byte(oneFeed+`tls: {cert: a.pem, key: b.pem, plain: true}
auth:
  tokens: [{name: desk, token_env: DESK, topics: [">"], metrics: true}]
  jwt: {jwks_file: keys.json, issuer: "https://id.example", audience: tickrelay, leeway: 30s, topics_claim: rights}
`))
	if err != nil {
		t.Fatal(err)
	}
	if g := c.TLS.gateway(); g == nil || g.Cert != "a.pem" || g.Key != "b.pem" || !g.AllowPlain {
		t.Errorf("%+v", g)
	}
	a := c.Auth.gateway()
	if len(a.Tokens) != 1 || a.Tokens[0].Env != "DESK" || !a.Tokens[0].Metrics || a.JWT.Leeway.Seconds() != 30 || a.JWT.TopicsClaim != "rights" {
		t.Errorf("%+v %+v", a, a.JWT)
	}
}
