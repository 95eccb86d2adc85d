package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// exchange runs a simulated Binance in the test's own process.
func exchange(t *testing.T, rate float64) *sim.Server {
	t.Helper()
	m, err := sim.NewMarket(7, []string{"BTC-USDT", "ETH-USDT"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv, err := sim.Serve(ctx, "binance", "127.0.0.1:0", m, sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx, rate) }()
	t.Cleanup(func() { cancel(); srv.Close(); <-done })
	return srv
}

// follower is a client that reconnects and resumes for ever, and looks for holes.
type follower struct {
	addr  string
	token func() string // nil: none
	tls   *tls.Config   // nil: plain text

	mu       sync.Mutex
	at       map[string]place
	messages int
	gaps     []string // reasons
	closes   map[ws.StatusCode]int
	epochs   int   // changes
	hole     error // what was missed without a word
}

type place struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

const followed = "binance.trades.*"

// follow starts n followers, which end with the test.
func follow(t *testing.T, n int, addr string, token func() string, cfg *tls.Config) []*follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	var out []*follower
	for range n {
		f := &follower{addr: addr, token: token, tls: cfg, at: map[string]place{}, closes: map[ws.StatusCode]int{}}
		out = append(out, f)
		wg.Go(func() {
			for ctx.Err() == nil {
				f.session(ctx)
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	return out
}

// session is one connection.
func (f *follower) session(ctx context.Context) {
	d := ws.Dialer{Timeout: 5 * time.Second, TLSConfig: f.tls}
	scheme := "ws"
	if f.tls != nil {
		scheme = "wss"
	}
	if f.token != nil {
		d.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + f.token()}})
	}
	conn, br, _, err := d.Dial(ctx, scheme+"://"+f.addr+"/ws")
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := wsutil.WriteClientText(conn, f.request()); err != nil {
		return
	}
	var r io.Reader = conn
	if br != nil {
		r = io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn)
	}
	br = bufio.NewReaderSize(r, 64<<10)
	for {
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		h, err := ws.ReadHeader(br)
		if err != nil {
			return
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(br, p); err != nil {
			return
		}
		switch h.OpCode {
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(p)
			f.mu.Lock()
			f.closes[code]++
			f.mu.Unlock()
			ws.WriteFrame(conn, ws.MaskFrame(ws.NewCloseFrame(p)))
			return
		case ws.OpPing:
			ws.WriteFrame(conn, ws.MaskFrame(ws.NewPongFrame(p)))
		case ws.OpText:
			f.text(p)
		}
	}
}

func (f *follower) request() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.at) == 0 {
		return []byte(`{"op":"subscribe","id":1,"topics":["` + followed + `"]}`)
	}
	at, _ := json.Marshal(f.at)
	return []byte(`{"op":"resume","id":1,"topics":` + string(at) + `}`)
}

func (f *follower) text(p []byte) {
	var m struct {
		Op, Type, Topic, Reason string
		Code, Message           string
		Topics                  json.RawMessage
		Seq, Prev               uint64
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := json.Unmarshal(p, &m); err != nil {
		f.hole = err
		return
	}
	switch {
	case m.Op == "subscribed" || m.Op == "topic":
		var at map[string]place
		if err := json.Unmarshal(m.Topics, &at); err != nil {
			f.hole = err
		}
		for t, p := range at {
			if old, ok := f.at[t]; ok && old.Epoch != p.Epoch {
				f.epochs++
			} else if ok && p.Seq > old.Seq && m.Op == "subscribed" {
				f.hole = fmt.Errorf("%s resumed at %d, was at %d", t, p.Seq, old.Seq)
			}
			f.at[t] = p
		}
	case m.Op == "error":
		f.hole = fmt.Errorf("%s: %s", m.Code, m.Message)
	case m.Type != "":
		at := f.at[m.Topic]
		if m.Prev > at.Seq {
			f.hole = fmt.Errorf("%s: prev %d after %d in %s", m.Topic, m.Prev, at.Seq, p)
		}
		at.Seq = m.Seq
		f.at[m.Topic] = at
		f.messages++
		if m.Type == "gap" {
			f.gaps = append(f.gaps, m.Reason)
		}
	}
}

// state sums followers up; any hole ends the test.
type followerState struct {
	least        int // messages of the one that has fewest
	gaps, epochs int
	closes       map[ws.StatusCode]int
	gapless      int // followers without a gap
}

func lookAt(t *testing.T, fs []*follower) followerState {
	t.Helper()
	s := followerState{least: 1 << 40, closes: map[ws.StatusCode]int{}}
	for i, f := range fs {
		f.mu.Lock()
		if f.hole != nil {
			t.Fatalf("client %d: %v", i, f.hole)
		}
		s.least, s.gaps, s.epochs = min(s.least, f.messages), s.gaps+len(f.gaps), s.epochs+f.epochs
		if len(f.gaps) == 0 {
			s.gapless++
		}
		for c, n := range f.closes {
			s.closes[c] += n
		}
		f.mu.Unlock()
	}
	return s
}

// until waits for a condition, with all followers well.
func until(t *testing.T, fs []*follower, what string, ok func(followerState) bool) followerState {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s := lookAt(t, fs)
		if ok(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("not within 60 s: %s; %+v", what, s)
		}
	}
}

