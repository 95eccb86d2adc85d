package wsconn

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"

	"tickrelay/nettune"
)

// memStream is a stream over memory: Read hands out in, at most chunk bytes at
// a time, then end; Write takes at most room bytes.
type memStream struct {
	in        []byte
	chunk     int
	end       error // after in; nil: ErrWouldBlock
	out       []byte
	room      int // -1: no limit
	wantWrite bool
	closed    bool
	now       int64
}

func (m *memStream) Read(p []byte) (int, int64, error) {
	m.now++
	if len(m.in) == 0 {
		if m.end != nil {
			return 0, m.now, m.end
		}
		return 0, 0, nettune.ErrWouldBlock
	}
	n := len(m.in)
	if m.chunk > 0 {
		n = min(n, m.chunk)
	}
	n = copy(p, m.in[:n])
	m.in = m.in[n:]
	return n, m.now, nil
}

func (m *memStream) Write(p []byte) (int, error) {
	if m.room < 0 {
		m.out = append(m.out, p...)
		return len(p), nil
	}
	n := min(len(p), m.room)
	m.out = append(m.out, p[:n]...)
	m.room -= n
	if n < len(p) {
		return n, nettune.ErrWouldBlock
	}
	return n, nil
}

func (m *memStream) Close() error               { m.closed = true; return nil }
func (m *memStream) Granted() nettune.Options   { return nettune.Options{} }
func (m *memStream) WantWrite(on bool)          { m.wantWrite = on }
func (m *memStream) SetData(any)                {}
func (m *memStream) Data() any                  { return nil }
func (m *memStream) RemoteAddr() netip.AddrPort { return netip.AddrPort{} }
func (m *memStream) LocalAddr() netip.AddrPort  { return netip.AddrPort{} }

// acceptOf computes the server's side of the handshake.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// opened returns an open connection over memory whose server will send in.
func opened(t testing.TB, cfg Config, in []byte, chunk int) (*Conn, *memStream) {
	t.Helper()
	m := &memStream{room: -1}
	cfg.Host = "stream.example.com"
	c := New(m, cfg)
	if err := c.Handshake(); err != nettune.ErrWouldBlock {
		t.Fatalf("handshake: %v", err)
	}
	m.in = answerTo(t, m.out)
	m.out = nil
	if err := c.Handshake(); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	m.in, m.chunk = in, chunk
	return c, m
}

// answerTo is a proper answer to a request.
func answerTo(t testing.TB, request []byte) []byte {
	_, key, ok := strings.Cut(string(request), "Sec-WebSocket-Key: ")
	if !ok {
		t.Fatalf("no key in %q", request)
	}
	key, _, _ = strings.Cut(key, "\r\n")
	return []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		acceptOf(key) + "\r\n\r\n")
}

// serverFrame builds an unmasked frame; first is the first byte (FIN, RSV,
// opcode).
func serverFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// clientFrames unmasks what a client has written: "op:payload" per frame. It
// fails on an unmasked or incomplete frame.
func clientFrames(t testing.TB, b []byte) (frames []string) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 6 || b[1]&0x80 == 0 {
			t.Fatalf("not a masked frame: % x", b[:min(len(b), 20)])
		}
		n, head := int(b[1]&0x7f), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		mask, p := b[head:head+4], b[head+4:head+4+n]
		plain := make([]byte, n)
		for i := range p {
			plain[i] = p[i] ^ mask[i%4]
		}
		frames = append(frames, string('0'+b[0]&0x0f)+":"+string(plain))
		b = b[head+4+n:]
	}
	return frames
}

// results reads until an error other than would-block on an empty stream, and
// writes down "1:text" per message and the error at the end.
func results(c *Conn, m *memStream) (got []string, err error) {
	for range 100_000 {
		op, p, _, err := c.Read()
		switch {
		case err == nil:
			got = append(got, string('0'+byte(op))+":"+string(p))
		case err == nettune.ErrWouldBlock:
			if len(m.in) == 0 && m.end == nil {
				return got, err
			}
		default:
			return got, err
		}
	}
	return got, io.ErrNoProgress
}
