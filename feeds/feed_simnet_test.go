package feeds

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// simNet is a transport, the clock of the loop that uses it, and the network
// between: a discrete-event simulation in which waiting costs no time. A day
// of heartbeats takes milliseconds, and every run is the same.
type simNet struct {
	t     *testing.T
	l     *loop
	now   atomic.Int64
	woken atomic.Bool
	plan  []simEvent
	// accept answers a dial; an error refuses it.
	accept  func(n *simNet, to netip.AddrPort) (*simPeer, error)
	streams []*simStream
	dials   []int64 // when
}

type simEvent struct {
	at int64
	do func()
}

func (n *simNet) clock() (wall, mono int64) { return 1_700_000_000e9 + n.now.Load(), n.now.Load() }

func (n *simNet) after(d time.Duration, do func()) {
	n.plan = append(n.plan, simEvent{n.now.Load() + int64(d), do})
	slices.SortStableFunc(n.plan, func(a, b simEvent) int { return int(min(1, max(-1, a.at-b.at))) })
}

// run turns the loop until d of simulated time has passed.
func (n *simNet) run(d time.Duration) {
	n.t.Helper()
	n.after(d, func() {}) // no turn sleeps beyond
	for until := n.now.Load() + int64(d); n.now.Load() < until; {
		if err := n.l.turn(); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *simNet) Name() string { return "simulated" }

func (n *simNet) NewPoller(nettune.PollerConfig) (nettune.Poller, error) { return n, nil }

func (n *simNet) Dial(o nettune.DialOptions) (nettune.Stream, error) {
	n.dials = append(n.dials, n.now.Load())
	s := &simStream{n: n, to: o.Addr}
	n.streams = append(n.streams, s)
	peer, err := n.accept(n, o.Addr)
	switch {
	case err != nil:
		s.pending = nettune.Event{Stream: s, Flags: nettune.Closed, Err: err}
	case peer == nil: // no answer at all
		n.after(o.Timeout, func() {
			s.pending = nettune.Event{Stream: s, Flags: nettune.Closed, Err: nettune.ErrDialTimeout}
		})
	default:
		peer.s, s.peer = s, peer
		s.pending = nettune.Event{Stream: s, Flags: nettune.Connected}
	}
	return s, nil
}

func (n *simNet) Poll(dst []nettune.Event, wait time.Duration) ([]nettune.Event, error) {
	until := n.now.Load() + int64(wait)
	for {
		for _, s := range n.streams {
			if ev, ok := s.ready(); ok {
				dst = append(dst, ev)
			}
		}
		n.l.workers.Wait() // what runs beside the loop takes no simulated time
		if n.woken.Swap(false) || len(dst) > 0 || n.now.Load() >= until {
			return dst, nil
		}
		if len(n.plan) == 0 || n.plan[0].at > until {
			n.now.Store(until)
			continue
		}
		ev := n.plan[0]
		n.plan = n.plan[1:]
		n.now.Store(max(ev.at, n.now.Load()))
		ev.do()
	}
}

func (n *simNet) Wake()                        { n.woken.Store(true) }
func (n *simNet) Close() error                 { return nil }
func (n *simNet) Release(nettune.Stream) error { return nettune.ErrNotSupported }
func (n *simNet) Adopt(nettune.Stream) error   { return nettune.ErrNotSupported }
func (n *simNet) Listen(nettune.ListenOptions) (nettune.Listener, error) {
	return nil, nettune.ErrNotSupported
}

// simStream is the feed's end.
type simStream struct {
	n       *simNet
	to      netip.AddrPort
	peer    *simPeer
	pending nettune.Event
	in      bytes.Buffer
	end     error // after in
	closed  bool
	data    any
}

func (s *simStream) ready() (nettune.Event, bool) {
	if ev := s.pending; ev.Flags != 0 && !s.closed {
		s.pending = nettune.Event{}
		return ev, true
	}
	return nettune.Event{Stream: s, Flags: nettune.Readable}, !s.closed && s.peer != nil && (s.in.Len() > 0 || s.end != nil)
}

func (s *simStream) Read(p []byte) (int, int64, error) {
	wall, _ := s.n.clock()
	switch {
	case s.closed:
		return 0, 0, net.ErrClosed
	case s.in.Len() > 0:
		k, _ := s.in.Read(p)
		return k, wall, nil
	case s.end != nil:
		return 0, 0, s.end
	}
	return 0, 0, nettune.ErrWouldBlock
}

func (s *simStream) Write(p []byte) (int, error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	s.peer.take(p)
	return len(p), nil
}

func (s *simStream) Close() error               { s.closed = true; return nil }
func (s *simStream) Granted() nettune.Options   { return nettune.Options{NoDelay: true} }
func (s *simStream) WantWrite(bool)             {}
func (s *simStream) SetData(v any)              { s.data = v }
func (s *simStream) Data() any                  { return s.data }
func (s *simStream) RemoteAddr() netip.AddrPort { return s.to }
func (s *simStream) LocalAddr() netip.AddrPort  { return netip.AddrPort{} }

// simPeer is a WebSocket server at the other end of a simStream.
type simPeer struct {
	s      *simStream
	raw    bytes.Buffer
	open   bool
	status int // of the answer to the upgrade, 0 for 101
	mute   bool
	got    []simMessage
}

type simMessage struct {
	at   int64
	op   ws.OpCode
	text string
}

func (p *simPeer) take(b []byte) {
	p.raw.Write(b)
	if !p.open {
		p.upgrade()
	}
	for p.open {
		r := bytes.NewReader(p.raw.Bytes())
		h, err := ws.ReadHeader(r)
		if err != nil || int64(r.Len()) < h.Length {
			return
		}
		payload := make([]byte, h.Length)
		io.ReadFull(r, payload)
		ws.Cipher(payload, h.Mask, 0)
		p.raw.Next(p.raw.Len() - r.Len())
		p.got = append(p.got, simMessage{p.s.n.now.Load(), h.OpCode, string(payload)})
		if h.OpCode == ws.OpText && strings.HasPrefix(string(payload), "subscribe") {
			p.send(ws.NewTextFrame([]byte("ack")))
		}
	}
}

func (p *simPeer) upgrade() {
	if p.mute || !bytes.Contains(p.raw.Bytes(), []byte("\r\n\r\n")) {
		return
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p.raw.Bytes())))
	if err != nil {
		p.s.n.t.Errorf("the feed's request: %v", err)
		return
	}
	p.raw.Reset()
	if p.status != 0 {
		res := http.Response{StatusCode: p.status, ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
		res.Write(&p.s.in)
		p.s.end = io.EOF
		return
	}
	p.s.in.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + acceptOf(req.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
	p.open = true
}

func (p *simPeer) send(f ws.Frame) { p.s.in.Write(ws.MustCompileFrame(f)) }

// times lists when messages of op and text came.
func (p *simPeer) times(op ws.OpCode, text string) []int64 {
	var at []int64
	for _, m := range p.got {
		if m.op == op && m.text == text {
			at = append(at, m.at)
		}
	}
	return at
}

// newSimFeed makes a loop on a simulated network.
func newSimFeed(t *testing.T, cfg Config, accept func(n *simNet, to netip.AddrPort) (*simPeer, error)) *simNet {
	t.Helper()
	n := &simNet{t: t, accept: accept}
	n.now.Store(1e9)
	cfg.Transport, cfg.Clock, cfg.CPU, cfg.REST, cfg.Seed = n, n.clock, -1, NoREST, 1
	cfg.Table = newTable(t)
	if cfg.URL == "" {
		cfg.URL = "ws://192.0.2.1:9443/ws"
	}
	if cfg.Instruments == nil {
		cfg.Instruments = []string{"BTC-USDT"}
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.l = f.loop
	if err := n.l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.l.readClock()
	n.l.startLines()
	t.Cleanup(func() {
		if err := n.l.shutdown(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func newTable(t *testing.T) *md.Table {
	t.Helper()
	table, err := md.CreateTable(make([]byte, md.TableSize(64)), 64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return table
}
