package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/feeds/sim"
)

// ClientsConfig is a process of WebSocket clients.
type ClientsConfig struct {
	Dir     string // the soak's folder
	Address string // of the gateway
	Slow    bool   // clients that read too slowly and ones that come and go, instead of good ones
	Seed    uint64 // of their pauses
}

// client is one WebSocket connection, made again for ever.
type client struct {
	cfg    ClientsConfig
	name   string
	proto  string
	counts *counts
	reader wsReader
	report reportFunc
	pause  func() time.Duration // before each read of some KiB; nil: none
	stay   func() time.Duration // how long a connection lives; nil: as long as it may

	mu       sync.Mutex // guards counts and reader
	sessions uint64
}

// wsReader judges what a connection gets.
type wsReader interface {
	request() []byte // what to ask first: subscribe, or resume
	text(p []byte)
	binary(p []byte)
	compare(want trueBooks, c *comparison)
	books() (live, all int)
}

// Clients runs WebSocket clients that judge what they get, until in ends; it
// serves a soak, in a process of its own.
func Clients(ctx context.Context, cfg ClientsConfig, in io.Reader, out io.Writer) error {
	t, err := openTruth(filepath.Join(cfg.Dir, truthFile))
	if err != nil {
		return err
	}
	say := newTalk(out)
	list := goodClients(cfg, t, say)
	if cfg.Slow {
		list = badClients(cfg, t, say)
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for _, c := range list {
		wg.Go(func() { c.run(ctx) })
	}
	say.say(message{Type: "ready"})
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := orders(in)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			say.say(message{Type: "stats", Reader: total(list)})
		case o, ok := <-told:
			switch {
			case !ok:
				return nil
			case o.Op == "compare":
				answer(say, o, func(want trueBooks, c *comparison) {
					for _, cl := range list {
						cl.mu.Lock()
						if cl.stay == nil { // the others come and go
							one := comparison{}
							cl.reader.compare(want, &one)
							c.add(cl.name, &one)
						}
						cl.mu.Unlock()
					}
				})
			}
		}
	}
}

// goodClients read everything in both forms, and windows of the books.
func goodClients(cfg ClientsConfig, t *truth, say *talk) []*client {
	var list []*client
	add := func(name, proto string, r func(*counts, reportFunc) wsReader) {
		c := newCounts()
		report := reporter(say, name)
		list = append(list, &client{cfg: cfg, name: name, proto: proto, counts: c, report: report, reader: r(c, report)})
	}
	add("binary client", "tickrelay.v1.binary", func(c *counts, report reportFunc) wsReader {
		return newBinaryReader(t, c, report, []string{">"}, false)
	})
	venues := sim.Venues()
	const shares = 3
	for i := range shares {
		var topics []string
		for j := i; j < len(venues); j += shares {
			topics = append(topics, venues[j]+".>")
		}
		add(fmt.Sprintf("JSON client %d", i+1), "tickrelay.v1.json", func(c *counts, report reportFunc) wsReader {
			return newJSONReader(t, c, report, jsonOptions{topics: topics})
		})
	}
	add("JSON client, 20 levels every 100 ms", "tickrelay.v1.json", func(c *counts, report reportFunc) wsReader {
		return newJSONReader(t, c, report, jsonOptions{topics: []string{"*.book.*"}, depth: 20, conflate: 100})
	})
	return list
}

