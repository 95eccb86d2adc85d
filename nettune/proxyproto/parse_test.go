package proxyproto

import (
	"errors"
	"strings"
	"testing"
)

// v2 builds a version 2 header: command byte, family byte, body.
func v2(command, family byte, body string) string {
	return signatureV2 + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

const (
	body4 = "\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x1f\x90"
	body6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x67\x1f\x90"
	mapped6 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xcb\x00\x71\x09" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01\x12\x67\x1f\x90"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, header string
		source       string // empty: local
		err          error
	}{
		{"v1 tcp4", "PROXY TCP4 203.0.113.9 192.0.2.1 4711 8080\r\n", "203.0.113.9:4711", nil},
		{"v1 tcp6", "PROXY TCP6 2001:db8::1 2001:db8::2 4711 8080\r\n", "[2001:db8::1]:4711", nil},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "", nil},
		{"v1 unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", nil},
		{"v1 longest", "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", "", nil},
		{"v1 too long", "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", "", ErrMalformed},
		{"v1 name for an address", "PROXY TCP4 localhost 192.0.2.1 4711 8080\r\n", "", ErrMalformed},
		{"v1 v6 as tcp4", "PROXY TCP4 2001:db8::1 192.0.2.1 4711 8080\r\n", "", ErrMalformed},
		{"v1 port", "PROXY TCP4 203.0.113.9 192.0.2.1 65536 8080\r\n", "", ErrMalformed},
		{"v1 short", "PROXY TCP4 203.0.113.9\r\n", "", ErrMalformed},
		{"v1 udp", "PROXY UDP4 203.0.113.9 192.0.2.1 1 2\r\n", "", ErrMalformed},
		{"v2 tcp4", v2(0x21, 0x11, body4), "203.0.113.9:4711", nil},
		{"v2 tcp6", v2(0x21, 0x21, body6), "[2001:db8::1]:4711", nil},
		{"v2 mapped", v2(0x21, 0x21, mapped6), "203.0.113.9:4711", nil},
		{"v2 with extension", v2(0x21, 0x11, body4+"\x04\x00\x02ab"), "203.0.113.9:4711", nil},
		{"v2 local", v2(0x20, 0x00, ""), "", nil},
		{"v2 local with addresses", v2(0x20, 0x11, body4), "", nil},
		{"v2 unspecified", v2(0x21, 0x00, "abc"), "", nil},
		{"v2 unix", v2(0x21, 0x31, strings.Repeat("/sock\x00", 36)), "", nil},
		{"v2 udp", v2(0x21, 0x12, body4), "", ErrMalformed},
		{"v2 short body", v2(0x21, 0x11, body4[:8]), "", ErrMalformed},
		{"v2 version 3", v2(0x31, 0x11, body4), "", ErrMalformed},
		{"v2 command 2", v2(0x22, 0x11, body4), "", ErrMalformed},
		{"v2 huge", v2(0x21, 0x11, strings.Repeat("x", MaxSize)), "", ErrMalformed},
		{"request", "GET /ws HTTP/1.1\r\n\r\n", "", ErrNone},
		{"lower case", "proxy TCP4 203.0.113.9 192.0.2.1 4711 8080\r\n", "", ErrNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			const request = "GET / HTTP/1.1\r\n\r\n"
			h, n, err := Parse([]byte(c.header + request))
			if !errors.Is(err, c.err) || (err != nil) != (c.err != nil) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			if n != len(c.header) {
				t.Errorf("%d bytes taken of a header of %d", n, len(c.header))
			}
			if h.Local != (c.source == "") {
				t.Errorf("local %v", h.Local)
			}
			if c.source != "" && h.Source.String() != c.source {
				t.Errorf("source %s, want %s", h.Source, c.source)
			}
			for i := range len(c.header) {
				if _, _, err := Parse([]byte(c.header[:i])); !errors.Is(err, ErrIncomplete) {
					t.Fatalf("first %d bytes: %v, want %v", i, err, ErrIncomplete)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"PROXY TCP4 203.0.113.9 192.0.2.1 4711 8080\r\nGET", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1 ::2 1 2\r\n",
		v2(0x21, 0x11, body4), v2(0x21, 0x21, body6+"\x01\x00\x01a"), v2(0x20, 0, ""), v2(0x21, 0x31, "abc"), "GET / HTTP/1.1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		if err != nil {
			if n != 0 || h != (Header{}) {
				t.Fatalf("%v, yet %d bytes and %+v", err, n, h)
			}
			if errors.Is(err, ErrIncomplete) && len(b) >= MaxSize {
				t.Fatalf("incomplete after %d bytes", len(b))
			}
			return
		}
		if n < len("PROXY UNKNOWN\r\n") || n > len(b) || n > MaxSize {
			t.Fatalf("length %d of %d", n, len(b))
		}
		if h.Local == h.Source.IsValid() || h.Source.Addr().Is4In6() {
			t.Fatalf("%+v", h)
		}
		again, m, err := Parse(b[:n])
		if err != nil || m != n || again != h {
			t.Fatalf("the header alone gives %+v %d %v", again, m, err)
		}
	})
}
