package main

import (
	"strings"
	"testing"
)

func TestConfigNamesEveryProblem(t *testing.T) {
	_, err := parseConfig("x.yaml", []byte(`relay: a/b
listen: nowhere
transport: dpdk
feds: []
feeds:
  - venue: binanse
    instruments: [BTC-USDT]
  - venue: okx
    url: http://host
    instruments: []
    channels: [trade, candles_1s]
    lines: two
    poll: often
rings:
  - strategy: "a b"
    topics: ["binance..x"]
    capacity: 1000
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"x.yaml:1: relay:", "x.yaml:2: listen:", "x.yaml:3: transport:", `x.yaml:4: unknown key "feds" in the top level, did you mean "feeds"?`,
		`x.yaml:6: feeds[0].venue: unknown venue "binanse", did you mean "binance"?`, "x.yaml:9: feeds[1].url:", "x.yaml:8: feeds[1]: instruments is empty",
		`x.yaml:11: feeds[1].channels: unknown channel "trade", did you mean "trades"?`, `x.yaml:11: feeds[1].channels: okx has no channel "candles_1s"`,
		`x.yaml:12: feeds[1].lines: "two" is no whole number`, "x.yaml:13: feeds[1].poll:", "x.yaml:15: rings[0].strategy:", "x.yaml:16: rings[0].topics:", "x.yaml:17: rings[0].capacity:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no line %q in\n%v", want, err)
		}
	}
}

func TestConfigDefaultsAndEnvironment(t *testing.T) {
	t.Setenv("TICKRELAY_TEST_HOST", "example.org")
	c, err := parseConfig("x.yaml", []byte("feeds:\n- venue: okx\n  url: wss://${TICKRELAY_TEST_HOST}/x\n  instruments: [BTC-USDT]\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := c.Feeds[0]
	if c.Listen != "127.0.0.1:8080" || f.Name != "okx" || f.Lines != 1 || f.Poll != "block" || f.URL != "wss://example.org/x" || len(f.Channels) != 3 {
		t.Errorf("%+v", c)
	}
	_, err = parseConfig("x.yaml", []byte("feeds:\n- venue: okx\n  url: wss://${TICKRELAY_TEST_NOT_SET}/x\n  instruments: [BTC-USDT]\n"))
	if err == nil || !strings.Contains(err.Error(), "x.yaml:3: feeds[0].url: environment variable TICKRELAY_TEST_NOT_SET is not set") {
		t.Errorf("%v", err)
	}
}

func TestConfigOverlapAndSyntax(t *testing.T) {
	_, err := parseConfig("x.yaml", []byte("feeds:\n- {venue: okx, instruments: [BTC-USDT]}\n- {venue: okx, name: b, instruments: [BTC-USDT], channels: [trades]}\n"))
	if err == nil || !strings.Contains(err.Error(), "x.yaml:3: feeds[1]: okx.trades.BTC-USDT is already served by feeds[0]") {
		t.Errorf("%v", err)
	}
	_, err = parseConfig("x.yaml", []byte("feeds:\n  - venue: [okx\n"))
	if err == nil || !strings.Contains(err.Error(), "x.yaml:2:") {
		t.Errorf("%v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("relay: a\nfeeds:\n- {venue: okx, instruments: [BTC-USDT]}\n"))
	f.Add([]byte("feeds: &a [*a]\n"))
	f.Add([]byte("? [x]\n: y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseConfig("f.yaml", data); err == nil && len(c.Feeds) == 0 {
			t.Errorf("accepted without feeds: %q", data)
		}
	})
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"run"}, {"check"}, {"normalize", "x"}, {"normalize", "--venue", "okx"}, {"normalize", "--venue", "nowhere", "x"},
		{"replay", "--venue", "okx", "--speed", "-1", "x"}, {"replay", "--venue", "okx", "--from", "-1s", "x"}, {"replay", "--venue", "okx", "--from", "noon", "x"}, {"ring", "nonsense"}, {"ring", "tail"}, {"demo", "extra"}, {"demo", "--rate", "0"}, {"bench", "x"}, {"demo", "--log", "loud"},
	} {
		var out, errs strings.Builder
		if code := execute(t.Context(), args, &out, &errs); code != exitUsage || errs.Len() == 0 || out.Len() != 0 {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, out.String(), errs.String())
		}
	}
}

// TestConfigTogether: what parts of a file do to each other, each with its line
// and what to write instead.
func TestConfigTogether(t *testing.T) {
	_, err := parseConfig("x.yaml", []byte(`listen: 127.0.0.1:80
metrics: 127.0.0.1:80
socket: `+strings.Repeat("/long", 30)+`
topics: [x]
feeds:
  - venue: okx
    instruments:
      - "*-USDT"
      - btc-usdt
    poll: busy
    cpu: 1
    capacity: 5
  - venue: okx
    name: b
    instruments:
      - BTC-USDC
      - BTC-*
      - BTCUSDT
    channels: [trades, book, open_intrest]
    poll: bussy
    cpu: 1
  - {venue: binance, instruments: [X], channels: [funding], poll: busy, cpu: 1}
rings:
  - strategy: s
    topics:
      - okx.trades.BTC-USDT
      - okc.book.*
      - okx.ticker.*
    capacity: 5000
    capacity: 4096
transprot: kernel
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`x.yaml:2: metrics: "127.0.0.1:80" is the gateway's address`, "x.yaml:3: socket: 150 bytes",
		`x.yaml:4: unknown key "topics" in the top level; it belongs to rings[]`,
		`x.yaml:9: feeds[0].instruments: "btc-usdt": symbols are in capitals, did you mean "BTC-USDT"?`,
		`x.yaml:12: unknown key "capacity" in feeds[0]; it belongs to rings[]`,
		`x.yaml:17: feeds[1].instruments: "BTC-*" and "*-USDT" of feeds[0] select the same instruments`,
		`x.yaml:18: feeds[1].instruments: "BTCUSDT" is no symbol: did you mean "BTC-USDT"?`,
		`x.yaml:19: feeds[1].channels: unknown channel "open_intrest", did you mean "open_interest"?`,
		`x.yaml:20: feeds[1].poll: "bussy": want block or busy, did you mean "busy"?`,
		`x.yaml:22: feeds[2].channels: binance has no channel "funding"; it has trades, book`,
		`x.yaml:22: feeds[2].cpu: 1 is taken by okx, and both never sleep`,
		`x.yaml:27: rings[0].topics: bad topic "okc.book.*": unknown venue "okc", did you mean "okx"?`,
		`x.yaml:28: rings[0].topics: no feed serves "okx.ticker.*": its feed has not that channel`,
		`x.yaml:30: key "capacity" is in rings[0] twice`, "x.yaml:29: rings[0].capacity: 5000: want a power of two from 1024 to 67108864 (records of 64 bytes); take 8192",
		`x.yaml:31: unknown key "transprot" in the top level, did you mean "transport"?`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no line %q in\n%v", want, err)
		}
	}
	for _, wrong := range []string{`"BTC-USDC" and "*-USDT"`, `no feed serves "okx.trades`} {
		if strings.Contains(err.Error(), wrong) {
			t.Errorf("%q in\n%v", wrong, err)
		}
	}
}

