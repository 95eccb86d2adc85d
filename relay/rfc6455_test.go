package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// raw is a client frame with a fixed mask, every bit as asked.
func raw(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	p := bytes.Clone(payload)
	ws.Cipher(p, mask, 0)
	return append(b, p...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

const (
	fin   = 0x80
	text  = 0x1
	bin   = 0x2
	cont  = 0x0
	clo   = 0x8
	ping  = 0x9
	pong  = 0xA
	rsv1  = 0x40
	query = `{"op":"ping","id":1}`
)

// frameTest is what one client sends and what it gets.
type frameTest struct {
	name  string
	input []byte
	want  string // messages before the end, "|" between
	code  ws.StatusCode
}

func frameTests() []frameTest {
	half := len(query) / 2
	okPong := `{"op":"pong","id":1}`
	closing := func(code uint16, reason string) []byte {
		return raw(fin|clo, append(binary.BigEndian.AppendUint16(nil, code), reason...))
	}
	return []frameTest{
		{"text", raw(fin|text, []byte(query)), okPong, 0},
		{"two in one segment", join(raw(fin|text, []byte(query)), raw(fin|text, []byte(query))), okPong + "|" + okPong, 0},
		{"fragmented", join(raw(text, []byte(query[:half])), raw(cont, nil), raw(fin|cont, []byte(query[half:]))), okPong, 0},
		{"ping between fragments", join(raw(text, []byte(query[:half])), raw(fin|ping, []byte("hi")),
			raw(fin|cont, []byte(query[half:]))), "pong:hi|" + okPong, 0},
		{"as many fragments as may be", join(raw(text, []byte(query[:half])), bytes.Repeat(raw(cont, nil), maxFragments-2),
			raw(fin|cont, []byte(query[half:]))), okPong, 0},
		{"fragments without end", join(raw(text, []byte(query[:half])), bytes.Repeat(raw(cont, nil), 5000)), "",
			ws.StatusPolicyViolation},
		{"pings without end", bytes.Repeat(raw(fin|ping, nil), 300), "pong:", ws.StatusPolicyViolation},
		{"pongs without end", bytes.Repeat(raw(fin|pong, nil), 300), "", ws.StatusPolicyViolation},
		{"ping of 125 bytes", raw(fin|ping, bytes.Repeat([]byte("p"), 125)), "pong:" + strings.Repeat("p", 125), 0},
		{"pong unasked", join(raw(fin|pong, []byte("x")), raw(fin|text, []byte(query))), okPong, 0},
		{"ping of 126 bytes", raw(fin|ping, bytes.Repeat([]byte("p"), 126)), "", 1002},
		{"fragmented ping", raw(ping, nil), "", 1002},
		{"reserved bit", raw(fin|rsv1|text, []byte(query)), "", 1002},
		{"reserved opcode", raw(fin|3, nil), "", 1002},
		{"reserved control opcode", raw(fin|0xB, nil), "", 1002},
		{"continuation of nothing", raw(fin|cont, nil), "", 1002},
		{"text inside a fragmented text", join(raw(text, []byte("{")), raw(fin|text, []byte(query))), "", 1002},
		{"not masked", []byte{fin | text, 2, '{', '}'}, "", 1002},
		{"length not minimal", []byte{fin | text, 0x80 | 126, 0, 2, 0, 0, 0, 0, '{', '}'}, "", 1002},
		{"length not minimal, 64 bits", append([]byte{fin | text, 0x80 | 127}, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0), "", 1002},
		{"length with high bit", append([]byte{fin | text, 0x80 | 127}, 0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0), "", 1002},
		{"binary", raw(fin|bin, []byte{1}), "", 1003},
		{"bad UTF-8", raw(fin|text, []byte{'{', 0xff}), "", 1007},
		{"UTF-8 cut by fragments", join(raw(text, []byte("{\"op\":\"ping\",\"id\":\"\xc3")), raw(fin|cont, []byte("\xa4\"}"))), `{"op":"pong","id":"ä"}`, 0},
		{"too big", raw(fin|text, make([]byte, 1001)), "", 1009},
		{"too big by announcement", append([]byte{fin | text, 0x80 | 127}, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0), "", 1009},
		{"too big in fragments", join(raw(text, make([]byte, 900)), raw(cont, make([]byte, 101))), "", 1009},
		{"close without code", raw(fin|clo, nil), "", 1000},
		{"close 1000", closing(1000, "bye"), "", 1000},
		{"close 3000", closing(3000, ""), "", 3000},
		{"close of one byte", raw(fin|clo, []byte{3}), "", 1002},
		{"close 1005", closing(1005, ""), "", 1002},
		{"close 1016", closing(1016, ""), "", 1002},
		{"close 999", closing(999, ""), "", 1002},
		{"close 5000", closing(5000, ""), "", 1002},
		{"close with bad UTF-8", closing(1000, "\xff"), "", 1007},
		{"nothing after close is served", join(closing(1000, ""), raw(fin|text, []byte(query))), "", 1000},
	}
}

func TestRFC6455(t *testing.T) {
	_, g := start(t, Limits{MaxMessage: 1000}, 4096)
	for _, tt := range frameTests() {
		for _, pieces := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, pieces), func(t *testing.T) {
				c := dial(t, g)
				go func(b []byte) {
					for len(b) > 0 {
						n, err := c.conn.Write(b[:min(len(b), pieces, 1<<20)])
						if err != nil {
							return
						}
						b = b[n:]
					}
				}(tt.input)
				if tt.code == 0 {
					for _, w := range strings.Split(tt.want, "|") {
						op, p, err := c.read()
						if got := string(p); err != nil || op == ws.OpPong && "pong:"+got != w || op == ws.OpText && got != w {
							t.Fatalf("got %v %q %v, want %q", op, got, err, w)
						}
					}
					return
				}
				if code, _ := c.closed(); code != tt.code {
					t.Fatalf("closed with %d, want %d", code, tt.code)
				}
				if (tt.code < 1001 || tt.code == 3000) && !strings.HasPrefix(tt.name, "nothing") {
					if _, _, err := c.read(); !errors.Is(err, io.EOF) {
						t.Fatalf("after the closing handshake: %v, want the end", err)
					}
				}
			})
		}
	}
}

