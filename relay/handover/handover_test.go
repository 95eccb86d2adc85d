package handover

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func listener(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func serve(t *testing.T, path string) (retired chan struct{}, done chan error, cancel func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	retired, done = make(chan struct{}), make(chan error, 1)
	s := &Server{Listener: listener(t), Retire: func(context.Context) { close(retired) }, Log: slog.New(slog.DiscardHandler)}
	go func() { done <- s.Serve(ctx, path) }()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		// The file of the one before may still be there.
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return retired, done, stop
		}
		if time.Now().After(end) {
			t.Fatal("no socket")
		}
	}
}

func TestTakeOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gw")
	if _, err := Take(t.Context(), path); !errors.Is(err, ErrNone) {
		t.Fatalf("nobody there: %v", err)
	}
	retired, done, _ := serve(t, path)

	// Noise, a peer that leaves and one that gives up change nothing.
	for _, say := range []string{"", "hello\n", "takeover\n"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(say))
		c.Close()
	}
	tk, err := Take(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	tk.Listener.Close()
	tk.Close()
	select {
	case <-retired:
		t.Fatal("retired for somebody who gave up")
	case err := <-done:
		t.Fatal(err)
	default:
	}

	if tk, err = Take(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(tk.Listener)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tk.Listener.Close()
	if err := tk.Ready(); err != nil {
		t.Fatal(err)
	}
	tk.Wait(t.Context())
	<-retired
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// The path is free, the socket lives on.
	retired2, done2, cancel := serve(t, path)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	// A living one is not pushed aside.
	err = (&Server{Listener: listener(t), Log: slog.New(slog.DiscardHandler)}).Serve(t.Context(), path)
	if err == nil {
		t.Error("two servers on one path")
	}
	cancel()
	if err := <-done2; err != nil {
		t.Error(err)
	}
	select {
	case <-retired2:
		t.Error("retired at its end")
	default:
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}
