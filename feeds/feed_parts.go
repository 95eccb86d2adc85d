package feeds

import (
	"net/netip"
	"net/url"
	"slices"
	"time"

	"tickrelay/feeds/capture"
	"tickrelay/nettune"
)

// The loop's connections. The engine asks for parts of the subscriptions; each
// part is carried by Config.Lines connections. A connection that is to be closed
// though it works (daily cut, notice of the venue, addresses that changed) is
// relieved: another one is made beside it, in a slot of its own, and it is closed
// once the engine could go on without it.

// Pace of reliefs.
const (
	// reliefWait is how long a relief that is live may lack a topic that the old
	// connection brought, before the old one is closed all the same.
	reliefWait = 30 * time.Second
	// reliefLeast is how long a relief must have been live before.
	reliefLeast = 2 * time.Second
	// namesEvery is how often the venue's name is looked up beside a live
	// connection.
	namesEvery = 5 * time.Minute
)

// Way is how one line reaches the venue. The zero value is the feed's own.
type Way struct {
	URL   string     // WebSocket address; default Config.URL
	Bind  netip.Addr // local address; default the host's choice
	Proxy string     // http://[user:password@]host:port of a proxy that tunnels by CONNECT; default none
}

// way is that of a line, by its index.
func (c *Config) way(index int) Way {
	var w Way
	if index < len(c.Ways) {
		w = c.Ways[index]
	}
	if w.URL == "" {
		w.URL = c.URL
	}
	return w
}

// slots is how many connections a part can have at once: each line and its
// relief.
func (c *Config) slots() int { return 2 * c.Lines }

// openPart makes the sessions of a part whose first connection is first.
func (l *loop) openPart(first, route int) {
	for i := range l.cfg.Lines {
		s := l.newSession(first+i, i, route)
		if l.started {
			s.begin()
		}
	}
}

func (l *loop) newSession(line, index, route int) *session {
	s := &session{l: l, line: line, index: index, route: route, part: line / l.cfg.slots(), until: never, next: index}
	l.sessions = append(l.sessions, s)
	l.health.setLines(l.sessions)
	return s
}

// begin makes an idle session dial as soon as the budget allows.
func (s *session) begin() {
	if s.state == LineIdle && !s.l.stopping {
		s.setState(LineBackoff, 0)
		s.until = s.l.mono
		s.l.rearm(s.until)
	}
}

// session is the one with a number of the engine's, nil if there is none.
func (l *loop) session(line int) *session {
	for _, s := range l.sessions {
		if s.line == line {
			return s
		}
	}
	return nil
}

// relieve makes a connection beside s that is to take over from it.
func (l *loop) relieve(s *session, reason string) {
	if s.relief != nil || s.state != LineLive || l.stopping {
		return
	}
	first, slots := s.part*l.cfg.slots(), l.cfg.slots()
	line := first + (s.line-first+l.cfg.Lines)%slots
	if l.session(line) != nil { // itself the relief of one that is not closed yet
		return
	}
	l.log.Info("making a connection to take over", "line", s.line, "reason", reason)
	s.relief = l.newSession(line, s.index, s.route)
	s.relief.relieves = s
	s.relief.addrs, s.relief.next = s.addrs, s.next
	s.relief.begin()
}

// checkRelief closes a connection whose relief can go on without it, and
// returns when to look again.
func (s *session) checkRelief(now int64) int64 {
	r := s.relief
	if r == nil || r.state != LineLive {
		return never
	}
	late := now-r.liveAt >= int64(reliefWait)
	if now-r.liveAt < int64(reliefLeast) || !late && !s.l.engine.Covers(s.line, r.line) {
		return now + int64(tickEvery)
	}
	s.l.note(capture.HandOver, capture.HandOverNote{From: s.line, To: r.line})
	s.l.engine.HandOver(s.line, r.line)
	if late {
		s.l.log.Warn("closing a connection though the new one has not brought everything", "line", s.line)
	}
	s.bye(errRenewed)
	return never
}

// retire ends a session for good: another has its place.
func (s *session) retire() {
	s.retired = true
	s.setState(LineIdle, 0)
	if s.relief != nil {
		s.relief.relieves = nil
		s.relief.stats.absorb(&s.stats)
		s.relief = nil
	}
}

