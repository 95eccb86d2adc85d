package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal (pty(7)) with a command on it.
type terminal struct {
	master *os.File
	slave  *os.File
	mu     sync.Mutex
	shown  bytes.Buffer
}

func newTerminal(t *testing.T, columns, rows uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	x := &terminal{master: master, slave: slave}
	x.resize(t, columns, rows)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			x.mu.Lock()
			x.shown.Write(b[:n])
			x.mu.Unlock()
		}
	}()
	return x
}

func (x *terminal) resize(t *testing.T, columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(x.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

// await waits until the program has written text since the last call.
func (x *terminal) await(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		x.mu.Lock()
		shown := x.shown.String()
		i := strings.Index(shown, text)
		if i >= 0 {
			x.shown.Next(i + len(text))
		}
		x.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the terminal does not show %q but %q", text, shown)
		}
	}
}

func (x *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// TestTop runs top beside a real relay: plain, as JSON, over HTTP, and on a
// pseudo-terminal, which it leaves as it was.
func TestTop(t *testing.T) {
	s := newSplit(t, "")
	gw := s.gateway()
	gw.line("websocket ")
	url := "http://" + s.listen
	socket := s.feeds.line("socket ")
	out, errs, code := tickrelay(t, "top", "--once", "--socket", socket)
	if code != 0 || !strings.Contains(out, "1/1 feeds live") || !strings.Contains(out, "alpha-binance") || strings.Contains(out, "\x1b") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	var report struct {
		Relay    string
		Feeds    []struct{ Name, State string }
		Rings    []struct{ Name string }
		Gateway  *struct{ Addr string }
		Latency  []struct{ Stage string }
		Troubles []struct{ What string }
	}
	out, errs, code = tickrelay(t, "top", "--once", "--json", "--url", url)
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 || len(report.Feeds) != 1 || len(report.Rings) == 0 ||
		report.Gateway == nil || report.Gateway.Addr != s.listen || len(report.Latency) != 3 || report.Troubles == nil {
		t.Errorf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	if out, errs, code = tickrelay(t, "top", "--url", url); code != 2 || !strings.Contains(errs, "--once") || out != "" {
		t.Errorf("without a terminal: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code = tickrelay(t, "top", "--once", "--socket", "/nonexistent"); code != 1 || !strings.Contains(errs, "not running") {
		t.Errorf("no relay: exit %d\n%s", code, errs)
	}

	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"q", "\x03"} {
		x := newTerminal(t, 100, 40)
		before, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "top", "--url", url, "--interval", "100ms")
		cmd.Env = append(os.Environ(), "TERM=xterm-256color")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = x.slave, x.slave, x.slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		x.await(t, "\x1b[?1049h") // the other screen
		x.await(t, "FEEDS")
		x.press(t, "5")
		x.await(t, "by CLIENTS")
		x.resize(t, 60, 20)
		if err := cmd.Process.Signal(syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		x.press(t, "?")
		x.await(t, "LATENCY is of the last")
		x.press(t, end)
		x.await(t, "\x1b[?1049l") // and back
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: %v", end, err)
		}
		after, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Errorf("%q: the terminal is left as %+v, it was %+v", end, after, before)
		}
	}
}
