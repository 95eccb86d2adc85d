package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"tickrelay/nettune/tune"
)

var yamlTop = regexp.MustCompile(`(?m)^([a-z_]+):`)

// ofThisHost are problems of the host and the build, not of what a page shows.
var ofThisHost = regexp.MustCompile(`no such file or directory|not in this build`)

// TestDocsConfigurations has the parser read every YAML block of the pages. A block
// without records of its own gets a feed.
func TestDocsConfigurations(t *testing.T) {
	seen := 0
	for _, page := range pages(t) {
		for _, b := range blocksOf(t, page) {
			if b.lang != "yaml" {
				continue
			}
			seen++
			where, text := fmt.Sprintf("%s:%d", page, b.line), b.text
			for _, m := range regexp.MustCompile(`\$\{(\w+)\}|token_env: (\w+)`).FindAllStringSubmatch(text, -1) {
				t.Setenv(m[1]+m[2], "0123456789abcdef0123456789abcdef")
			}
			tops := map[string]bool{}
			for _, m := range yamlTop.FindAllStringSubmatch(text, -1) {
				tops[m[1]] = true
			}
			if tops["knobs"] {
				if _, err := tune.ParseProfile(where, []byte(text)); err != nil {
					t.Error(err)
				}
				continue
			}
			if !tops["feeds"] && !strings.Contains(text, "subscribe:") {
				text = strings.TrimRight(text, "\n") + "\nfeeds: [{venue: binance, instruments: [BTC-USDT], channels: [trades, book, bbo]}]\n"
			}
			_, err := parseConfig(where, []byte(text))
			if err == nil {
				continue
			}
			for line := range strings.Lines(err.Error()) {
				if !ofThisHost.MatchString(line) {
					t.Errorf("%s\n%s", line, text)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d blocks found: this test does not see them", seen)
	}
}
