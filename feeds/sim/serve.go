package sim

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// handle serves one request: a WebSocket session for its whole life, or a REST
// answer.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.rest(w, r)
		return
	}
	x := &session{srv: s, queue: make(chan outgoing, s.o.Queue), done: make(chan struct{})}
	known := false
	s.locked(func() { known = s.dialect.open(x, r) })
	if !known {
		http.NotFound(w, r)
		return
	}
	conn, rw, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return // UpgradeHTTP has answered
	}
	x.conn, x.in = conn, rw.Reader
	if !s.admit(x) {
		conn.Close()
		return
	}
	defer s.wg.Done()
	s.goes(x.writeLoop)
	err = x.readLoop(func(op ws.OpCode, msg []byte) {
		s.locked(func() { s.dialect.text(x, msg) })
	})
	s.leave(x)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		x.log.Info("connection ended", "err", err)
	}
}

// admit enters a session, counted in the wait group; false when the server is
// closing.
func (s *Server) admit(x *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	s.accepted++
	x.id = s.accepted
	x.log = s.log.With("client", x.id, "peer", x.conn.RemoteAddr().String())
	x.rng = rand.New(rand.NewPCG(s.o.Faults.Seed, uint64(x.id)))
	x.lastHeard.Store(time.Now().UnixNano())
	now := time.Now()
	x.hush, x.mute = now.Before(s.hushUntil), now.Before(s.muteUntil)
	s.sessions = append(s.sessions, x)
	s.dialect.opened(x)
	return true
}

// leave forgets a session.
func (s *Server) leave(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range slices.Clone(x.streams) {
		x.unsubscribe(st)
	}
	s.sessions = slices.DeleteFunc(s.sessions, func(y *session) bool { return y == x })
}

// watch ends sessions that are silent for longer than the venue allows, and
// sends Binance's pings.
func (s *Server) watch() {
	silence, lastPing := s.dialect.silence(), time.Now()
	for (RealClock{}).Sleep(s.ctx.Done(), min(s.o.PingEvery, time.Second)/4+time.Millisecond) {
		now := time.Now()
		ping := strings.HasPrefix(s.venue, "binance") && now.Sub(lastPing) >= s.o.PingEvery
		if ping {
			lastPing = now
		}
		s.locked(func() {
			for _, x := range s.sessions {
				if silence > 0 && now.UnixNano()-x.lastHeard.Load() > int64(silence) {
					x.enqueue(closing(ws.StatusPolicyViolation, "no ping", 0))
				}
				if !ping {
					continue
				}
				if x.pings.Load() >= 3 {
					x.enqueue(closing(ws.StatusPolicyViolation, "no pong", 0))
					continue
				}
				x.pings.Add(1)
				x.answer(ws.OpPing, strconv.AppendInt(nil, now.UnixMilli(), 10))
			}
		})
	}
}

// rest answers a REST request, with the faults that are due.
func (s *Server) rest(w http.ResponseWriter, r *http.Request) {
	var (
		status    int
		body      []byte
		retry     time.Duration
		truncated bool
	)
	s.locked(func() {
		take := func(f Fault) bool {
			if s.restArmed[f] == 0 {
				return false
			}
			s.restArmed[f]--
			return true
		}
		if retry = time.Until(s.busyUntil); retry > 0 {
			status, body = http.StatusTooManyRequests, s.dialect.busy()
			return
		}
		if take(FaultRESTError) {
			status, body = http.StatusInternalServerError, []byte("Internal Server Error")
			return
		}
		stale := s.restArmed[FaultRESTStale] > 0
		status, body = s.dialect.answer(r, stale)
		if stale && isBook(r.URL.Path) && status == http.StatusOK {
			s.restArmed[FaultRESTStale]--
		}
		truncated = status == http.StatusOK && take(FaultRESTTruncated)
	})
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
	}
	w.WriteHeader(status)
	if truncated {
		w.Write(body[:len(body)/2])
		if err := http.NewResponseController(w).Flush(); err == nil {
			panic(http.ErrAbortHandler) // ends the connection without the rest
		}
		return
	}
	w.Write(body)
}

// appendLevels appends the JSON array of levels [[price, size, …], …].
func appendLevels(dst []byte, levels []Level, one func(dst []byte, lv Level) []byte) []byte {
	dst = append(dst, '[')
	for i, lv := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		dst = one(dst, lv)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

// isBook says whether a REST path is that of a book snapshot.
func isBook(path string) bool {
	return strings.Contains(path, "depth") || strings.Contains(path, "book") || strings.Contains(path, "level2")
}