// sweep forgets retired sessions.
func (l *loop) sweep() {
	if slices.ContainsFunc(l.sessions, func(s *session) bool { return s.retired }) {
		l.sessions = slices.DeleteFunc(slices.Clone(l.sessions), func(s *session) bool { return s.retired })
		l.health.setLines(l.sessions)
	}
}

// refreshNames looks the venue's name up again beside a live connection.
func (s *session) refreshNames() {
	s.namesAt = s.l.mono + int64(namesEvery)
	if _, err := netip.ParseAddr(s.host()); err == nil {
		s.namesAt = never
		return
	}
	l, serial, host := s.l, s.serial, s.host()
	l.workers.Go(func() {
		ctx, cancel := contextWithTimeout(l, l.cfg.Limits.Resolve)
		defer cancel()
		addrs, err := addresses(ctx, l.cfg.Resolve, host)
		l.mail.post(func() { s.namesKnown(serial, addrs, err) })
	})
}

// namesKnown takes new addresses into use, and relieves a connection to one that
// is, twice in a row, none of them any more.
func (s *session) namesKnown(serial uint, addrs []netip.Addr, err error) {
	if err != nil || serial != s.serial || s.state != LineLive || s.stream == nil {
		return
	}
	s.addrs = addrs
	if slices.Contains(addrs, s.stream.RemoteAddr().Addr().Unmap()) {
		s.strange = 0
		return
	}
	if s.strange++; s.strange >= 2 {
		s.strange = 0
		s.l.relieve(s, "the venue's name has other addresses")
	}
}

// proxyOf is the address of a line's proxy, nil for none.
func (w *Way) proxyOf() (*url.URL, error) {
	if w.Proxy == "" {
		return nil, nil
	}
	return parseProxy(w.Proxy)
}

// circuit keeps all connections but one from dialling a venue that refuses
// every attempt: one that is down for maintenance is asked by one line at a time.
// They take turns: a line's way may be what is down.
type circuit struct {
	failed int // attempts in a row, over all lines, without a connection
	open   bool
	turn   int // index in loop.sessions, modulo their number, of the one that may dial
}

// circuitAfter is the number of failed attempts in a row that open the circuit.
const circuitAfter = 8

func (l *loop) attemptFailed() {
	c := &l.circuit
	if l.otherLive(nil) { // one line's trouble
		c.failed = 0
		return
	}
	c.failed++
	if !c.open && c.failed >= circuitAfter && len(l.sessions) > 1 {
		c.open = true
		l.health.circuit.Store(true)
		l.log.Warn("the venue refuses every connection: one line at a time goes on trying", "attempts", c.failed)
	}
}

// passTurn lets the next session try after s, which has failed on all its addresses and
// would have tried again at (mono ns).
func (l *loop) passTurn(s *session, at int64) {
	c := &l.circuit
	if !l.mayTry(s) || !c.open || s.tried > 0 {
		return
	}
	c.turn = (c.turn + 1) % len(l.sessions)
	if next := l.sessions[c.turn]; next != s && next.state == LineBackoff {
		at = max(at, l.mono+int64(l.cfg.Backoff.delay(c.failed, l.rng))) // it may have failed less often
		next.until = max(min(next.until, l.mono+int64(l.cfg.Backoff.Cap)), at)
		l.rearm(next.until)
	}
}

func (l *loop) attemptSucceeded() {
	c := &l.circuit
	c.failed = 0
	if c.open {
		c.open = false
		l.health.circuit.Store(false)
		l.log.Info("the venue takes connections again")
		for _, s := range l.sessions {
			if s.state == LineBackoff {
				s.until = min(s.until, l.mono+l.rng.Int64N(int64(time.Second)))
				l.rearm(s.until)
			}
		}
	}
}

// mayTry says whether a session may dial while the circuit is open.
func (l *loop) mayTry(s *session) bool {
	return !l.circuit.open || s == l.sessions[l.circuit.turn%len(l.sessions)]
}

// dialOptions are those of a dial to addr by the way of the line.
func (s *session) dialOptions(addr netip.AddrPort) nettune.DialOptions {
	return nettune.DialOptions{Addr: addr, Bind: s.way().Bind, Options: s.l.cfg.Options, Timeout: s.l.cfg.Limits.Dial}
}

func (s *session) way() Way { return s.l.cfg.way(s.index) }