// moved waits until every follower has got more messages.
func moved(t *testing.T, fs []*follower) followerState {
	t.Helper()
	from := lookAt(t, fs).least
	return until(t, fs, "messages", func(s followerState) bool { return s.least >= from+100 })
}

// watchRing counts what a strategy sees of a declared ring.
type watchRing struct{ records, gaps atomic.Int64 }

func watchStrategy(t *testing.T, dir, name string) *watchRing {
	t.Helper()
	c, err := ring.Open(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	w := &watchRing{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		var recs [512]md.Record
		for ctx.Err() == nil {
			n, err := c.Poll(recs[:])
			for i := range recs[:n] {
				w.records.Add(1)
				if recs[i].Kind == md.KindGap {
					w.gaps.Add(1)
				}
			}
			if errors.Is(err, ring.ErrProducerGone) {
				return
			}
			if n == 0 {
				c.Wait(ring.WaitBlock, 100*time.Millisecond)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// split is a relay of two processes.
type split struct {
	t      *testing.T
	config string
	listen string
	feeds  *process
	rings  string
}

func newSplit(t *testing.T, more string) *split {
	t.Helper()
	srv := exchange(t, 400)
	s := &split{t: t, listen: freePort(t)}
	name := fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	s.config = writeFile(t, "relay.yaml", fmt.Sprintf(`
relay: %s
listen: %s
socket: %s
feeds:
  - venue: binance
    url: %s
    rest: %s
    instruments: [BTC-USDT, ETH-USDT]
    channels: [trades, book]
rings:
  - {strategy: alpha, topics: ["binance.trades.>"], capacity: 65536}
%s`, name, s.listen, filepath.Join(t.TempDir(), "s"), srv.URL(), srv.REST(), more))
	s.startFeeds()
	return s
}

func (s *split) startFeeds() {
	s.t.Helper()
	s.feeds = start(s.t, "run", "--feeds-only", "-c", s.config)
	s.rings = s.feeds.line("rings ")
}

func (s *split) gateway(more ...string) *process {
	s.t.Helper()
	return start(s.t, append([]string{"run", "--gateway-only", "-c", s.config}, more...)...)
}

// ended waits for a process's own end.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(60 * time.Second):
		p.t.Fatalf("%s does not end\n%s", p.cmd.Args, p.errors())
	}
	return p.cmd.ProcessState.ExitCode()
}

// killedFeedsTold is how long clients may believe in feeds that were killed. The gateway
// looks for its producers' lives every 100 ms; the rest is for a host that is busy.
const killedFeedsTold = 10 * time.Second

func TestGatewayInItsOwnProcess(t *testing.T) {
	s := newSplit(t, "metrics: 127.0.0.1:0\n")
	strategy := watchStrategy(t, s.rings, "alpha-binance")
	gw := s.gateway()
	gw.line("websocket ")
	clients := follow(t, 20, s.listen, nil, nil)
	moved(t, clients)

	// Feeds' health comes from the other process.
	ready := func() (int, string) {
		res, err := http.Get("http://" + s.listen + "/readyz")
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	waitFor(t, "/readyz is 200", func() bool { code, _ := ready(); return code == 200 })
	if st := lookAt(t, clients); st.gaps > 0 {
		t.Fatalf("gaps before anything happened: %+v", st)
	}

	// An upgrade under load: nobody loses anything, all are asked to come back.
	next := s.gateway("--takeover")
	if code := gw.ended(); code != 0 {
		t.Errorf("the replaced gateway ended with %d\n%s", code, gw.errors())
	}
	st := moved(t, clients)
	if st.gaps > 0 || st.closes[1012] != len(clients) {
		t.Errorf("after the upgrade: %+v", st)
	}
	if !strings.Contains(next.errors(), "taken over") {
		t.Errorf("the new one's log:\n%s", next.errors())
	}

	// kill -9: what was missed meanwhile is told.
	next.cmd.Process.Signal(syscall.SIGKILL)
	next.ended()
	time.Sleep(300 * time.Millisecond)
	third := s.gateway("--takeover") // nobody is there: it just starts
	third.line("websocket ")
	st = moved(t, clients)
	if st.gaps == 0 {
		t.Error("300 ms of trades were missed without a gap")
	}
	if n := strategy.gaps.Load(); n > 0 || strategy.records.Load() == 0 {
		t.Errorf("the strategy saw %d gaps in %d records", n, strategy.records.Load())
	}

	// The feeds start anew: gaps, the new epoch, and on it goes, on the same connections.
	if code := s.feeds.stop(); code != 0 {
		t.Errorf("feeds ended with %d\n%s", code, s.feeds.errors())
	}
	waitFor(t, "/readyz is 503", func() bool { code, _ := ready(); return code == 503 })
	s.startFeeds()
	until(t, clients, "the new epoch", func(st followerState) bool { return st.epochs >= 2*len(clients) })
	moved(t, clients)

	// Feeds that are killed are noticed as soon, before anybody starts them again.
	gaps := lookAt(t, clients).gaps
	s.feeds.cmd.Process.Kill()
	s.feeds.ended()
	killed := time.Now()
	waitFor(t, "a gap of the killed feeds", func() bool { return lookAt(t, clients).gaps >= gaps+len(clients) })
	if d := time.Since(killed); d > killedFeedsTold {
		t.Errorf("killed feeds were told %s later, want %s at most", d, killedFeedsTold)
	}
	s.startFeeds()
	until(t, clients, "the next epoch", func(st followerState) bool { return st.epochs >= 4*len(clients) })
	moved(t, clients)
	if code := third.stop(); code != 0 {
		t.Errorf("gateway ended with %d after Ctrl-C", code)
	}
	if code := s.feeds.stop(); code != 0 {
		t.Errorf("feeds ended with %d after Ctrl-C", code)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// A second gateway does not push the first aside unasked, and one that cannot serve
// leaves the first as it is.
func TestTakeoverThatFails(t *testing.T) {
	s := newSplit(t, "")
	gw := s.gateway()
	gw.line("websocket ")
	clients := follow(t, 3, s.listen, nil, nil)
	moved(t, clients)
	second := s.gateway()
	if code := second.ended(); code != 1 {
		t.Errorf("a second gateway on the same address ended with %d", code)
	}
	third := s.gateway("--takeover")
	third.cmd.Process.Signal(syscall.SIGKILL) // at whatever it is doing
	third.ended()
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	text, _ := os.ReadFile(s.config)
	os.WriteFile(bad, append(text, "tls: {cert: /nowhere, key: /nowhere}\n"...), 0o600)
	fourth := start(t, "run", "--gateway-only", "--takeover", "-c", bad)
	if code := fourth.ended(); code != 1 {
		t.Errorf("a gateway without its certificate ended with %d", code)
	}
	st := moved(t, clients)
	if st.gaps > 0 || len(st.closes) > 0 {
		t.Errorf("clients noticed: %+v", st)
	}
}

// systemd hands a listening socket over as descriptor 3.
func TestSocketActivation(t *testing.T) {
	s := newSplit(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID must be the process's own: a shell that becomes it.
	cmd := execShell(`LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" run --gateway-only -c "$1"`, path, s.config)
	cmd.ExtraFiles = []*os.File{f}
	gw := startCommand(t, cmd)
	addr := strings.TrimSuffix(strings.TrimPrefix(gw.line("websocket "), "ws://"), "/ws")
	if addr != l.Addr().String() {
		t.Errorf("listens on %s, want %s", addr, l.Addr())
	}
	l.Close()
	moved(t, follow(t, 2, addr, nil, nil))
}

func execShell(script string, args ...string) *exec.Cmd {
	return exec.Command("/bin/sh", append([]string{"-c", script}, args...)...)
}
