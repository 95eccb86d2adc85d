package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/ring"
)

// lifeConfig is a relay on a simulated exchange, under a name of its own.
func lifeConfig(t *testing.T) (file, name, listen, socket string) {
	t.Helper()
	srv := simulated(t, "binance", 300)
	dir := t.TempDir()
	name, listen, socket = fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9), freePort(t), filepath.Join(dir, "s")
	file = filepath.Join(dir, "relay.yaml")
	text := fmt.Sprintf("relay: %s\nlisten: %s\nsocket: %s\nfeeds:\n  - {venue: binance, url: %q, rest: %q, instruments: [BTC-USDT], channels: [trades, book]}\nrings:\n  - {strategy: alpha, topics: [\"binance.>\"], capacity: 65536}\n",
		name, listen, socket, srv.URL(), srv.REST())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, name, listen, socket
}

// TestKilledRelayLeavesNothing: after kill -9 the next start, of whatever relay,
// removes directory and socket, half-written files included; the same relay
// starts again and works.
func TestKilledRelayLeavesNothing(t *testing.T) {
	file, name, _, socket := lifeConfig(t)
	dir := filepath.Join(ring.DefaultBase, name)
	kill := func() {
		t.Helper()
		p := start(t, "run", "-c", file)
		p.line("socket ")
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if conn, err := net.Dial("unix", socket); err == nil {
				conn.Close()
				break
			}
			if time.Now().After(end) {
				t.Fatalf("no socket\n%s", p.errors())
			}
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.exited
		for _, left := range []string{filepath.Join(dir, "alpha-binance.data"), filepath.Join(dir, "lock"), socket} {
			if _, err := os.Stat(left); err != nil {
				t.Fatalf("kill -9 has left nothing to clean: %v", err)
			}
		}
		for _, half := range []string{"feeds.json.next", ".alpha-binance.data.tmp"} { // what it may have been at
			if err := os.WriteFile(filepath.Join(dir, half), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone := func(when string) {
		t.Helper()
		for _, path := range []string{dir, socket} {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s is still there (%v)", when, path, err)
			}
		}
	}
	kill()
	other, _, _, _ := lifeConfig(t)
	q := start(t, "run", "-c", other)
	q.line("socket ")
	gone("another relay has started")
	kill()
	p := start(t, "run", "-c", file)
	p.line("socket ")
	c, err := ring.Open(dir, "alpha-binance")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, err := c.Wait(ring.WaitBlock, 30*time.Second); !ok || err != nil {
		t.Errorf("the ring brings nothing: %v", err)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, p.errors())
	}
	gone("the relay has stopped")
	if code := q.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, q.errors())
	}
}

// TestStopDrains: SIGTERM ends the feeds, then clients get what was published and
// 1001. A second signal does not wait.
func TestStopDrains(t *testing.T) {
	file, name, listen, _ := lifeConfig(t)
	for _, second := range []bool{false, true} {
		p := start(t, "run", "-c", file)
		p.line("socket ")
		c := newChain(t, listen, "binance.trades.*")
		c.gaps = true
		stop := make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			for {
				text, op, err := wsutil.ReadServerData(c.rw) // answers the close frame
				if err != nil {
					ended <- err
					return
				}
				if op == ws.OpText {
					c.see(text)
				}
				if second {
					select {
					case <-stop: // from here on it reads nothing, and does not say goodbye
						return
					default:
					}
				}
			}
		}()
		c.begun(t)
		close(stop)
		if second {
			time.Sleep(50 * time.Millisecond) // the reader has stopped, or reads one more
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if !second {
			go func() { // reloads that come too late do not cut the drain off
				for p.cmd.Process.Signal(syscall.SIGHUP) == nil {
					time.Sleep(time.Millisecond)
				}
			}()
			var closed wsutil.ClosedError
			select {
			case err := <-ended:
				if !errors.As(err, &closed) || closed.Code != ws.StatusGoingAway {
					t.Errorf("the client was told %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the client was not told")
			}
			if code := p.ended(); code != 0 {
				t.Errorf("exit %d\n%s", code, p.errors())
			}
			c.mu.Lock()
			for _, s := range c.wrong {
				t.Error(s)
			}
			c.mu.Unlock()
			if _, err := os.Stat(filepath.Join(ring.DefaultBase, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory is still there: %v", err)
			}
			continue
		}
		for alive := true; alive; { // until one comes after the first was taken
			select {
			case <-p.exited:
				alive = false
			case <-time.After(10 * time.Millisecond):
				_ = p.cmd.Process.Signal(syscall.SIGTERM)
			}
		}
		p.ended()
		if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
			t.Errorf("a second signal: %v\n%s", p.cmd.ProcessState, p.errors())
		}
	}
}
