package nettune

import (
	"io"
	"testing"
)

// What a busy poller read early is not lost when the stream leaves it.
func TestEarlyBytesMoveWithTheStream(t *testing.T) {
	for _, to := range []PollerConfig{{}, {Busy: true}} {
		l := newLoop(t, PollerConfig{Busy: true}, to)
		client, server := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{})
		p, q := l.pollers[0], l.pollers[1]
		if _, err := client.Write([]byte("early bytes")); err != nil {
			t.Fatal(err)
		}
		l.until("readable", func() bool { return l.seen[server]&Readable != 0 })
		buf := make([]byte, 5)
		if n, rx, err := server.Read(buf); n != 5 || rx == 0 || err != nil || string(buf) != "early" {
			t.Fatalf("%d, %d, %v", n, rx, err)
		}
		if err := p.Release(server); err != nil {
			t.Fatal(err)
		}
		if err := q.Adopt(server); err != nil {
			t.Fatal(err)
		}
		l.seen = map[Stream]EventFlags{}
		l.until("readable at the new owner", func() bool { return l.seen[server]&Readable != 0 })
		rest := make([]byte, 64)
		if n, _, err := server.Read(rest); err != nil || string(rest[:n]) != " bytes" {
			t.Fatalf("%q, %v", rest[:n], err)
		}
		if _, err := client.Write([]byte("later")); err != nil {
			t.Fatal(err)
		}
		l.seen = map[Stream]EventFlags{}
		l.until("later bytes", func() bool { return l.seen[server]&Readable != 0 })
		if n, _, err := server.Read(rest); err != nil || string(rest[:n]) != "later" {
			t.Fatalf("%q, %v", rest[:n], err)
		}
	}
}

// A connection that leaves a busy poller for package net keeps its bytes too.
func TestEarlyBytesDetach(t *testing.T) {
	l := newLoop(t, PollerConfig{Busy: true})
	client, server := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{})
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	l.until("readable", func() bool { return l.seen[server]&Readable != 0 })
	c, err := NetConn(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client.Close()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
}

// Many streams and few: the switch between reading and asking loses nothing, and
// the end of a stream is said once.
func TestBusyManyStreams(t *testing.T) {
	l := newLoop(t, PollerConfig{Busy: true})
	ln := l.listen("127.0.0.1:0", Options{})
	var clients, servers []Stream
	for range maxHot + 4 {
		c, s := l.connect(ln, DialOptions{})
		clients, servers = append(clients, c), append(servers, s)
	}
	buf := make([]byte, 64)
	for len(clients) > 0 {
		for i, c := range clients {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			l.seen = map[Stream]EventFlags{}
			l.until("a byte", func() bool { return l.seen[servers[i]]&Readable != 0 })
			if n, _, err := servers[i].Read(buf); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		last := len(clients) - 1
		clients[last].Close()
		l.seen = map[Stream]EventFlags{}
		l.until("the end", func() bool { return l.seen[servers[last]]&Readable != 0 })
		if _, _, err := servers[last].Read(buf); err != io.EOF {
			t.Fatal(err)
		}
		if servers[last].Close(); last%2 == 0 {
			servers[last].Close()
		}
		clients, servers = clients[:last], servers[:last]
	}
}
