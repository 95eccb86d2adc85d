package wsconn

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"tickrelay/nettune"
)

func TestRequest(t *testing.T) {
	m := &memStream{room: 10}
	c := New(m, Config{Host: "stream.example.com:9443", Path: "/ws?streams=a", Header: [][2]string{{"User-Agent", "tickrelay"}}})
	for range 100 { // the stream takes ten bytes at a time
		if err := c.Handshake(); err != nettune.ErrWouldBlock {
			t.Fatal(err)
		}
		m.room = 10
	}
	head, rest, _ := strings.Cut(string(m.out), "Sec-WebSocket-Key: ")
	const want = "GET /ws?streams=a HTTP/1.1\r\nHost: stream.example.com:9443\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	if head != want || len(rest) != 24+len("\r\nUser-Agent: tickrelay\r\n\r\n") || !strings.HasSuffix(rest, "\r\nUser-Agent: tickrelay\r\n\r\n") {
		t.Errorf("request %q", m.out)
	}
	if m.wantWrite {
		t.Error("still asks for Writable")
	}
	if c.Open() || c.WriteText([]byte("x")) != ErrNotOpen {
		t.Error("open before the answer")
	}
	if _, _, _, err := c.Read(); err != ErrNotOpen {
		t.Errorf("read before the answer: %v", err)
	}
	if err := c.Close(1000, ""); err != ErrNotOpen {
		t.Errorf("close before the answer: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Host: "a b"}, {Host: "a\r\nX: y"}, {Host: "a/b"}, {Host: "a", Path: "x"}, {Host: "a", Path: "/a b"}, {Host: "a", Path: "/\r\n"},
		{Host: "a", Header: [][2]string{{"X", "a\r\nb"}}}, {Host: "a", Header: [][2]string{{"X Y", "a"}}},
		{Host: "a", Header: [][2]string{{"", "a"}}}, {Host: "a", Header: [][2]string{{"upgrade", "h2c"}}},
		{Host: "a", Header: [][2]string{{"Sec-WebSocket-Extensions", "permessage-deflate"}}},
	} {
		m := &memStream{room: -1}
		var h *ErrHandshake
		if err := New(m, cfg).Handshake(); !errors.As(err, &h) || len(m.out) > 0 {
			t.Errorf("%+v: %v, sent %q", cfg, err, m.out)
		}
	}
}

// answerCase is a server's answer ($ACCEPT stands for the right value) and
// what the error must name; "" for a good one.
type answerCase struct{ name, answer, err string }

