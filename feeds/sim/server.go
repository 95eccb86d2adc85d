package sim

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a simulated exchange. The zero value is the venue as it is today.
type Options struct {
	// Faults that happen by themselves.
	Faults Faults
	// DepthEvery is the least time between two book updates of an instrument on
	// the venue's fast book channel; 0 means 100 ms, negative one update per
	// market event.
	DepthEvery time.Duration
	// TickerEvery is the least time between 24-hour statistics; 0 means 1 s,
	// negative one per market event.
	TickerEvery time.Duration
	// KeepAlive is the quiet time after which OKX repeats a book's number in an
	// empty update; 0 means 60 s.
	KeepAlive time.Duration
	// PingEvery is the time between Binance's protocol pings, three of which
	// unanswered end the connection; 0 means 20 s.
	PingEvery time.Duration
	// Checksums puts CRC32 checksums into the books of Bitget and OKX, which
	// both stopped sending them; without it the field is 0.
	Checksums bool
	// NoSequence leaves out seq and pseq (Bitget), seqId and prevSeqId (OKX), as
	// both did before they had them.
	NoSequence bool
	// Queue is how many frames a client may be behind before it is dropped; 0
	// means 8192.
	Queue int
	// TLS makes the server speak wss and https. SelfSigned makes a
	// configuration for tests.
	TLS *tls.Config
	// Log gets connections, drops and faults; nil discards them.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	defaults := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	defaults(&o.DepthEvery, 100*time.Millisecond)
	defaults(&o.TickerEvery, time.Second)
	defaults(&o.KeepAlive, time.Minute)
	defaults(&o.PingEvery, 20*time.Second)
	o.DepthEvery, o.TickerEvery = max(o.DepthEvery, 0), max(o.TickerEvery, 0)
	if o.Queue == 0 {
		o.Queue = 8192
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Faults = o.Faults.withDefaults()
	return o
}

func (o Options) validate() error {
	if o.Queue < 1 || o.KeepAlive < 0 || o.PingEvery < 0 {
		return fmt.Errorf("sim: options: queue %d, keep-alive %s, ping %s: want at least 1, 0, 0", o.Queue, o.KeepAlive, o.PingEvery)
	}
	return o.Faults.validate()
}

// Server is an exchange on a loopback address: WebSocket and REST on one port.
// Its methods are safe for concurrent use.
type Server struct {
	venue   string
	o       Options
	log     *slog.Logger
	m       *Market     // nil for replays
	mu      *sync.Mutex // the market's lock, or the replay's own
	lists   func(symbol string) bool
	dialect dialect
	gate    *gate
	http    *http.Server
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	slow    atomic.Uint64

	// The rest is guarded by mu.
	closed    bool
	plan      *faultPlan
	sessions  []*session
	accepted  int
	injected  [numFaults]uint64
	restArmed [numFaults]int
	busyUntil time.Time // REST answers 429
	hushUntil time.Time // new sessions are silent
	muteUntil time.Time // new sessions are mute
}

// Serve starts the exchange named venue (see Venues) on listen, for example
// "127.0.0.1:0", showing m's market. It ends with ctx or Close. Several servers
// may share a market; the market's Run or Step makes things happen.
func Serve(ctx context.Context, venue, listen string, m *Market, o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	x := exchangeOf(venue)
	if x == nil {
		return nil, fmt.Errorf("sim: venue %q cannot be simulated, want one of %v", venue, Venues())
	}
	s := &Server{venue: venue, lists: x.lists, o: o, m: m, mu: &m.mu}
	m.mu.Lock()
	s.dialect = x.open(s)
	m.mu.Unlock()
	for k := range o.Faults.Every {
		if err := s.dialect.supports(k); err != nil && !o.Faults.Possible {
			return nil, fmt.Errorf("sim: %s: %s: %w", venue, k, err)
		}
	}
	s.plan = newFaultPlan(o.Faults.possible(s.dialect))
	if err := s.start(ctx, listen, o.TLS, o.Log); err != nil {
		return nil, err
	}
	m.attach(s)
	return s, nil
}

// start listens and serves.
func (s *Server) start(ctx context.Context, listen string, conf *tls.Config, lg *slog.Logger) error {
	g, err := openGate(ctx, listen)
	if err != nil {
		return err
	}
	s.gate = g
	s.log = lg.With("sim", s.venue, "addr", g.Addr().String())
	s.ctx, s.stop = context.WithCancel(ctx)
	var ln net.Listener = g
	if conf != nil {
		ln = tls.NewListener(g, conf)
	}
	s.o.TLS = conf
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that go away are no news
	}
	s.wg.Go(func() { s.http.Serve(ln) })
	s.wg.Go(s.watch)
	context.AfterFunc(s.ctx, func() { s.Close() })
	return nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.gate.Addr().String() }

