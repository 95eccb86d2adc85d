package relay

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

// squeeze is what RFC 7692, section 7.2.1, makes of a message.
func squeeze(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// deflated starts a gateway that offers compression.
func deflated(t testing.TB, l Limits) (*source, *Gateway) {
	return startWith(t, Config{Limits: l, Deflate: true, Shards: 1}, 1<<14)
}

// field is the offer as a header field, if there is one.
func field(offer string) string {
	if offer == "" {
		return ""
	}
	return "Sec-WebSocket-Extensions: " + offer + "\r\n"
}

// TestDeflateNegotiation is section 5 and 7.1 over raw sockets.
func TestDeflateNegotiation(t *testing.T) {
	_, on := deflated(t, Limits{})
	_, off := start(t, Limits{}, 4096)
	const both = "permessage-deflate;server_no_context_takeover;client_no_context_takeover"
	for _, x := range []struct {
		g           *Gateway
		offer, want string
	}{
		{on, "", ""},
		{on, "permessage-deflate", both},
		{on, "permessage-deflate; client_max_window_bits", both},
		{on, "permessage-deflate; server_no_context_takeover; client_max_window_bits=10", both},
		{on, "permessage-deflate; server_max_window_bits=15", both + ";server_max_window_bits=15"},
		{on, "permessage-deflate; server_max_window_bits=10", ""},
		{on, "permessage-deflate; server_max_window_bits=10, permessage-deflate", both},
		{on, "permessage-deflate; nonsense", ""},
		{on, "permessage-deflate; server_max_window_bits=7", ""},
		{on, "permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
		{on, "x-webkit-deflate-frame, permessage-deflate", both},
		{off, "permessage-deflate", ""},
	} {
		c, err := net.Dial("tcp", x.g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", field(x.offer))
		r := bufio.NewReader(c)
		status, got := "", ""
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(x.offer, err)
			}
			if status == "" {
				status = line
			}
			if k, v, _ := strings.Cut(strings.TrimSpace(line), ": "); strings.EqualFold(k, "Sec-WebSocket-Extensions") {
				got = strings.ReplaceAll(v, " ", "")
			}
			if line == "\r\n" {
				break
			}
		}
		if !strings.HasPrefix(status, "HTTP/1.1 101") || got != x.want {
			t.Errorf("%q: %q, extensions %q, want %q", x.offer, strings.TrimSpace(status), got, x.want)
		}
		_ = c.Close()
	}
}

// TestDeflateFrames is what clients may and may not send once it is negotiated.
func TestDeflateFrames(t *testing.T) {
	_, g := deflated(t, Limits{MaxMessage: 1000})
	ask := squeeze(t, []byte(query))
	okPong := `{"op":"pong","id":1}`
	for _, tt := range []frameTest{
		{"plain", raw(fin|text, []byte(query)), okPong, 0},
		{"compressed", raw(fin|rsv1|text, ask), okPong, 0},
		{"fragmented", join(raw(rsv1|text, ask[:5]), raw(cont, nil), raw(fin|cont, ask[5:])), okPong, 0},
		{"ping between fragments", join(raw(rsv1|text, ask[:5]), raw(fin|ping, []byte("hi")), raw(fin|cont, ask[5:])), "pong:hi|" + okPong, 0},
		{"compressed, then plain", join(raw(fin|rsv1|text, ask), raw(fin|text, []byte(query))), okPong + "|" + okPong, 0},
		{"stored block", raw(fin|rsv1|text, append([]byte{0, byte(len(query)), 0, ^byte(len(query)), 0xff}, query...)), okPong, 0},
		{"final block", raw(fin|rsv1|text, append([]byte{1, byte(len(query)), 0, ^byte(len(query)), 0xff}, query...)), okPong, 0},
		{"bit on a continuation", join(raw(rsv1|text, ask[:5]), raw(fin|rsv1|cont, ask[5:])), "", 1002},
		{"bit on a ping", raw(fin|rsv1|ping, nil), "", 1002},
		{"bit on a close", raw(fin|rsv1|clo, nil), "", 1002},
		{"second reserved bit", raw(fin|0x20|text, []byte(query)), "", 1002},
		{"third reserved bit", raw(fin|rsv1|0x10|text, ask), "", 1002},
		{"binary", raw(fin|rsv1|bin, ask), "", 1003},
		{"damaged", raw(fin|rsv1|text, []byte{0xff, 0xff, 0xff}), "", 1007},
		{"context of another message", join(raw(fin|rsv1|text, ask), raw(fin|rsv1|text, []byte{0x82, 0x01, 0x11, 0x80})), okPong, 1007},
		{"not UTF-8", raw(fin|rsv1|text, squeeze(t, []byte{'{', 0xff})), "", 1007},
		{"bomb", raw(fin|rsv1|text, squeeze(t, make([]byte, 300<<10))), "", 1009},
		{"one byte too many", raw(fin|rsv1|text, squeeze(t, make([]byte, 1001))), "", 1009},
		{"too big as it is", raw(fin|rsv1|text, make([]byte, 1001)), "", 1009},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dialDeflate(t, g)
			if _, err := c.conn.Write(tt.input); err != nil {
				t.Fatal(err)
			}
			if tt.want != "" {
				for _, w := range strings.Split(tt.want, "|") {
					op, p, err := c.read()
					if got := string(p); err != nil || op == ws.OpPong && "pong:"+got != w || op == ws.OpText && got != w {
						t.Fatalf("got %v %q %v, want %q", op, got, err, w)
					}
				}
			}
			if tt.code != 0 {
				if code, reason := c.closed(); code != tt.code {
					t.Fatalf("closed with %d %s, want %d", code, reason, tt.code)
				}
			}
		})
	}
}