func answerCases(t *testing.T) []answerCase {
	const ok = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $ACCEPT\r\n\r\n"
	edit := func(old, new string) string {
		if !strings.Contains(ok, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(ok, old, new, 1)
	}
	return []answerCase{
		{"plain", ok, ""},
		{"case and blanks", edit("Upgrade: websocket\r\nConnection: Upgrade", "upgrade:WebSocket\r\nCONNECTION: keep-alive , upgrade "), ""},
		{"no reason", edit(" Switching Protocols", ""), ""},
		{"more headers", edit("\r\n\r\n", "\r\nServer: x\r\nDate:\r\n\r\n"), ""},
		{"subprotocol that was asked for", edit("\r\n\r\n", "\r\nSec-WebSocket-Protocol: two\r\n\r\n"), ""},
		{"subprotocol that was not", edit("\r\n\r\n", "\r\nSec-WebSocket-Protocol: three\r\n\r\n"), "subprotocol"},
		{"extension", edit("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), "extension"},
		{"no upgrade", edit("Upgrade: websocket\r\n", ""), "Upgrade is"},
		{"other upgrade", edit("websocket", "h2c"), "Upgrade is"},
		{"two upgrades", edit("Upgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: websocket\r\n"), "Upgrade is"},
		{"no connection", edit("Connection: Upgrade\r\n", ""), "Connection"},
		{"other connection", edit("Connection: Upgrade", "Connection: upgrades"), "Connection"},
		{"no accept", edit("Sec-WebSocket-Accept: $ACCEPT\r\n", ""), "Sec-WebSocket-Accept"},
		{"wrong accept", edit("$ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "Sec-WebSocket-Accept"},
		{"two accepts", edit("\r\n\r\n", "\r\nSec-WebSocket-Accept: $ACCEPT\r\n\r\n"), "Sec-WebSocket-Accept"},
		{"HTTP/1.0", edit("HTTP/1.1", "HTTP/1.0"), "not an HTTP/1.1 answer"},
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "not an HTTP/1.1 answer"},
		{"odd status", edit("101", "1010"), "not an HTTP/1.1 answer"},
		{"header without colon", edit("Connection: Upgrade", "Connection"), "malformed"},
		{"folded header", edit("Connection: Upgrade", "Connection:\r\n Upgrade"), "malformed"},
		{"blank before colon", edit("Connection:", "Connection :"), "malformed"},
		{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "status 404: Not Found"},
		{"429", "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n", "status 429"},
		{"endless header", "HTTP/1.1 101 X\r\n" + strings.Repeat("A: b\r\n", 4000), "exceeds"},
		{"cut", ok[:60], "ended before"},
	}
}

func TestAnswers(t *testing.T) {
	for _, tc := range answerCases(t) {
		for _, chunk := range []int{0, 1, 5} {
			m := &memStream{room: -1, chunk: chunk}
			c := New(m, Config{Host: "h", ReadBuffer: 512, Header: [][2]string{{"Sec-WebSocket-Protocol", "one, two"}}})
			if err := c.Handshake(); err != nettune.ErrWouldBlock {
				t.Fatal(err)
			}
			proper := string(answerTo(t, m.out))
			_, accept, _ := strings.Cut(proper, "Accept: ")
			m.in = []byte(strings.ReplaceAll(tc.answer, "$ACCEPT", strings.TrimSpace(accept)))
			m.in = append(m.in, serverFrame(fin|1, "first")...)
			if tc.name == "cut" {
				m.in, m.end = []byte(tc.answer), io.EOF
			}
			err := c.Handshake()
			if tc.err == "" {
				if err != nil || !c.Open() {
					t.Errorf("%s, pieces of %d: %v", tc.name, chunk, err)
				} else if got, _ := results(c, m); len(got) != 1 || got[0] != "1:first" {
					t.Errorf("%s, pieces of %d: behind the answer %q", tc.name, chunk, got)
				}
				continue
			}
			var h *ErrHandshake
			if !errors.As(err, &h) || !strings.Contains(err.Error(), tc.err) || c.Open() {
				t.Errorf("%s, pieces of %d: %v", tc.name, chunk, err)
				continue
			}
			if again := c.Handshake(); again != err {
				t.Errorf("%s: the error is not final: %v", tc.name, again)
			}
			if tc.name == "404" && chunk == 0 && !strings.HasPrefix(h.Body, "gone") || tc.name == "429" && h.RetryAfter != "7" {
				t.Errorf("%s: %+v", tc.name, h)
			}
			if tc.name == "cut" && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut: %v", err)
			}
		}
	}
}

// Hostile answers neither panic nor grow memory nor loop.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"), uint8(3))
	f.Add([]byte("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\nbody"), uint8(0))
	f.Add(bytes.Repeat([]byte("a:b\r\n"), 5000), uint8(200))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		m := &memStream{room: -1, chunk: int(chunk), in: in, end: io.EOF}
		c := New(m, Config{Host: "h", ReadBuffer: 512})
		err := c.Handshake()
		var h *ErrHandshake
		if !errors.As(err, &h) { // nobody guesses the key
			t.Fatalf("error %v", err)
		}
		if len(c.buf) > 2*maxAnswer || len(h.Body) > 1024 || len(h.What) > 4*maxAnswer {
			t.Fatalf("buffer %d, body %d, text %d", len(c.buf), len(h.Body), len(h.What))
		}
	})
}
