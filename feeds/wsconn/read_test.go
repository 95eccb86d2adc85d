package wsconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"tickrelay/nettune"
)

const fin = 0x80

// frameCase is what a server sends and what becomes of it.
type frameCase struct {
	name string
	in   [][]byte
	want []string
	err  func(error) bool // nil: still open
	sent []string
}

// frameCases are those of RFC 6455 sections 5.2 to 5.5 and 7.4.
func frameCases(long string) []frameCase {
	f := func(first byte, payload string) []byte { return serverFrame(first, payload) }
	protocol := func(what string) func(error) bool {
		return func(err error) bool {
			var p *ErrProtocol
			return errors.As(err, &p) && strings.Contains(p.What, what)
		}
	}
	closed := func(code uint16, reason string) func(error) bool {
		return func(err error) bool {
			var c *ErrClosed
			return errors.As(err, &c) && *c == ErrClosed{code, reason}
		}
	}
	return []frameCase{
		{"text", [][]byte{f(fin|1, "Hello")}, []string{"1:Hello"}, nil, nil},
		{"binary, empty text", [][]byte{f(fin|2, "\x00\xff"), f(fin|1, "")}, []string{"2:\x00\xff", "1:"}, nil, nil},
		{"16-bit length", [][]byte{f(fin|1, long[:126]), f(fin|1, long[:65535])}, []string{"1:" + long[:126], "1:" + long[:65535]}, nil, nil},
		{"64-bit length", [][]byte{f(fin|1, long)}, []string{"1:" + long}, nil, nil},
		{"longer length form than needed", [][]byte{{fin | 1, 126, 0, 2, 'h', 'i'}}, []string{"1:hi"}, nil, nil},
		{"fragments", [][]byte{f(1, "Hel"), f(0, ""), f(fin, "lo"), f(fin|1, "x")}, []string{"1:Hello", "1:x"}, nil, nil},
		{"large fragments", [][]byte{f(2, long), f(0, long), f(fin, "end")}, []string{"2:" + long + long + "end"}, nil, nil},
		{"ping between fragments", [][]byte{f(1, "Hel"), f(fin|9, "p1"), f(0, "lo "), f(fin|10, ""), f(fin|9, "p2"), f(fin, "you")},
			[]string{"1:Hello you"}, nil, []string{"::p1", "::p2"}},
		{"ping, empty ping, pong", [][]byte{f(fin|9, "abc"), f(fin|9, ""), f(fin|10, "unsolicited"), f(fin|1, "x")}, []string{"1:x"}, nil, []string{"::abc", "::"}},
		{"close", [][]byte{f(fin|1, "x"), f(fin|8, "\x03\xe8bye"), f(fin|1, "late")}, []string{"1:x"}, closed(1000, "bye"), []string{"8:\x03\xe8"}},
		{"close without code", [][]byte{f(fin|8, "")}, nil, closed(1005, ""), []string{"8:"}},
		{"close inside a message", [][]byte{f(1, "Hel"), f(fin|8, "\x0f\xa0")}, nil, closed(4000, ""), []string{"8:\x0f\xa0"}},
		{"close of one byte", [][]byte{f(fin|8, "\x03")}, nil, protocol("one byte"), []string{"8:\x03\xea"}},
		{"close code 1006", [][]byte{f(fin|8, "\x03\xee")}, nil, protocol("1006"), []string{"8:\x03\xea"}},
		{"close code 999", [][]byte{f(fin|8, "\x03\xe7")}, nil, protocol("999"), []string{"8:\x03\xea"}},
		{"close code 5000", [][]byte{f(fin|8, "\x13\x88")}, nil, protocol("5000"), []string{"8:\x03\xea"}},
		{"close reason not UTF-8", [][]byte{f(fin|8, "\x03\xe8\xff")}, nil, protocol("UTF-8"), []string{"8:\x03\xea"}},
		{"masked", [][]byte{{fin | 1, 0x80 | 1, 1, 2, 3, 4, 'x'}}, nil, protocol("masked"), []string{"8:\x03\xea"}},
		{"reserved bits", [][]byte{f(fin|1, "ok"), f(fin|0x40|1, "x")}, []string{"1:ok"}, protocol("reserved bits"), []string{"8:\x03\xea"}},
		{"reserved data opcode", [][]byte{f(fin|3, "x")}, nil, protocol("opcode 0x3"), []string{"8:\x03\xea"}},
		{"reserved control opcode", [][]byte{f(fin|11, "x")}, nil, protocol("opcode 0xb"), []string{"8:\x03\xea"}},
		{"fragmented ping", [][]byte{f(9, "x")}, nil, protocol("fragmented control"), []string{"8:\x03\xea"}},
		{"ping too long", [][]byte{f(fin|9, long[:126])}, nil, protocol("125"), []string{"8:\x03\xea"}},
		{"continuation of nothing", [][]byte{f(fin, "x")}, nil, protocol("without a message"), []string{"8:\x03\xea"}},
		{"message inside a message", [][]byte{f(1, "x"), f(fin|1, "y")}, nil, protocol("inside"), []string{"8:\x03\xea"}},
		{"length with the top bit", [][]byte{{fin | 2, 127, 0x80, 0, 0, 0, 0, 0, 0, 1}}, nil, protocol("top bit"), []string{"8:\x03\xea"}},
		{"too big", [][]byte{{fin | 2, 127, 0, 0, 0, 1, 0, 0, 0, 0}}, nil, func(err error) bool { return errors.Is(err, ErrTooBig) }, []string{"8:\x03\xf1"}},
		{"too big in sum", [][]byte{f(1, long), f(0, long), f(fin, long)}, nil, func(err error) bool { return errors.Is(err, ErrTooBig) }, []string{"8:\x03\xf1"}},
	}
}

