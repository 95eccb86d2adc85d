package relay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// valve is a TCP path to a gateway that the test can hold up and cut.
type valve struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	open  *sync.Cond
	held  bool
	conns map[net.Conn]struct{}
	done  bool
}

func newValve(t testing.TB, target string) *valve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &valve{listener: l, target: target, conns: map[net.Conn]struct{}{}}
	v.open = sync.NewCond(&v.mu)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { v.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		v.mu.Lock()
		v.done = true
		v.mu.Unlock()
		v.cut()
		wg.Wait()
	})
	return v
}

// carry copies both ways until either side ends.
func (v *valve) carry(client net.Conn) {
	relay, err := net.Dial("tcp", v.target)
	if err != nil {
		client.Close()
		return
	}
	relay.(*net.TCPConn).SetReadBuffer(4 << 10)
	both := []net.Conn{client, relay}
	v.mu.Lock()
	for _, c := range both {
		v.conns[c] = struct{}{}
	}
	v.mu.Unlock()
	end := func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, c := range both {
			c.Close()
			delete(v.conns, c)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(relay, client); end() })
	buf := make([]byte, 2048)
	for {
		n, err := relay.Read(buf)
		if err == nil {
			v.wait()
			_, err = client.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	end()
	wg.Wait()
}

func (v *valve) wait() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.held && !v.done {
		v.open.Wait()
	}
}

// hold stalls what comes from the gateway, or lets it flow.
func (v *valve) hold(on bool) {
	v.mu.Lock()
	v.held = on
	v.mu.Unlock()
	v.open.Broadcast()
}

// cut ends the connections, mid-message as it happens.
func (v *valve) cut() {
	v.mu.Lock()
	for c := range v.conns {
		c.Close()
	}
	v.mu.Unlock()
	v.open.Broadcast()
}

// followers is a Node process with JavaScript clients in it.
type followers struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// followed is what one of them holds.
type followed struct {
	State    string
	Sessions int
	Messages int
	Trades   map[string]string
	Lost     uint64
	Base     *uint64
	Gaps     int
	Resumed  int
	Wrong    []string
	Seqs     map[string]uint64
	Books    map[string]struct {
		State      string
		Bids, Asks [][2]string
	}
}

// wsPackage installs the package ws from the npm registry, and returns the folder; it
// skips the test where the registry cannot be reached.
func wsPackage(t testing.TB) string {
	t.Helper()
	npm := nodeTool(t, "npm")
	dir := t.TempDir()
	env := []string{"npm_config_cache=" + filepath.Join(dir, "cache"), "npm_config_update_notifier=false",
		"npm_config_fetch_retries=1", "npm_config_fetch_timeout=20000"}
	out, err := command(t, dir, env, npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "ws@8")
	if err != nil {
		t.Skipf("the package ws cannot be installed from the npm registry: %v\n%s", err, out)
	}
	return dir
}

