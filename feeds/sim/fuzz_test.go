package sim

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// FuzzRequests throws client messages at the three dialects: whatever comes,
// every answer is one JSON document or "pong".
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth@100ms","btcusdt@depth5"],"id":1}`,
		`{"method":"SET_PROPERTY","params":["combined",true],"id":null}`, `{"method":"x\"","id":"\u0000"}`,
		`{"op":"subscribe","args":[{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}]}`,
		`{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"},{"channel":"bbo-tbt","instId":"BTC-USDT"}]}`,
		`{"op":"unsubscribe","args":[1,null,{}]}`, "ping", "", "[", `{"id":1e999}`, `{"op":"\"","args":[""]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		clock := NewManualClock(time.UnixMilli(1_763_842_100_000))
		m, err := OpenMarket(MarketConfig{Seed: 1, Symbols: []string{"BTC-USDT"}, Levels: 40, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{lists: isSpot, m: m, mu: &m.mu, o: Options{}.withDefaults()}
		for _, e := range exchanges {
			s.lists = func(string) bool { return true }
			d := e.open(s)
			s.dialect = d
			x := &session{srv: s, queue: make(chan outgoing, 4096), done: make(chan struct{}), log: s.o.Log}
			d.text(x, msg)
			for range 20 {
				d.event(m.step())
			}
			d.due(clock.Now().Add(time.Minute).UnixNano(), true)
			close(x.queue)
			for o := range x.queue {
				h, n := headerOf(t, o.frame)
				if text := o.frame[n:]; h.OpCode != ws.OpText || !json.Valid(text) && string(text) != "pong" {
					t.Fatalf("%T answers %q with %q", d, msg, text)
				}
			}
		}
	})
}

// FuzzREST throws addresses at the REST side of the three dialects.
func FuzzREST(f *testing.F) {
	for _, seed := range []string{"/api/v3/depth?symbol=BTCUSDT&limit=5", "/api/v3/depth?symbol=BTCUSDT&limit=-5",
		"/api/v3/exchangeInfo?symbols=[\"BTCUSDT\"]", "/api/v5/public/instruments?instType=SPOT", "/api/v2/spot/public/symbols?symbol=X"} {
		f.Add(seed)
	}
	m, err := OpenMarket(MarketConfig{Seed: 1, Symbols: []string{"BTC-USDT"}, Levels: 40})
	if err != nil {
		f.Fatal(err)
	}
	s := &Server{lists: isSpot, m: m, mu: &m.mu, o: Options{}.withDefaults()}
	all := []dialect{newBinance(s, binanceSpot), newBitget(s), newOKX(s)}
	f.Fuzz(func(t *testing.T, target string) {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := r.URL.Parse(target)
		if err != nil {
			return
		}
		r.URL = u
		for _, d := range all {
			if status, body := d.answer(r, false); status == 200 && !json.Valid(body) {
				t.Fatalf("%T answers %q with %.200s", d, target, body)
			}
		}
	})
}

// headerOf reads a frame's header and its length.
func headerOf(t *testing.T, frame wireFrame) (ws.Header, int) {
	t.Helper()
	h, err := ws.ReadHeader(&sliceReader{frame})
	if err != nil {
		t.Fatal(err)
	}
	return h, len(frame) - int(h.Length)
}

type sliceReader struct{ rest []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestDecimals(t *testing.T) {
	f := func(v int64, decimals int, fixed, short, padded string) {
		t.Helper()
		if got := string(appendFixed(nil, v, decimals)); got != fixed {
			t.Errorf("fixed(%d, %d) = %s, want %s", v, decimals, got, fixed)
		}
		if got := string(appendShort(nil, v, decimals)); got != short {
			t.Errorf("short(%d, %d) = %s, want %s", v, decimals, got, short)
		}
		if got := string(appendPadded(nil, v, decimals, 8)); got != padded {
			t.Errorf("padded(%d, %d) = %s, want %s", v, decimals, got, padded)
		}
	}
	f(6412345, 2, "64123.45", "64123.45", "64123.45000000")
	f(6412300, 2, "64123.00", "64123", "64123.00000000")
	f(5, 8, "0.00000005", "0.00000005", "0.00000005")
	f(0, 3, "0.000", "0", "0.00000000")
	f(-120, 2, "-1.20", "-1.2", "-1.20000000")
	f(77, 0, "77", "77", "77.00000000")
	f(9_000_000_000_000_000_000, 0, "9000000000000000000", "9000000000000000000", "9000000000000000000.00000000")
}
