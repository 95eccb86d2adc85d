package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// getJSON fetches a page of the gateway's API.
func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v\n%s", url, resp.Status, err, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%s: %v\n%s", url, err, body)
	}
}

// apiFeed is a feed as /api/v1/feeds shows it.
type apiFeed struct {
	Name    string
	State   string
	Records uint64
	Gaps    uint64
	Broken  int `json:"broken_books"`
}

func feedsOf(t *testing.T, page string) []apiFeed {
	t.Helper()
	var raw json.RawMessage
	getJSON(t, page+"api/v1/feeds", &raw)
	var list []apiFeed
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	var wrapped struct{ Feeds []apiFeed }
	if err := json.Unmarshal(raw, &wrapped); err != nil {
		t.Fatal(err)
	}
	return wrapped.Feeds
}

// waitFlowing waits until every feed of the demo has published records.
func waitFlowing(t *testing.T, page string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		flowing := 0
		list := feedsOf(t, page)
		for _, f := range list {
			if f.State == "live" && f.Records > 100 && f.Broken == 0 {
				flowing++
			}
		}
		if flowing == len(demoVenues) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s: %+v", list)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestDemo(t *testing.T) {
	d := start(t, "demo", "--listen", "127.0.0.1:0")
	page := d.line("page ")
	ringFile := d.line("ring ")
	dir := filepath.Dir(ringFile)
	waitFlowing(t, page)
	var page1 strings.Builder
	resp, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(&page1, resp.Body)
	resp.Body.Close()
	if !strings.Contains(page1.String(), "<html") {
		t.Errorf("no page at %s:\n%.300s", page, page1.String())
	}
	t.Run("ls", func(t *testing.T) {
		out, errs, code := tickrelay(t, "ring", "ls", "--relay", filepath.Base(dir))
		if code != 0 || !strings.Contains(out, "example-binance") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
	})
	t.Run("stat", func(t *testing.T) {
		out, errs, code := tickrelay(t, "ring", "stat", "--relay", filepath.Base(dir), "example-binance", "--json")
		var rows []struct {
			Relay string
			Name  string
		}
		if code != 0 || json.Unmarshal([]byte(out), &rows) != nil || len(rows) != 1 {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
	})
	t.Run("tail", func(t *testing.T) {
		out, errs, code := tickrelay(t, "ring", "tail", "--relay", filepath.Base(dir), "-n", "20", "okx.trades.*")
		if code != 0 || strings.Count(out, "\n") != 20 || !strings.Contains(out, "okx.trades.") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
		out, errs, code = tickrelay(t, "ring", "tail", "--relay", filepath.Base(dir), "-n", "20", "--json", "example-binance")
		for line := range strings.Lines(out) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
		if code != 0 || strings.Count(out, "\n") != 20 {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
		_, errs, code = tickrelay(t, "ring", "tail", "--relay", filepath.Base(dir), "okx.trades.BTC-USD")
		if code != 1 || !strings.Contains(errs, "okx.trades.BTC-USDT") {
			t.Errorf("an unknown topic: exit %d, %s", code, errs)
		}
	})
	t.Run("second demo beside it", func(t *testing.T) {
		second := start(t, "demo", "--listen", "127.0.0.1:0")
		waitFlowing(t, second.line("page "))
		if code := second.stop(); code != 0 {
			t.Errorf("exit %d", code)
		}
	})
	if code := d.stop(); code != 0 {
		t.Errorf("exit %d after Ctrl-C\n%s", code, d.errors())
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("Ctrl-C left %s (%v)", dir, err)
	}
}

// TestDemoReclaims kills a demo without a chance to clean up: the next start
// removes what it left.
func TestDemoReclaims(t *testing.T) {
	d := start(t, "demo", "--listen", "127.0.0.1:0")
	dir := filepath.Dir(d.line("ring "))
	d.cmd.Process.Kill()
	<-d.exited
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("a killed demo should leave its files: %v", err)
	}
	out, errs, code := tickrelay(t, "ring", "tail", "--relay", filepath.Base(dir), "example-binance", "-n", "1")
	if code != 0 {
		t.Errorf("tail of a dead relay's ring: exit %d\n%s%s", code, out, errs)
	}
	next := start(t, "demo", "--listen", "127.0.0.1:0")
	nextDir := filepath.Dir(next.line("ring "))
	waitFlowing(t, fmt.Sprintf("http://%s/", httpOf(t, nextDir)))
	if code := next.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, gone := range []string{dir, nextDir} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", gone, err)
		}
	}
}

func httpOf(t *testing.T, dir string) string {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		info, err := readInfo(dir)
		if err == nil {
			return info.HTTP
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