// URL is the WebSocket address, with scheme and path.
func (s *Server) URL() string {
	if s.o.TLS != nil {
		return "wss://" + s.Addr() + s.dialect.home()
	}
	return "ws://" + s.Addr() + s.dialect.home()
}

// REST is the base of REST addresses, with scheme and without a slash at the end.
func (s *Server) REST() string {
	if s.o.TLS != nil {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Book is the true book of a symbol (BASE-QUOTE) as the venue publishes it, in
// full depth. Clients have the same once Market.Freeze has returned and they
// have read what was sent. A replay has no true books.
func (s *Server) Book(symbol string) (Book, error) {
	if s.m == nil {
		return Book{}, fmt.Errorf("sim: a replay has no book of %s", symbol)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.m.bySymbol[symbol]
	if in == nil {
		return Book{}, fmt.Errorf("sim: %s does not list %s", s.venue, symbol)
	}
	return s.dialect.book(in), nil
}

// Stats are the server's counters.
type Stats struct {
	Sessions int              // open connections
	Withheld int              // open connections on which a fault holds market data back for good
	Accepted int              // connections so far
	Slow     uint64           // connections dropped because they were behind
	Injected map[Fault]uint64 // faults that happened
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Sessions: len(s.sessions), Accepted: s.accepted, Slow: s.slow.Load(), Injected: make(map[Fault]uint64)}
	for f, n := range s.injected {
		if n > 0 {
			st.Injected[Fault(f)] = n
		}
	}
	for _, x := range s.sessions {
		if x.silent || x.hush || x.mute {
			st.Withheld++
		}
	}
	return st
}

// Can says why the venue cannot have the fault, nil if it can.
func (s *Server) Can(f Fault) error { return s.dialect.supports(f) }

// Inject makes the fault happen now, to every open connection where it is one
// of connections, to the next answer where it is one of REST. It fails where
// the venue cannot have it.
func (s *Server) Inject(f Fault) error {
	if f == FaultNone || f >= numFaults {
		return fmt.Errorf("sim: %s is not a fault", f)
	}
	if err := s.dialect.supports(f); err != nil {
		return fmt.Errorf("sim: %s: %s: %w", s.venue, f, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("sim: %s: %s: the server is closed", s.venue, f)
	}
	s.inject(f, s.sessions)
	return nil
}

// inject makes f happen to the given connections. Callers hold mu.
func (s *Server) inject(f Fault, to []*session) {
	s.injected[f]++
	s.log.Info("fault", "fault", f.String(), "connections", len(to))
	until := time.Now().Add(s.o.Faults.For)
	switch {
	case f == FaultREST429:
		s.busyUntil = until
		return
	case f.rest():
		s.restArmed[f]++
		return
	case f == FaultRefuse:
		s.refuse()
		return
	case f == FaultSilent:
		s.hushUntil = until
	case f == FaultMute:
		s.muteUntil = until
	}
	for _, x := range slices.Clone(to) {
		x.arm(f, s.o.Faults.For)
	}
}

// refuse takes the listening socket away for Faults.For.
func (s *Server) refuse() {
	if !s.gate.shut() {
		return
	}
	s.goes(func() {
		RealClock{}.Sleep(s.ctx.Done(), s.o.Faults.For)
		if s.ctx.Err() != nil {
			return
		}
		if err := s.gate.reopen(s.ctx.Done()); err != nil {
			s.log.Error("cannot listen again", "err", err)
		}
	})
}

// Injected is how often a fault has happened, by itself or by Inject.
func (s *Server) Injected(f Fault) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.injected[f]
}

// Calm ends the faults that happen by themselves.
func (s *Server) Calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = &faultPlan{}
}

// event shows a market event to the clients, and lets the plan's faults happen.
func (s *Server) event(ev *Event) {
	s.plan.next(func(f Fault, choice uint64) {
		one := s.sessions
		if s.o.Faults.Oldest {
			choice = 0
		}
		if n := uint64(len(one)); n > 0 {
			one = one[choice%n:][:1]
		}
		s.inject(f, one)
	})
	s.dialect.event(ev)
}

// due sends what time makes due.
func (s *Server) due(now int64, force bool) {
	s.dialect.due(now, force)
	if force {
		for _, x := range s.sessions {
			x.release()
		}
	}
}

// drained says whether all sessions have written what they were given.
func (s *Server) drained() bool {
	for _, x := range s.sessions {
		if !x.drained() {
			return false
		}
	}
	return true
}

// locked runs f under the server's lock.
func (s *Server) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// goes runs f on a goroutine that Close waits for.
func (s *Server) goes(f func()) { s.wg.Go(f) }

// Close ends every connection and returns when all goroutines have ended. It
// may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	open := slices.Clone(s.sessions)
	s.mu.Unlock()
	if first {
		if s.m != nil {
			s.m.detach(s)
		}
		s.stop()
		s.gate.Close()
		s.http.Close()
		for _, x := range open {
			x.end()
		}
	}
	s.wg.Wait()
	return nil
}