// Every case is fed whole and in pieces of small sizes.
func TestFrames(t *testing.T) {
	for _, tc := range frameCases(strings.Repeat("long ", 40_000)) {
		in := bytes.Join(tc.in, nil)
		for _, chunk := range []int{0, 1, 2, 3, 7, 1000} {
			if chunk > 0 && chunk < 7 && len(in) > 10_000 {
				continue
			}
			c, m := opened(t, Config{MaxMessage: 500_000, ReadBuffer: 512}, in, chunk)
			got, err := results(c, m)
			if !slices.Equal(got, tc.want) {
				t.Errorf("%s, pieces of %d: got %.100q, want %.100q", tc.name, chunk, got, tc.want)
			}
			if tc.err == nil && err != nettune.ErrWouldBlock || tc.err != nil && !tc.err(err) {
				t.Errorf("%s, pieces of %d: error %v", tc.name, chunk, err)
			}
			if sent := clientFrames(t, m.out); !slices.Equal(sent, tc.sent) {
				t.Errorf("%s, pieces of %d: sent %q, want %q", tc.name, chunk, sent, tc.sent)
			}
			if _, _, _, again := c.Read(); again != err {
				t.Errorf("%s: the error is not final: %v, then %v", tc.name, err, again)
			}
			if len(c.buf) > c.bufLimit() {
				t.Errorf("%s: buffer of %d bytes", tc.name, len(c.buf))
			}
		}
	}
}

// A message of exactly MaxMessage passes, in one frame and in fragments with a
// ping in between.
func TestExactlyMaxMessage(t *testing.T) {
	const limit = 100_000
	msg := strings.Repeat("0123456789", limit/10)
	in := serverFrame(fin|1, msg)
	in = append(in, serverFrame(1, msg[:limit-1])...)
	in = append(in, serverFrame(fin|9, strings.Repeat("p", 125))...)
	in = append(in, serverFrame(0, msg[limit-1:])...)
	in = append(in, serverFrame(fin, "")...)
	for _, chunk := range []int{0, 999} {
		c, m := opened(t, Config{MaxMessage: limit, ReadBuffer: 512}, in, chunk)
		got, err := results(c, m)
		if len(got) != 2 || got[0] != "1:"+msg || got[1] != "1:"+msg || err != nettune.ErrWouldBlock {
			t.Errorf("pieces of %d: %d messages, %v", chunk, len(got), err)
		}
	}
}