// badClients read in spurts with pauses, some of seconds, so that their queues overflow, or come
// and go.
func badClients(cfg ClientsConfig, t *truth, say *talk) []*client {
	rng := rand.New(rand.NewPCG(cfg.Seed, 3))
	between := func(lo, hi time.Duration) func() time.Duration {
		r := rand.New(rand.NewPCG(rng.Uint64(), 4))
		return func() time.Duration { return lo + time.Duration(r.Int64N(int64(hi-lo))) }
	}
	// Now and then one does not read at all for some seconds.
	fits := func(short func() time.Duration) func() time.Duration {
		long, next := between(2*time.Second, 5*time.Second), time.Now().Add(between(0, 20*time.Second)())
		rest := between(15*time.Second, 40*time.Second)
		return func() time.Duration {
			if time.Now().Before(next) {
				return short()
			}
			d := long()
			next = time.Now().Add(d + rest())
			return d
		}
	}
	var list []*client
	for i := range 4 {
		c := &client{cfg: cfg, name: fmt.Sprintf("slow JSON client %d", i+1), proto: "tickrelay.v1.json", counts: newCounts(),
			pause: fits(between(5*time.Millisecond, time.Duration(20<<i)*time.Millisecond))}
		policy := "conflate"
		if i%2 == 1 {
			policy = "drop"
		}
		c.report = reporter(say, c.name)
		c.reader = newJSONReader(t, c.counts, c.report, jsonOptions{topics: []string{">"}, policy: policy})
		list = append(list, c)
	}
	slow := &client{cfg: cfg, name: "slow binary client", proto: "tickrelay.v1.binary", counts: newCounts(), pause: fits(between(5*time.Millisecond, 60*time.Millisecond))}
	slow.report = reporter(say, slow.name)
	slow.reader = newBinaryReader(t, slow.counts, slow.report, []string{">"}, true)
	list = append(list, slow)
	for i := range 8 {
		c := &client{cfg: cfg, name: fmt.Sprintf("passing client %d", i+1), proto: "tickrelay.v1.json", counts: newCounts(),
			stay: between(50*time.Millisecond, 3*time.Second)}
		venue := sim.Venues()[rng.IntN(len(sim.Venues()))]
		c.report = reporter(say, c.name)
		c.reader = newJSONReader(t, c.counts, c.report, jsonOptions{topics: []string{venue + ".>"}})
		list = append(list, c)
	}
	return list
}

// total sums up what the clients of a process have seen.
func total(list []*client) *readerStat {
	sum := readerStat{Gaps: map[string]uint64{}, Goroutines: runtime.NumGoroutine()}
	all := newCounts()
	for _, c := range list {
		c.mu.Lock()
		st := &c.counts.stat
		live, books := c.reader.books()
		if c.stay == nil {
			sum.Live, sum.Books = sum.Live+live, sum.Books+books
		}
		sum.Records, sum.Trades = sum.Records+st.Records, sum.Trades+st.Trades
		sum.Checks.add(&st.Checks)
		sum.Sessions += c.sessions
		for k, n := range st.Gaps {
			sum.Gaps[k] += n
		}
		all.hist.Merge(c.counts.hist)
		c.counts.hist.Reset()
		c.mu.Unlock()
	}
	sum.Latency = all.take().Latency
	return &sum
}

// run connects until ctx ends.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.session(ctx)
		sim.RealClock{}.Sleep(ctx.Done(), 50*time.Millisecond)
	}
}

// session is one connection.
func (c *client) session(ctx context.Context) {
	if c.stay != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.stay())
		defer cancel()
	}
	d := ws.Dialer{Timeout: 5 * time.Second, Protocols: []string{c.proto}}
	if c.pause != nil { // what the kernel holds for a slow reader is no secret queue of megabytes
		d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if tcp, ok := conn.(*net.TCPConn); ok {
				err = errors.Join(err, tcp.SetReadBuffer(64<<10))
			}
			return conn, err
		}
	}
	conn, br, _, err := d.Dial(ctx, "ws://"+c.cfg.Address+"/ws")
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c.mu.Lock()
	c.sessions++
	ask := c.reader.request()
	c.mu.Unlock()
	if err := wsutil.WriteClientText(conn, ask); err != nil {
		return
	}
	r := frames{conn: conn, r: io.Reader(conn), pause: c.pause}
	if br != nil {
		r.r = io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn)
	}
	// Why it ended matters to nobody, the next one resumes; unless it is that of a broken server.
	err = r.each(func(op ws.OpCode, p []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if op == ws.OpText {
			c.reader.text(p)
		} else {
			c.reader.binary(p)
		}
	})
	if errors.Is(err, errBroken) {
		c.report(Formed, "", err.Error())
	}
}
