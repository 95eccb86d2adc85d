package feeds

import (
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"tickrelay/feeds/wsconn"
	"tickrelay/nettune"
	"tickrelay/ring"
)

// framesPerTurn bounds what one line may do before the others, the timers and
// the mailbox have their turn.
const framesPerTurn = 64

// session is one line: a connection to the venue, made again whenever it ends.
// It is a state machine that the loop drives by events and timers:
//
//	backoff → resolving → dialling → (proxy) → (tls) → handshaking → live
//	   ▲_________________________any fault, in any state________________│
type session struct {
	l     *loop
	line  int // the engine's number: part × slots + slot
	index int // of the line, as configured
	part  int
	route int
	state LineState

	relief   *session // made to take over from this one
	relieves *session // the reverse
	retired  bool

	until   int64 // mono ns at which the present state has taken too long; in backoff, its end
	attempt int   // failed in a row, for the back-off
	told    Fault // logged last
	serial  uint  // of the attempt: tells late look-ups from current ones

	endpoint endpoint
	proxy    *url.URL
	tunnel   *tunnel
	namesAt  int64 // mono ns of the next look-up beside the connection
	strange  int   // look-ups in a row that lacked the address connected to

	addrs   []netip.Addr // of the last look-up that succeeded
	next    int          // index of the address to dial next
	tried   int          // addresses dialled in this attempt
	granted bool         // the budget has allowed the next dial, at until

	stream nettune.Stream
	conn   *wsconn.Conn
	more   bool // complete messages may be waiting in conn

	liveAt   int64  // mono ns of the last state live
	had      uint64 // frames read before that
	ageAt    int64  // mono ns at which the connection is to be renewed
	heardAt  int64  // mono ns of the last sign of life
	lastRecv int64  // conn.LastRecv at that time
	out      outbox

	stats lineStats
}

// setState moves to a state that may last for limit; 0 for ever.
func (s *session) setState(state LineState, limit time.Duration) {
	s.state, s.until = state, never
	if limit > 0 {
		s.until = s.l.mono + int64(limit)
		s.l.rearm(s.until)
	}
	s.stats.state(state, s.l.wall)
}

// resolved takes the answer of a look-up; the addresses of an earlier one do
// when the name service fails.
func (s *session) resolved(serial uint, at endpoint, addrs []netip.Addr, err error) {
	if s.state != LineResolving || serial != s.serial {
		return
	}
	if at.host != "" {
		s.endpoint = at
	}
	if err != nil {
		if len(s.addrs) == 0 || at.host == "" {
			s.fail(err)
			return
		}
		s.stats.fault(FaultResolve, err, s.l.wall)
		s.l.log.Warn("host not resolved, using the addresses of before", "line", s.line, "error", err)
	} else {
		s.addrs = addrs
	}
	s.dial()
}

// dial connects to the next address of the list.
func (s *session) dial() {
	port := s.endpoint.port
	if s.proxy != nil {
		port = proxyPort(s.proxy)
	}
	addr := netip.AddrPortFrom(s.addrs[s.next%len(s.addrs)], port)
	s.next++
	s.tried++
	s.setState(LineDialling, s.l.cfg.Limits.Dial+time.Second)
	s.stats.dialled(addr)
	stream, err := s.l.poller.Dial(s.dialOptions(addr))
	if err != nil {
		s.fail(err)
		return
	}
	s.stream = stream
	stream.SetData(s)
}

// event takes what the poller says about the session's stream.
func (s *session) event(ev *nettune.Event) {
	if ev.Stream != s.stream {
		return // of a stream that was closed earlier in this turn
	}
	if ev.Flags&nettune.Closed != 0 {
		s.stream = nil // freed by the transport
		s.fail(ev.Err)
		return
	}
	switch s.state {
	case LineDialling:
		if ev.Flags&nettune.Connected != 0 {
			s.connected()
		}
	case LineProxy:
		s.tunnelled()
	case LineTLS:
		if ev.Flags&nettune.Connected != 0 {
			s.upgrade()
		}
	case LineHandshaking:
		s.handshake()
	case LineLive:
		if ev.Flags&nettune.Writable != 0 {
			if err := s.conn.Flush(); err != nil && err != nettune.ErrWouldBlock {
				s.fail(err)
				return
			}
		}
		if ev.Flags&nettune.Readable != 0 {
			s.read()
		}
	}
}

// connected follows TCP's handshake; with Fast Open the peer has not been
// asked yet, and a refusal shows in the next state.
func (s *session) connected() {
	if s.proxy != nil {
		s.setState(LineProxy, s.l.cfg.Limits.Handshake)
		s.tunnel = newTunnel(s.proxy, s.endpoint)
		s.tunnelled()
		return
	}
	s.reached()
}

func (s *session) tunnelled() {
	switch done, err := s.tunnel.turn(s.stream); {
	case err != nil:
		s.fail(err)
	case done:
		s.tunnel = nil
		s.reached()
	}
}

// reached follows when bytes go to the venue itself.
func (s *session) reached() {
	if !s.endpoint.tls {
		s.upgrade()
		return
	}
	s.setState(LineTLS, s.l.cfg.Limits.Handshake+time.Second)
	// The deadline is the wall's: the handshake runs beside the loop's clock.
	secure, err := nettune.TLSClient(s.stream, s.l.poller, s.l.tlsFor(s.endpoint.host), time.Now().Add(s.l.cfg.Limits.Handshake))
	if err != nil {
		s.fail(err)
		return
	}
	s.stream = secure
	secure.SetData(s)
}

func (s *session) upgrade() {
	s.setState(LineHandshaking, s.l.cfg.Limits.Handshake)
	s.conn = wsconn.New(s.stream, wsconn.Config{Host: s.endpoint.header, Path: s.endpoint.target,
		Header: append([][2]string{{"User-Agent", "tickrelay"}}, s.l.spec.Header...), MaxMessage: s.l.spec.MaxFrame})
	s.handshake()
}

