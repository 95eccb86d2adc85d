package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is the service manager's end of the notification socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn, path}
}

// want reads notifications until one begins with prefix; it returns that one.
func (m *manager) want(prefix string) string {
	m.t.Helper()
	buf := make([]byte, 4096)
	_ = m.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("waiting for %s: %v", prefix, err)
		}
		if strings.HasPrefix(string(buf[:n]), prefix) {
			return string(buf[:n])
		}
	}
}

// runConfig writes the configuration of a relay without a network: its only feed finds
// nobody at its address. more is added to it.
func runConfig(t *testing.T, more string) (file, dir string) {
	t.Helper()
	dir = t.TempDir()
	name := fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	file = filepath.Join(dir, "tickrelay.yaml")
	text := fmt.Sprintf("relay: %s\nlisten: 127.0.0.1:0\nsocket: %s/attach.sock\nfeeds:\n  - {venue: binance, url: \"ws://127.0.0.1:1/\", rest: none, instruments: [BTC-USDT]}\n%s", name, dir, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, dir
}

// TestServiceManager runs the real program as systemd would: it says when it serves,
// feeds its watchdog, tells of a reload, and of its end.
func TestServiceManager(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	m := newManager(t)
	file, _ := runConfig(t, "")
	cmd := exec.Command(path, "run", "-c", file)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=2000000")
	p := startCommand(t, cmd)
	if got := m.want("READY=1"); !strings.Contains(got, "STATUS=relay test-") || !strings.Contains(got, "1 feeds, gateway on 127.0.0.1:") {
		t.Errorf("ready: %q", got)
	}
	m.want("WATCHDOG=1")
	m.want("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := m.want("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("reloading: %q", got)
	}
	m.want("READY=1")
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	m.want("STOPPING=1")
}

// TestWatchdogStarves: a loop that hangs is named once, and not fed for; one that comes
// back is.
func TestWatchdogStarves(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	t.Setenv("WATCHDOG_USEC", "80000")
	var text strings.Builder
	hang := true
	answers := 0
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	back := make(chan struct{})
	go func() {
		done <- serviceManager{slog.New(slog.NewTextHandler(&text, nil))}.watch(ctx, func(context.Context) error {
			if answers++; answers == 4 {
				hang = false
				close(back)
			}
			if hang {
				return errors.New("feeds: binance does not respond")
			}
			return nil
		})
	}()
	<-back
	m.want("WATCHDOG=1")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(text.String(), "binance does not respond"); n != 1 {
		t.Errorf("the loop that hangs is named %d times:\n%s", n, text.String())
	}
}

func TestDebugAddr(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:0": true, "[::1]:6060": true, "/run/x.sock": true,
		":6060": false, "0.0.0.0:6060": false, "192.0.2.1:6060": false, "localhost": false, "relay.sock": false} {
		if err := checkDebugAddr(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// TestDebugServer asks the real program for a profile and for its flight recorder,
// over a Unix socket that nobody else can open.
func TestDebugServer(t *testing.T) {
	file, dir := runConfig(t, "")
	sock := filepath.Join(dir, "debug.sock")
	p := start(t, "run", "-c", file, "--debug", sock)
	p.line("page ")
	st, err := os.Stat(sock)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", st, err)
	}
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", sock)
	}}}
	ask := func(method, path string, code int) string {
		t.Helper()
		req, _ := http.NewRequest(method, "http://relay"+path, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != code {
			t.Errorf("%s %s: %s %.200s", method, path, resp.Status, body)
		}
		return string(body)
	}
	// The feed may still be asking for its catalogue.
	waitFor(t, "the feed's loop in the profile", func() bool {
		return strings.Contains(ask("GET", "/debug/pprof/goroutine?debug=1", 200), "feeds.(*loop).run")
	})
	ask("GET", "/debug/flight", 409)
	ask("POST", "/debug/flight/start?for=1h", 400)
	ask("POST", "/debug/flight/start?for=2s", 200)
	ask("POST", "/debug/flight/start", 409)
	if got := ask("GET", "/debug/flight", 200); !strings.HasPrefix(got, "go 1.") {
		t.Errorf("no trace: %.50q", got)
	}
	ask("POST", "/debug/flight/stop", 200)
	ask("POST", "/debug/flight/stop", 409)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(sock); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}