func follow(t testing.TB, dir string) *followers {
	t.Helper()
	script, err := filepath.Abs("testdata/follow.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nodeTool(t, "node"), script)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	return &followers{t: t, in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

type followSub struct {
	Topics     []string `json:"topics"`
	Depth      int      `json:"depth"`
	ConflateMs int      `json:"conflateMs"`
}

func (f *followers) open(url, format string, subs ...followSub) {
	f.t.Helper()
	f.command(map[string]any{"open": []any{map[string]any{"url": url, "format": format, "subscriptions": subs}}})
}

func (f *followers) command(m map[string]any) {
	f.t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.in.Write(append(b, '\n')); err != nil {
		f.t.Fatal(err)
	}
}

func (f *followers) report() []followed {
	f.t.Helper()
	f.command(map[string]any{"report": true})
	line, err := f.out.ReadBytes('\n')
	if err != nil {
		f.t.Fatal(err)
	}
	var out []followed
	if err := json.Unmarshal(line, &out); err != nil {
		f.t.Fatalf("%v: %.200s", err, line)
	}
	return out
}

// TestJavaScriptAnyInterleaving: whatever the order of updates, gaps, stalls, conflation,
// cuts and resumption, the JavaScript client ends with the feed's book, level by level,
// and knows of every trade. TICKRELAY_SEED repeats one seed.
func TestJavaScriptAnyInterleaving(t *testing.T) {
	dir := wsPackage(t)
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if s := os.Getenv("TICKRELAY_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		for _, format := range []string{"json", "binary"} {
			t.Run(fmt.Sprintf("seed %d %s", seed, format), func(t *testing.T) { interleaveJavaScript(t, dir, seed, format) })
		}
	}
}

func interleaveJavaScript(t *testing.T, dir string, seed uint64, format string) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	s, g := startWith(t, Config{Limits: Limits{QueueMessages: 32, HistoryRecords: 512, SlowTimeout: time.Minute, Requests: 1000, RequestBurst: 1000},
		Shards: 1, Options: nettune.Options{NoDelay: true, SndBuf: 4 << 10}}, 1<<(9+rnd.IntN(4)))
	prices := map[uint64]int64{}
	f := follow(t, dir)
	var valves []*valve
	for i, o := range [][2]int{{0, 0}, {3, 0}, {0, 5}, {3, 5}} {
		v := newValve(t, g.Addr().String())
		valves = append(valves, v)
		topics := []string{btcTrades}
		if i%2 == 1 {
			topics = []string{"*.trades.*"}
		}
		f.open("ws://"+v.listener.Addr().String()+"/ws", format, followSub{Topics: topics},
			followSub{Topics: []string{btcBook}, Depth: o[0], ConflateMs: o[1]})
	}
	eventually(t, "all have the book", func() bool {
		for _, r := range f.report() {
			if r.Books[btcBook].State != "live" || r.Base == nil {
				return false
			}
		}
		return true
	})
	for range 25 {
		for range rnd.IntN(1 << rnd.IntN(9)) {
			feed(s, rnd, prices)
		}
		for _, v := range valves {
			switch rnd.IntN(5) {
			case 0:
				v.hold(true)
			case 1, 2:
				v.hold(false)
			case 3:
				v.cut()
			}
		}
		time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
	}
	for _, v := range valves {
		v.hold(false)
	}
	s.levels(btcBook, level{md.SideBid, 9999, 777})
	settle(t, s, f)
	for i, r := range f.report() {
		checkFollowed(t, s, &r, []int{0, 3, 0, 3}[i], prices)
		t.Logf("client %d: %d connections, %d resumptions, %d messages, %d gaps, %d trades lost of %d", i, r.Sessions, r.Resumed, r.Messages, r.Gaps, r.Lost,
			s.pub.TopicSeq(s.topics[btcTrades]))
	}
}

const settleTime = 60 * time.Second

// settle keeps the feed's loop going until all clients have read up.
func settle(t *testing.T, s *source, f *followers) {
	t.Helper()
	trades := s.pub.TopicSeq(s.topics[btcTrades])
	var last []followed
	for end := time.Now().Add(settleTime); ; time.Sleep(20 * time.Millisecond) {
		s.turn()
		last = f.report()
		ready := true
		for _, r := range last {
			b := r.Books[btcBook]
			ready = ready && b.State == "live" && slices.Contains(b.Bids, [2]string{"99.99", "0.0777"}) && r.Seqs[btcTrades] >= trades
		}
		if ready {
			return
		}
		if time.Now().After(end) {
			for i, r := range last {
				b := r.Books[btcBook]
				t.Errorf("client %d has not caught up: %s, %d connections, seqs %v of %d and %d, book %s %v, %v", i, r.State, r.Sessions, r.Seqs,
					s.pub.TopicSeq(s.topics[btcBook]), trades, b.State, b.Bids[:min(2, len(b.Bids))], r.Wrong)
			}
			t.FailNow()
		}
	}
}

func checkFollowed(t *testing.T, s *source, r *followed, depth int, prices map[uint64]int64) {
	t.Helper()
	for _, w := range r.Wrong {
		t.Errorf("the client says: %s", w)
	}
	b := r.Books[btcBook]
	l := local{t: t, bids: map[string]string{}, asks: map[string]string{}}
	for i, side := range [][][2]string{b.Bids, b.Asks} {
		to := []map[string]string{l.bids, l.asks}[i]
		for _, v := range side {
			to[v[0]] = v[1]
		}
	}
	if depth == 0 {
		depth = 100000
	}
	l.equals(s, btcBook, depth)
	if n := s.pub.TopicSeq(s.topics[btcTrades]); *r.Base+uint64(len(r.Trades))+r.Lost != n {
		t.Errorf("%d before it came, %d trades and %d lost of %d", *r.Base, len(r.Trades), r.Lost, n)
	}
	for seq, price := range r.Trades {
		n, _ := strconv.ParseUint(seq, 10, 64)
		if want := (md.Decimal{Mant: prices[n], Exp: -2}).String(); price != want {
			t.Errorf("trade %s: price %s, want %s", seq, price, want)
		}
	}
}
