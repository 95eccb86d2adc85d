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
		{"replay", "--venue", "okx", "--speed", "-1", "x"}, {"ring", "nonsense"}, {"ring", "tail"}, {"demo", "extra"}, {"demo", "--rate", "0"}, {"bench", "x"}, {"demo", "--log", "loud"},
	} {
		var out, errs strings.Builder
		if code := execute(t.Context(), args, &out, &errs); code != exitUsage || errs.Len() == 0 || out.Len() != 0 {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, out.String(), errs.String())
		}
	}
}
