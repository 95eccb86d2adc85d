package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickrelay/ring"
)

// TestRelayFailsToOpen: a relay that cannot open what it needs says so, and leaves nothing
// behind.
func TestRelayFailsToOpen(t *testing.T) {
	dir := t.TempDir()
	file, occupied := filepath.Join(dir, "relay.yaml"), filepath.Join(dir, "record")
	name := fmt.Sprintf("test-open-%d", os.Getpid())
	text := fmt.Sprintf("relay: %s\nfeeds: [{venue: binance, url: \"ws://127.0.0.1:1\", rest: \"http://127.0.0.1:1\", instruments: [BTC-USDT], channels: [trades]}]\nrecord: {dir: %s}\n", name, occupied)
	for path, data := range map[string]string{file: text, occupied: "not a folder"} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := newRelayd(cfg, runOptions{file: file}, slog.New(slog.DiscardHandler)); err == nil {
		r.close()
		t.Fatal("opened a recording in a file")
	} else if !strings.Contains(err.Error(), occupied) {
		t.Errorf("%v: want the path", err)
	}
	if _, err := os.Stat(filepath.Join(ring.DefaultBase, name)); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}
