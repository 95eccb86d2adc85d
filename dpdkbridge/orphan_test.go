//go:build dpdk

package dpdkbridge

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestClosedSlowClient: a connection that was closed while its peer's window is
// shut is given up after a bound, and one whose peer reads gets everything.
func TestClosedSlowClient(t *testing.T) {
	a, b := pair(t, func(a, _ *Config) { a.orphanAfter = 700 * time.Millisecond })
	l, err := a.Listen("tcp", "10.9.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	connect := func() (server, client net.Conn) {
		t.Helper()
		client, err := b.DialContext(ctx, "tcp", "10.9.0.1:7000")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return <-accepted, client
	}
	deaf, _ := connect() // never read from
	chunk := make([]byte, 64<<10)
	for n := 1; n > 0; { // until nothing more is taken
		_ = deaf.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		n, _ = deaf.Write(chunk)
	}
	reader, client := connect()
	const last = "the last words"
	if _, err := reader.Write([]byte(last)); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	deaf.Close()
	_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, 64)
	if n, err := client.Read(got); err != nil || string(got[:n]) != last {
		t.Errorf("the reader got %q, %v", got[:n], err)
	}
	wait(t, "the deaf client's connection to end", func() bool {
		return counter(a, "stack_closing_connections") == 0 && counter(a, "stack_abandoned_connections") == 1
	})
}