func TestHandshake(t *testing.T) {
	_, g := start(t, Limits{}, 4096)
	good := "GET /ws HTTP/1.1\r\nHost: " + g.Addr().String() + "\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	f := func(name, head, want string) {
		t.Helper()
		c, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(c, head)
		line, _ := bufio.NewReader(c).ReadString('\n')
		rest, _ := io.ReadAll(io.LimitReader(c, 0))
		if !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q%s, want %s", name, line, rest, want)
		}
	}
	f("good", good+"\r\n", "101")
	f("with a query", strings.Replace(good, "/ws", "/ws?x=1", 1)+"\r\n", "101")
	f("unknown subprotocol", good+"Sec-WebSocket-Protocol: mqtt\r\n\r\n", "101")
	f("same origin", good+"Origin: http://"+g.Addr().String()+"\r\n\r\n", "101")
	f("other origin", good+"Origin: https://evil.example\r\n\r\n", "403")
	f("POST", strings.Replace(good, "GET", "POST", 1)+"\r\n", "405")
	f("HTTP/1.0", strings.Replace(good, "1.1", "1.0", 1)+"\r\n", "505")
	f("version 12", strings.Replace(good, ": 13", ": 12", 1)+"\r\n", "426")
	f("no key", strings.Replace(good, "Sec-WebSocket-Key", "X-Key", 1)+"\r\n", "400")
	f("short key", strings.Replace(good, "dGhlIHNh", "", 1)+"\r\n", "400")
	f("no connection", strings.Replace(good, "keep-alive, Upgrade", "close", 1)+"\r\n", "400")
	f("no upgrade", "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "426")
	f("too long", good+"X: "+strings.Repeat("y", 9000)+"\r\n\r\n", "431")
}

func TestSlowHead(t *testing.T) {
	_, g := start(t, Limits{HeadTimeout: 200 * time.Millisecond}, 4096)
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				c.Write([]byte("G"))
			}
		}
	}()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	began := time.Now()
	line, _ := bufio.NewReader(c).ReadString('\n')
	if !strings.Contains(line, "408") || time.Since(began) > 2*time.Second {
		t.Errorf("%q after %s", line, time.Since(began))
	}
	if n := g.accept.stats.refused[refusedHead].Load(); n != 1 {
		t.Errorf("%d refused heads counted", n)
	}
}

func TestEarlyFrames(t *testing.T) {
	_, g := start(t, Limits{}, 4096)
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	head := "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	c.Write(append([]byte(head), raw(fin|text, []byte(query))...))
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	if f, err := readFrame(r); err != nil || string(f.Payload) != `{"op":"pong","id":1}` {
		t.Fatalf("%q %v", f.Payload, err)
	}
}

func FuzzClientFrames(f *testing.F) {
	f.Add(raw(fin|text, []byte(query)), 3)
	f.Add(join(raw(text, []byte("{")), raw(fin|ping, nil), raw(fin|cont, []byte("}"))), 1)
	f.Add(raw(fin|clo, []byte{3, 232, 'x'}), 100)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, 2)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		const limit = 4096
		whole, cut := assembler{}, assembler{}
		one := collect(&whole, bytes.Clone(b), len(b)+1, limit)
		if many := collect(&cut, bytes.Clone(b), piece, limit); one != many {
			t.Fatalf("in one piece %q, in pieces %q", one, many)
		}
	})
}

// collect feeds b in pieces as a shard does and writes down what comes out.
func collect(a *assembler, b []byte, piece, limit int) string {
	var out strings.Builder
	var held []byte
	for piece = max(1, piece); len(b) > 0; {
		n := min(piece, len(b))
		held, b = append(held, b[:n]...), b[n:]
		for {
			m, used, err := a.next(held, limit)
			if errors.Is(err, errIncomplete) {
				break
			}
			if err != nil {
				var bad *protocolError
				if !errors.As(err, &bad) {
					return "not a protocol error: " + err.Error()
				}
				fmt.Fprintf(&out, "error %d", bad.code)
				return out.String()
			}
			if len(a.text) > limit {
				return "fragments beyond the limit"
			}
			held = held[used:]
			if m.op != 0 {
				fmt.Fprintf(&out, "%d %q\n", m.op, m.payload)
			}
		}
	}
	return out.String()
}