func (s *session) handshake() {
	switch err := s.conn.Handshake(); err {
	case nil:
		s.live()
	case nettune.ErrWouldBlock:
	default:
		s.fail(err)
	}
}

// live follows the upgrade: options are reported, the engine subscribes.
func (s *session) live() {
	l := s.l
	s.setState(LineLive, 0)
	s.liveAt, s.heardAt, s.lastRecv = l.mono, l.mono, s.conn.LastRecv()
	s.had = s.stats.frames.Load()
	s.ageAt = l.mono + int64(l.cfg.Limits.MaxAge) - l.rng.Int64N(int64(l.cfg.Limits.MaxAge)/48+1)
	s.out.reset(l.mono, l.spec)
	granted := optionList(s.stream.Granted())
	s.stats.connected(granted)
	l.log.Info("connected", "line", s.line, "remote", s.stream.RemoteAddr(), "options", granted)
	l.rearm(l.mono)
	s.told = FaultNone
	s.namesAt, s.strange = l.mono+int64(namesEvery), 0
	l.attemptSucceeded()
	if len(l.taps) > 0 {
		l.tap(s.line, ring.FrameConnect, 0, []byte(s.endpoint.url()), l.wall)
	}
	if l.journal != nil {
		l.journal.connected(s.line, s.endpoint.url(), l.wall)
	}
	l.engine.Connected(s.line, l.wall)
	l.settle()
	s.read() // frames may have come with the answer to the upgrade
}

// read hands complete messages to the engine, each published before the next
// is looked at.
func (s *session) read() {
	l := s.l
	frames, bytes := uint64(0), uint64(0)
	s.more = false
	for s.conn != nil {
		if frames == framesPerTurn {
			s.more = true
			break
		}
		op, payload, rx, err := s.conn.Read()
		if err != nil {
			if err != nettune.ErrWouldBlock {
				s.fail(err)
			}
			break
		}
		if rx-l.wall > stepLeast {
			rx = l.received(rx)
		}
		frames++
		bytes += uint64(len(payload))
		if len(l.taps) > 0 {
			l.tap(s.line, 0, uint8(op), payload, rx)
		}
		if l.journal != nil {
			l.journal.frame(s.line, uint8(op), payload, rx)
		}
		l.frame(s.line, payload, rx)
	}
	if s.conn != nil {
		if recv := s.conn.LastRecv(); recv != s.lastRecv {
			s.lastRecv, s.heardAt = recv, l.mono
		}
	}
	s.stats.read(frames, bytes, s.lastRecv)
}

// fail ends the attempt or the connection and schedules the next one.
func (s *session) fail(err error) {
	l := s.l
	fault := classify(s.state, err)
	was := s.state
	s.drop()
	s.stats.fault(fault, err, l.wall)
	if was == LineLive {
		if len(l.taps) > 0 {
			l.tap(s.line, ring.FrameClose, 0, []byte(fault.String()), l.wall)
		}
		if l.mono-s.liveAt >= int64(l.cfg.Backoff.Healthy) && s.stats.frames.Load() > s.had {
			s.attempt = 0
		}
		if l.journal != nil {
			l.journal.closed(s.line, fault.String(), l.wall)
		}
		l.engine.Disconnected(s.line, l.wall, fault.String())
	} else if fault != FaultStopped {
		l.attemptFailed()
	}
	if l.stopping {
		s.setState(LineIdle, 0)
		return
	}
	if s.relief != nil {
		l.log.Info("line closed, another has taken over", "line", s.line, "by", s.relief.line, "reason", fault.String())
		s.retire()
		return
	}
	at := s.retryAt(was, fault)
	s.stats.retry(time.Duration(at - l.mono))
	level := slog.LevelDebug // the same failure once more
	if was == LineLive || fault != s.told {
		level = slog.LevelWarn
	}
	s.told = fault
	l.log.Log(l.ctx, level, "line down", "line", s.line, "state", was.String(), "reason", fault.String(), "error", err,
		"attempt", s.attempt, "retry", time.Duration(at-l.mono))
	s.setState(LineBackoff, 0)
	s.until = at
	l.rearm(at)
	l.passTurn(s, at)
}

// retryAt is when the next attempt starts, or the host's next address is
// dialled when this one did not answer.
func (s *session) retryAt(was LineState, fault Fault) int64 {
	l := s.l
	s.granted = false
	if (was == LineDialling || fault == FaultRefused) && s.tried < len(s.addrs) {
		return l.mono
	}
	s.tried = 0
	s.attempt++
	delay := l.cfg.Backoff.delay(s.attempt, l.rng)
	if fault == FaultRateLimited { // no jitter below the cap: the venue has seen enough of us
		delay += l.cfg.Backoff.Cap
	}
	return l.mono + int64(delay)
}

// drop closes the connection as it is.
func (s *session) drop() {
	if s.stream != nil {
		s.stream.Close()
	}
	s.stream, s.conn, s.tunnel, s.more = nil, nil, nil, false
}

// bye says so before the connection is dropped by our own decision.
func (s *session) bye(err error) {
	if s.conn != nil && s.conn.Open() {
		s.conn.Close(1000, "")
	}
	s.fail(err)
}

// discard reads and forgets what comes behind our close frame. True at the end.
func (s *session) discard() bool {
	err := s.conn.Flush()
	for i := 0; i < framesPerTurn && (err == nil || err == nettune.ErrWouldBlock); i++ {
		if _, _, _, err = s.conn.Read(); err == nettune.ErrWouldBlock {
			return false
		}
	}
	if err == nil {
		return false
	}
	s.drop()
	return true
}
