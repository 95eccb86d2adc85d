package sim_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/feeds/capture"
	"tickrelay/feeds/sim"
)

// write makes a capture file of lines.
func write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	text := []byte(strings.Join(lines, "\n") + "\n")
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(text)
		z.Close()
		text = b.Bytes()
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// recv is an envelope of a received frame.
func recv(ns int64, frame string) string {
	text, _ := json.Marshal(frame)
	return fmt.Sprintf(`{"recv_ns":%d,"conn":"ws.1","dir":"recv","frame":%s}`, ns, text)
}

func replay(t *testing.T, venue string, o sim.ReplayOptions, files ...string) *sim.Server {
	t.Helper()
	s, err := sim.Replay(t.Context(), venue, "127.0.0.1:0", files, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// instantClock lets no time pass but what is slept.
type instantClock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *instantClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *instantClock) Sleep(_ <-chan struct{}, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.slept = c.now.Add(d), append(c.slept, d)
	return true
}

const second = int64(time.Second)

func TestReplayMergesFilesAndAcks(t *testing.T) {
	bin := base64.StdEncoding.EncodeToString([]byte{0, 1, 0xff})
	one := write(t, "one.ndjson.gz",
		`{"recv_ns":1000,"conn":"ws.1","dir":"connect","url":"wss://example.test/stream"}`,
		`{"recv_ns":1001,"conn":"ws.1","dir":"send","frame":"hello"}`,
		recv(2000, `{"a": 1,  "b":"é"}`), recv(4000, `{"a":3}`), recv(3500, `{"a":4}`))
	two := write(t, "two.ndjson", recv(3000, `{"a":2}`), fmt.Sprintf(`{"recv_ns":5000,"frame_b64":%q}`, bin))
	s := replay(t, "binance", sim.ReplayOptions{Speed: sim.SpeedMax}, one, two)
	for range 2 { // each connection gets everything
		c := dial(t, s.URL(), nil)
		c.quiet(20 * time.Millisecond)
		c.send(`{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":17}`)
		c.want(`{"result":null,"id":17}`)
		for _, text := range []string{`{"a": 1,  "b":"é"}`, `{"a":2}`, `{"a":3}`, `{"a":4}`} {
			c.want(text)
		}
		f, err := c.frame()
		if err != nil || f.Header.OpCode != ws.OpBinary || !bytes.Equal(f.Payload, []byte{0, 1, 0xff}) {
			t.Fatalf("%+v %v", f, err)
		}
		wantClose(t, c, ws.StatusNormalClosure)
	}
	named := dial(t, s.URL()+"?streams=btcusdt@trade", nil)
	named.want(`{"a": 1,  "b":"é"}`)
}

func TestReplayKeepsRecordedAcks(t *testing.T) {
	ack := `{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}`
	with := replay(t, "okx", sim.ReplayOptions{}, write(t, "a.ndjson", recv(1, ack), recv(2, `{"x":1}`)))
	c := dial(t, with.URL(), nil)
	c.send("ping")
	c.want("pong")
	c.send(okxBooks)
	c.want(ack)
	c.want(`{"x":1}`)
	wantClose(t, c, ws.StatusNormalClosure)

	without := replay(t, "okx", sim.ReplayOptions{}, write(t, "b.ndjson", recv(2, `{"x":1}`)))
	c = dial(t, without.URL(), nil)
	c.send(okxBooks)
	c.want(ack)
	c.want(`{"x":1}`)
}

func TestReplayPace(t *testing.T) {
	file := write(t, "a.ndjson", recv(10*second, `1`), recv(12*second, `2`), recv(12*second, `3`), recv(18*second, `4`))
	for _, tc := range []struct {
		o    sim.ReplayOptions
		want []time.Duration
	}{
		{sim.ReplayOptions{}, []time.Duration{2 * time.Second, 6 * time.Second}},
		{sim.ReplayOptions{Speed: 4}, []time.Duration{time.Second / 2, 3 * time.Second / 2}},
		{sim.ReplayOptions{Speed: 0.5}, []time.Duration{4 * time.Second, 12 * time.Second}},
		{sim.ReplayOptions{From: 3 * time.Second}, []time.Duration{5 * time.Second}},
		{sim.ReplayOptions{Since: time.Unix(13, 0)}, []time.Duration{5 * time.Second}},
		{sim.ReplayOptions{Since: time.Unix(2, 0), Speed: 2}, []time.Duration{time.Second, 3 * time.Second}},
		{sim.ReplayOptions{Speed: sim.SpeedMax}, nil},
	} {
		clock := &instantClock{now: time.Unix(1_700_000_000, 0)}
		tc.o.Clock, tc.o.NoWait = clock, true
		s := replay(t, "okx", tc.o, file)
		c := dial(t, s.URL(), nil)
		for _, text := range []string{"1", "2", "3", "4"} {
			c.want(text)
		}
		wantClose(t, c, ws.StatusNormalClosure)
		if fmt.Sprint(clock.slept) != fmt.Sprint(tc.want) {
			t.Errorf("speed %v from %s: slept %v, want %v", tc.o.Speed, tc.o.From, clock.slept, tc.want)
		}
	}
}

func TestReplayLoops(t *testing.T) {
	s := replay(t, "bitget", sim.ReplayOptions{Loop: true, Speed: sim.SpeedMax, NoWait: true},
		write(t, "a.ndjson", recv(1, `"a"`), recv(2, `"b"`)))
	c := dial(t, s.URL(), nil)
	for range 700 { // more than queues hold
		c.want(`"a"`)
		c.want(`"b"`)
	}
}

func TestReplayREST(t *testing.T) {
	path := write(t, "a.ndjson", recv(1, `"a"`))
	answers := strings.Join([]string{
		`{"recv_ns":1,"url":"https://api.example.test/api/v3/depth?symbol=AUSDT&limit=1000","body":"{\"lastUpdateId\":1}"}`,
		`{"recv_ns":2,"url":"https://api.example.test/api/v3/depth?symbol=BUSDT&limit=1000","body":"{\"lastUpdateId\":2}"}`,
		`{"recv_ns":3,"url":"https://api.example.test/api/v3/depth?symbol=AUSDT&limit=1000","body":"{\"lastUpdateId\":3}"}`,
		`{"recv_ns":4,"url":"https://api.example.test/api/v3/exchangeInfo","body":"{\"symbols\":[]}"}`,
	}, "\n")
	if err := os.WriteFile(strings.TrimSuffix(path, ".ndjson")+".rest.ndjson", []byte(answers), 0o600); err != nil {
		t.Fatal(err)
	}
	s := replay(t, "binance", sim.ReplayOptions{}, path)
	ask := func(path string, status int, body string) {
		t.Helper()
		gotStatus, got, _, err := get(t, s.REST()+path)
		if err != nil || gotStatus != status || body != "" && string(got) != body {
			t.Errorf("%s: %d %s %v, want %d %s", path, gotStatus, got, err, status, body)
		}
	}
	ask("/api/v3/depth?symbol=AUSDT&limit=5000", 200, `{"lastUpdateId":1}`)
	ask("/api/v3/depth?symbol=BUSDT", 200, `{"lastUpdateId":2}`)
	ask("/api/v3/depth?symbol=AUSDT", 200, `{"lastUpdateId":3}`)
	ask("/api/v3/depth?symbol=AUSDT", 200, `{"lastUpdateId":3}`) // the last one stays
	ask("/api/v3/depth?symbol=CUSDT", 404, "")
	ask("/api/v3/exchangeInfo", 200, `{"symbols":[]}`)
	ask("/api/v3/klines", 404, "")
	c := dial(t, s.URL(), nil)
	c.send(`{"method":"SUBSCRIBE","params":["ausdt@depth"],"id":1}`)
	c.next()
	ask("/api/v3/depth?symbol=AUSDT", 200, `{"lastUpdateId":1}`) // a new client, the first one again

	lone := write(t, "b.ndjson", recv(1, `"a"`))
	os.WriteFile(strings.TrimSuffix(lone, ".ndjson")+".rest.ndjson", []byte(`{"recv_ns":1,"body":"{\"lastUpdateId\":9}"}`), 0o600)
	s = replay(t, "binance", sim.ReplayOptions{}, lone)
	ask("/api/v3/depth?symbol=ANYUSDT", 200, `{"lastUpdateId":9}`)
	ask("/api/v3/exchangeInfo", 404, "")
}

func TestReplayErrorsNameTheLine(t *testing.T) {
	bad := write(t, "bad.ndjson", recv(1, `"a"`), `{"recv_ns":2,"frame_b64":"?"}`)
	for name, tc := range map[string]struct {
		venue string
		files []string
		o     sim.ReplayOptions
		want  string
	}{
		"no file":   {"okx", nil, sim.ReplayOptions{}, "no capture files"},
		"missing":   {"okx", []string{"/nonexistent.ndjson"}, sim.ReplayOptions{}, "/nonexistent.ndjson"},
		"venue":     {"nosuch", []string{bad}, sim.ReplayOptions{}, "nosuch"},
		"speed":     {"okx", []string{bad}, sim.ReplayOptions{Speed: -1}, "speed"},
		"no frames": {"okx", []string{write(t, "c.ndjson", `{"recv_ns":1,"dir":"send","frame":"x"}`)}, sim.ReplayOptions{}, "no received frame"},
		"first":     {"okx", []string{write(t, "d.ndjson", `{"recv_ns":1,"frame_b64":"?"}`)}, sim.ReplayOptions{}, "d.ndjson:1"},
	} {
		s, err := sim.Replay(t.Context(), tc.venue, "127.0.0.1:0", tc.files, tc.o)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
	var log lockedBuffer
	s := replay(t, "okx", sim.ReplayOptions{NoWait: true, Log: log.logger()}, bad)
	c := dial(t, s.URL(), nil)
	c.want(`"a"`)
	wantClose(t, c, ws.StatusInternalServerError)
	if text := log.String(); !strings.Contains(text, "bad.ndjson:2") {
		t.Errorf("log %s", text)
	}
}

func TestReplayInjects(t *testing.T) {
	lines := make([]string, 2000)
	for i := range lines {
		lines[i] = recv(int64(i), fmt.Sprintf(`{"e":"depthUpdate","u":%d,"checksum":123456}`, i))
	}
	s := replay(t, "binance", sim.ReplayOptions{Speed: sim.SpeedMax, Loop: true}, write(t, "a.ndjson", lines...))
	c := dial(t, s.URL(), nil)
	waitSessions(t, s, 1)
	for _, f := range []sim.Fault{sim.FaultBadChecksum, sim.FaultCutMidFrame} {
		if err := s.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	c.send(`{"method":"SUBSCRIBE","params":["x"],"id":1}`)
	c.next()
	if _, err := c.frame(); err == nil {
		t.Fatal("the first frame is whole")
	}
}

// TestReplayRealCaptures replays recorded sessions of the exchanges and wants
// every frame byte for byte.
func TestReplayRealCaptures(t *testing.T) {
	dir := os.Getenv("TICKRELAY_CAPTURES")
	if dir == "" {
		t.Skip("TICKRELAY_CAPTURES is not set: no recorded sessions here")
	}
	for _, tc := range []struct{ venue, file, subscribe string }{
		{"okx", "okx/v5_2022-05-13.ndjson.gz", okxBooks},
		{"okx", "okx/v3_deflate_2021-04-17.ndjson.gz", okxBooks},
		{"bitget", "bitget/v1_spot_mix_2022-04-07.ndjson.gz", bitgetBooks},
		{"binance", "binance/spot_2021-10-12_cf.ndjson.gz", `{"method":"SUBSCRIBE","params":[],"id":1}`},
		{"binance-usdm", "binance/usdm_2021-07-22_cf.ndjson.gz", `{"method":"SUBSCRIBE","params":[],"id":1}`},
	} {
		t.Run(tc.file, func(t *testing.T) {
			path := filepath.Join(dir, tc.file)
			s := replay(t, tc.venue, sim.ReplayOptions{Speed: sim.SpeedMax}, path)
			c := dial(t, s.URL(), nil)
			c.send(tc.subscribe)
			switch { // acks that the capture has not, or not as plain text
			case strings.HasPrefix(tc.venue, "binance"):
				c.want(`{"result":null,"id":1}`)
			case strings.Contains(tc.file, "deflate"):
				c.want(`{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}`)
			}
			rd, err := capture.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer rd.Close()
			n := 0
			for line, err := rd.Next(); err == nil; line, err = rd.Next() {
				if line.Dir != capture.Recv {
					continue
				}
				if got := c.next(); !bytes.Equal(got, line.Frame) {
					t.Fatalf("line %d: got %.100s", line.LineNo, got)
				}
				n++
			}
			if n < 200 {
				t.Errorf("only %d frames", n)
			}
			wantClose(t, c, ws.StatusNormalClosure)
		})
	}
}