func TestGlobsMeet(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"BTC-USDT", "BTC-USDT", true}, {"BTC-USDT", "ETH-USDT", false}, {"*-USDT", "BTC-USDT", true}, {"*-USDT", "BTC-USDC", false},
		{"*-USDT", "BTC-*", true}, {"*", "x", true}, {"*", "*", true}, {"*-USDT", "*-USDC", false}, {"BTC-*", "ETH-*", false},
		{"*A*", "*B*", true}, {"A*B", "AB", true}, {"A*B", "A", false}, {"*-PERP", "BTC-USDT", false}, {"", "*", true}, {"", "x", false},
	} {
		if got := globsMeet(c.a, c.b); got != c.want || globsMeet(c.b, c.a) != c.want {
			t.Errorf("globsMeet(%q, %q) = %v, %v", c.a, c.b, got, globsMeet(c.b, c.a))
		}
	}
}

// TestCheckFiles: files that cannot be used are named as well; JSON says the same.
func TestCheckFiles(t *testing.T) {
	file := writeFile(t, "relay.yaml", `group: no-such-group-here
tls: {cert: /nonexistent/a.pem, key: /nonexistent/b.pem}
auth:
  tokens:
    - {name: desk, token_file: /nonexistent/desk, topics: [">"]}
feeds:
  - {venue: okx, instruments: [BTC-USDT], ca: /nonexistent/ca.pem, cache: /dev/null}
transport: kernel
dpdk:
  device: x
  neighbours: {192.0.2.1: "02:00:00:00:00:01"}
`)
	var out, errs strings.Builder
	if code := execute(t.Context(), []string{"check", "-c", file}, &out, &errs); code != 1 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{":1: group:", ":2: tls.cert:", `:3: auth: token "desk":`, ":7: feeds[0].ca:", `:7: feeds[0].cache: "/dev/null" is no folder`, ":9: dpdk: given, but transport is kernel"} {
		if !strings.Contains(errs.String(), file+want) {
			t.Errorf("no %q in\n%s", want, errs.String())
		}
	}
	if strings.Contains(errs.String(), "neighbours") {
		t.Errorf("a map is refused:\n%s", errs.String())
	}
	out.Reset()
	if code := execute(t.Context(), []string{"check", "--json", "-c", file}, &out, &errs); code != 1 || strings.Count(out.String(), `"line":`) != 6 {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

func TestCheckKeys(t *testing.T) {
	var out, errs strings.Builder
	if code := execute(t.Context(), []string{"check", "--keys", "limits"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "limits.topics: whole number") || strings.Contains(out.String(), "feeds[]") {
		t.Errorf("exit %d\n%s%s", code, out.String(), errs.String())
	}
	if code := execute(t.Context(), []string{"check", "--keys", "limist"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), `did you mean "limits"?`) {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
}