// TestDeflateIsShared: a large message is compressed once per format for all who take
// it, a small one is not, and others get it as it is.
func TestDeflateIsShared(t *testing.T) {
	s, g := deflated(t, Limits{})
	var all []*wsClient
	for i := range 6 {
		c := dialDeflate(t, g)
		if i == 0 {
			c = dial(t, g)
		}
		c.send(`{"op":"subscribe","topics":["%s","%s"]}`, btcBook, btcTrades)
		c.want("subscribed", "")
		c.want("book", btcBook)
		c.packed = 0
		all = append(all, c)
	}
	before := g.hubStats.deflate.frames.Load()
	var levels []level
	for i := range int64(100) {
		levels = append(levels, level{md.SideBid, 9000 - i, 1 + i%9})
	}
	s.levels(btcBook, levels...)
	s.trade(btcTrades, 1, 100)
	for i, c := range all {
		if m := c.want("book", btcBook); len(m.Bids) != 100 {
			t.Errorf("client %d: %+v", i, m)
		}
		c.want("trade", btcTrades)
		if want := min(i, 1); c.packed != want {
			t.Errorf("client %d: %d compressed frames, want %d", i, c.packed, want)
		}
	}
	d := &g.hubStats.deflate
	if n := d.frames.Load() - before; n != 1 || d.out.Load() >= d.in.Load() || d.ns.Load() == 0 {
		t.Errorf("%d frames, %d bytes of %d in %d ns", n, d.out.Load(), d.in.Load(), d.ns.Load())
	}
	_, _, body := get(t, g, "/metrics")
	for _, m := range []string{`tickrelay_ws_deflate_frames_total{outcome="kept"} `, `tickrelay_ws_deflate_bytes_total{side="before"} `,
		"tickrelay_ws_deflate_seconds_total ", "tickrelay_ws_deflate_saved_bytes_total "} {
		if !strings.Contains(body, m) {
			t.Errorf("/metrics lacks %s", m)
		}
	}
	if g.shards[0].stats.saved.Load() < 5*1000 {
		t.Errorf("%d bytes saved", g.shards[0].stats.saved.Load())
	}
}

// BenchmarkDeflate is what the hub pays for a message, and what it takes off the wire.
func BenchmarkDeflate(b *testing.B) {
	for _, n := range []int{3, 30, 300} {
		recs := make([]md.Record, n)
		for i := range recs {
			recs[i] = md.Record{Kind: md.KindBook, Side: md.SideBid, Price: 6412345 - int64(i*7), Size: int64(i*7919%99999 + 1),
				PriceExp: -2, SizeExp: -5, Seq: 9}
		}
		f := newFrame(ws.OpText, md.AppendJSON(make([]byte, headerRoom), btcBook, 8, recs))
		b.Run(fmt.Sprintf("levels %d", n), func(b *testing.B) {
			var p packer
			var stats deflateStats
			var out *frame
			for b.Loop() {
				out = p.pack(f, &stats)
			}
			b.ReportMetric(float64(len(f.data)), "B/plain")
			b.ReportMetric(float64(len(out.data)), "B/sent")
		})
	}
}

// TestUnpackFollowsTheLimit: a limit that is reloaded holds for compressed messages too.
func TestUnpackFollowsTheLimit(t *testing.T) {
	var u unpacker
	text := make([]byte, 1000)
	for _, c := range []struct {
		limit int
		good  bool
	}{{999, false}, {1000, true}, {999, false}, {5000, true}} {
		out, err := u.unpack(squeeze(t, text), c.limit)
		if (err == nil) != c.good || c.good && !bytes.Equal(out, text) {
			t.Errorf("limit %d: %d bytes, %v", c.limit, len(out), err)
		}
	}
}

// FuzzUnpack: nothing that a client sends makes more than the limit, or another error
// than one that closes the connection.
func FuzzUnpack(f *testing.F) {
	f.Add(squeeze(f, []byte(query)))
	f.Add(squeeze(f, make([]byte, 100<<10)))
	f.Add([]byte{0xff, 0xff})
	f.Add([]byte{})
	var u unpacker
	f.Fuzz(func(t *testing.T, p []byte) {
		const limit = 4096
		out, err := u.unpack(p, limit)
		var bad *protocolError
		if len(out) > limit || err != nil && !errors.As(err, &bad) {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		again, err2 := (&unpacker{}).unpack(p, limit)
		if !bytes.Equal(out, again) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q %v with a used reader, %q %v with a new one", out, err, again, err2)
		}
	})
}
