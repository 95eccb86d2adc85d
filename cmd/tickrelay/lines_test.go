package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigLines: ways, lines and credentials are checked, and nothing of the
// credentials is told.
func TestConfigLines(t *testing.T) {
	f := func(feed string, want ...string) {
		t.Helper()
		_, err := parseConfig("x.yaml", []byte("feeds:\n  - venue: okx\n    instruments: [BTC-USDT]\n"+feed))
		if len(want) == 0 {
			if err != nil {
				t.Errorf("%s: %v", feed, err)
			}
			return
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not say %q", feed, err, w)
			}
		}
	}
	f("    lines: 2\n    ways: [{bind: 127.0.0.2}, {url: \"wss://other.example/ws\", proxy: \"http://proxy.example:3128\"}]\n")
	f("    audit: 10m\n")
	f("    audit: 5s\n", "audit", "10s or more")
	f("    lines: 17\n", "lines", "1 to 16")
	f("    ways: [{}, {}]\n", "2 ways for 1 lines")
	f("    lines: 2\n    ways: [{bind: nowhere}, {proxy: \"socks5://x\"}]\n", "bind", "nowhere", "proxy", "http://")
	_, err := parseConfig("x.yaml", []byte("feeds:\n  - venue: binance\n    instruments: [BTC-USDT]\n    credentials: {key: hush, secret: hush}\n"))
	if err == nil || !strings.Contains(err.Error(), "takes no credentials") || strings.Contains(err.Error(), "hush") {
		t.Errorf("binance: %v", err)
	}
}

func TestCredentialsFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := credentialsConfig{Key: "k", SecretFile: file}
	got, err := c.read()
	if err != nil || got.Key != "k" || got.Secret != "from a file" {
		t.Errorf("%v %v", got, err)
	}
	c.Secret = "twice"
	if _, err := c.read(); err == nil || strings.Contains(err.Error(), "twice") {
		t.Errorf("both given: %v", err)
	}
	c = credentialsConfig{KeyFile: file + "-not"}
	if _, err := c.read(); err == nil {
		t.Error("a file that is not there is accepted")
	}
}