func TestCut(t *testing.T) {
	reset := errors.New("connection reset")
	for _, tc := range []struct {
		name string
		in   []byte
		end  error
		mid  bool
		lost int
	}{
		{"between frames", serverFrame(fin|1, "x"), io.EOF, false, 0},
		{"in a header", append(serverFrame(fin|1, "x"), fin|1), io.EOF, true, 1},
		{"in a payload", serverFrame(fin|1, "Hello")[:5], reset, true, 5},
		{"between fragments", serverFrame(1, "Hel"), io.EOF, true, 3},
		{"after an empty fragment", serverFrame(1, ""), io.EOF, true, 0},
	} {
		for _, chunk := range []int{0, 1} {
			c, m := opened(t, Config{}, tc.in, chunk)
			m.end = tc.end
			_, err := results(c, m)
			var cut *ErrCut
			if !errors.As(err, &cut) || cut.MidFrame != tc.mid || cut.Buffered != tc.lost ||
				!errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, tc.end) {
				t.Errorf("%s, pieces of %d: %v", tc.name, chunk, err)
			}
		}
	}
}

// rxNs is that of the bytes that completed the message.
func TestReceiveTime(t *testing.T) {
	frame := serverFrame(fin|1, "abcdef")
	c, m := opened(t, Config{}, append(slices.Clone(frame), frame...), len(frame)/2)
	var last int64
	for range 2 {
		var rx int64
		var err error = nettune.ErrWouldBlock
		for err == nettune.ErrWouldBlock {
			_, _, rx, err = c.Read()
		}
		if err != nil || rx != m.now || rx <= last || c.LastRecv() != rx {
			t.Errorf("rx %d, stream's clock %d, LastRecv %d, %v", rx, m.now, c.LastRecv(), err)
		}
		last = rx
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	small := serverFrame(fin|1, strings.Repeat("x", 300))
	parts := slices.Concat(serverFrame(1, "one "), serverFrame(fin|9, "ping"), serverFrame(fin, "two"))
	c, m := opened(t, Config{}, nil, 0)
	c.out = make([]byte, 0, 4096)
	m.out = make([]byte, 0, 1<<20)
	burst := slices.Concat(small, parts, small, small[:20])
	tail := small[20:]
	run := func() {
		m.out = m.out[:0]
		m.in = burst
		n := 0
		for m.in != nil {
			_, _, _, err := c.Read()
			if err == nil {
				n++
			} else if len(m.in) == 0 {
				if n == 3 && len(tail) > 0 {
					m.in = tail
					continue
				}
				m.in = nil
			}
		}
		if n != 4 {
			panic(fmt.Sprint(n, " messages"))
		}
	}
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("%v allocations for 4 messages", n)
	}
}

// TestHugeBufferIsGivenBack: one huge message does not hold its memory for the life of
// the connection, one that comes again and again does, and nothing is lost by it.
func TestHugeBufferIsGivenBack(t *testing.T) {
	huge, small := serverFrame(fin|1, strings.Repeat("h", 3<<20)), serverFrame(fin|1, strings.Repeat("s", 300))
	c, m := opened(t, Config{MaxMessage: 8 << 20}, nil, 0)
	read := func(frame []byte) {
		t.Helper()
		for m.in = frame; ; {
			_, p, _, err := c.Read()
			if err == nil {
				if len(p) != len(frame)-4 && len(p) != len(frame)-10 {
					t.Fatalf("a message of %d bytes out of a frame of %d", len(p), len(frame))
				}
				return
			}
			if !errors.Is(err, nettune.ErrWouldBlock) {
				t.Fatal(err)
			}
		}
	}
	read(huge)
	if len(c.buf) < 3<<20 {
		t.Fatalf("a buffer of %d bytes held it", len(c.buf))
	}
	for range 2*shrinkAfter + 2 {
		read(small)
	}
	if len(c.buf) > shrinkAbove {
		t.Errorf("%d bytes are held long after", len(c.buf))
	}
	read(huge)
	for i := range 4 * shrinkAfter {
		if read(small); i%(shrinkAfter/2) == 0 {
			read(huge)
		}
	}
	if len(c.buf) < 3<<20 {
		t.Errorf("%d bytes: given back though it is needed again and again", len(c.buf))
	}
}
