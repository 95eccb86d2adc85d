package relay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// browser is a headless Chromium steered over its remote debugging protocol.
type browser struct {
	t      testing.TB
	conn   net.Conn
	r      *bufio.Reader
	id     int
	errors []string // console errors, exceptions, failed loads
}

// startBrowser opens a page of a fresh Chromium, or skips the test without one.
func startBrowser(t testing.TB) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no chromium on the path: the page is not tested")
	}
	dir := t.TempDir()
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--remote-debugging-port=0", "--user-data-dir="+dir, "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Skipf("chromium does not start: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return attach(t, dir)
}

// attach finds the debugging port and the page's WebSocket.
func attach(t testing.TB, dir string) *browser {
	t.Helper()
	var port string
	for end := time.Now().Add(30 * time.Second); port == ""; time.Sleep(50 * time.Millisecond) {
		if b, err := os.ReadFile(filepath.Join(dir, "DevToolsActivePort")); err == nil {
			port, _, _ = strings.Cut(string(b), "\n")
		}
		if time.Now().After(end) {
			t.Skip("chromium opens no debugging port within 30 s")
		}
	}
	var pages []struct{ Type, WebSocketDebuggerUrl string }
	eventually(t, "a page in chromium", func() bool {
		res, err := http.Get("http://127.0.0.1:" + port + "/json/list")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return json.NewDecoder(res.Body).Decode(&pages) == nil && len(pages) > 0
	})
	for _, p := range pages {
		if p.Type != "page" {
			continue
		}
		conn, br, _, err := ws.Dial(context.Background(), p.WebSocketDebuggerUrl)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		var rest []byte
		if br != nil {
			rest, _ = br.Peek(br.Buffered())
			rest = bytes.Clone(rest)
		}
		b := &browser{t: t, conn: conn, r: bufio.NewReaderSize(io.MultiReader(bytes.NewReader(rest), conn), 1<<20)}
		for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
			b.call(domain+".enable", nil)
		}
		return b
	}
	t.Fatal("chromium has no page")
	return nil
}

// call sends a command and waits for its result; events met on the way are judged.
func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	b.id++
	if params == nil {
		params = struct{}{}
	}
	body, err := json.Marshal(map[string]any{"id": b.id, "method": method, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewTextFrame(body))); err != nil {
		b.t.Fatal(err)
	}
	for {
		b.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		var text []byte
		for fin := false; !fin; {
			f, err := readFrame(b.r)
			if err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
			text, fin = append(text, f.Payload...), f.Header.Fin
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(text, &m); err != nil {
			b.t.Fatal(err)
		}
		if m.ID == b.id {
			if m.Error != nil {
				b.t.Fatalf("%s: %s", method, m.Error.Message)
			}
			return m.Result
		}
		b.event(m.Method, m.Params)
	}
}

func (b *browser) event(method string, params json.RawMessage) {
	var p struct {
		Type  string
		Entry struct{ Level, Text, URL string }
	}
	_ = json.Unmarshal(params, &p)
	switch {
	case method == "Runtime.consoleAPICalled" && (p.Type == "error" || p.Type == "warning"),
		method == "Runtime.exceptionThrown", method == "Network.loadingFailed",
		method == "Log.entryAdded" && p.Entry.Level == "error":
		b.errors = append(b.errors, method+" "+string(params))
	}
}

// eval runs an expression in the page and returns its value as text.
func (b *browser) eval(expr string) string {
	b.t.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	if err := json.Unmarshal(b.call("Runtime.evaluate", map[string]any{"expression": expr, "returnByValue": true, "awaitPromise": true}), &out); err != nil {
		b.t.Fatal(err)
	}
	if out.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expr, out.ExceptionDetails)
	}
	return fmt.Sprint(out.Result.Value)
}

// screenshot returns the page as PNG.
func (b *browser) screenshot() []byte {
	b.t.Helper()
	var out struct{ Data []byte }
	if err := json.Unmarshal(b.call("Page.captureScreenshot", map[string]any{"format": "png"}), &out); err != nil {
		b.t.Fatal(err)
	}
	return out.Data
}

func (b *browser) size(width, height int) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
}
