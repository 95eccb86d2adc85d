package nettune

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	// TLSPending is how much encrypted output a TLS stream holds for a slow
	// peer, bytes; a Write that starts below it is taken whole.
	TLSPending = 256 << 10
	// handshakeTimeout is used for a zero deadline.
	handshakeTimeout = 10 * time.Second
)

// ClientConfig returns a copy of base (nil: defaults) with what a market-data
// client wants where base says nothing: the server's name, ALPN http/1.1, a
// session cache so that reconnects resume, TLS 1.2 or newer. Make it once per
// server and use it for every connection, or nothing is resumed.
func ClientConfig(base *tls.Config, serverName string) *tls.Config {
	cfg := &tls.Config{}
	if base != nil {
		cfg = base.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = serverName
	}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(32)
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	return withALPN(cfg)
}

// ServerConfig returns a copy of base, which has the certificates, with ALPN
// http/1.1 and TLS 1.2 or newer where base says nothing. Make it once: the keys
// with which clients resume live in it.
func ServerConfig(base *tls.Config) *tls.Config {
	cfg := base.Clone()
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	return withALPN(cfg)
}

// withALPN offers http/1.1, the only protocol that WebSocket upgrades use here.
func withALPN(cfg *tls.Config) *tls.Config {
	if len(cfg.NextProtos) > 0 {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	return cfg
}

// TLSClient puts a TLS client on s, a stream of p that is Connected or about to
// be, and returns the encrypted stream. From now on events name the returned
// stream, not s: Connected when the handshake is done, or Closed and the reason
// (a *CertificateError where the certificate is to blame, ErrHandshakeTimeout
// after deadline, 10 s if zero) with everything freed. s and its Data belong to
// the TLS stream. cfg needs ServerName; it is only read, see ClientConfig.
//
// The handshake runs in a goroutine over memory; the loop carries the bytes.
// After it, the loop's reads decrypt in place with no goroutine. crypto/tls
// allocates a few dozen bytes per read of the stream below.
func TLSClient(s Stream, p Poller, cfg *tls.Config, deadline time.Time) (Stream, error) {
	if cfg == nil || cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		return nil, errors.New("nettune: TLS client: no ServerName to verify the certificate against")
	}
	cfg = withALPN(cfg)
	return startTLS(s, p, deadline, cfg.ServerName, nil, func(c net.Conn) *tls.Conn { return tls.Client(c, cfg) })
}

// TLSServer puts a TLS server on an accepted stream; see TLSClient. cfg needs
// certificates and is used as it is, see ServerConfig.
func TLSServer(s Stream, p Poller, cfg *tls.Config, deadline time.Time) (Stream, error) {
	return TLSServerAfter(s, p, cfg, deadline, nil)
}

// TLSServerAfter is TLSServer for a stream of which already was read: a server that
// looks at the first byte to tell TLS from plain text. It keeps already.
func TLSServerAfter(s Stream, p Poller, cfg *tls.Config, deadline time.Time, already []byte) (Stream, error) {
	if cfg == nil || len(cfg.Certificates) == 0 && cfg.GetCertificate == nil && cfg.GetConfigForClient == nil {
		return nil, errors.New("nettune: TLS server: no certificate")
	}
	return startTLS(s, p, deadline, "", already, func(c net.Conn) *tls.Conn { return tls.Server(c, cfg) })
}

// TLSState returns the TLS connection's state; false for a plain stream or
// before the handshake is done.
func TLSState(s Stream) (tls.ConnectionState, bool) {
	if t, ok := s.(*tlsStream); ok && t.state == tlsOpen {
		return t.conn.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

type tlsState uint8

const (
	tlsShaking tlsState = iota
	tlsOpen
	tlsClosed
)

// tlsStream is a TLS connection over another stream.
type tlsStream struct {
	inner Stream
	l     *layered // nil while released
	conn  *tls.Conn
	pipe  *tlsPipe
	data  any
	name  string // server's name, clients only

	state     tlsState
	wantWrite bool
	undrained bool // not read until ErrWouldBlock since the last event
	listed    bool // in l.undrained
	queued    bool // in l.queue, under l.mu
	round     uint32
}

var _ Stream = (*tlsStream)(nil)

// startTLS takes over s and starts the handshake.
func startTLS(s Stream, p Poller, deadline time.Time, name string, already []byte, wrap func(net.Conn) *tls.Conn) (Stream, error) {
	l, ok := p.(*layered)
	if !ok {
		return nil, fmt.Errorf("nettune: TLS: %w: its pollers are not Layered", ErrNotSupported)
	}
	if _, ok := s.Data().(*tlsBelow); ok {
		return nil, errors.New("nettune: TLS: the stream carries TLS already")
	}
	if deadline.IsZero() {
		deadline = time.Now().Add(handshakeTimeout)
	}
	t := &tlsStream{inner: s, l: l, name: name, data: s.Data()}
	t.pipe = newTLSPipe(s, func() { l.post(t) })
	t.pipe.in = already
	t.conn = wrap(t.pipe)
	s.SetData(&tlsBelow{t})
	l.streams++
	l.shaking[t] = struct{}{}
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		timer := time.AfterFunc(time.Until(deadline), func() { t.pipe.abort(ErrHandshakeTimeout) })
		err := t.conn.Handshake()
		timer.Stop()
		t.pipe.finish(err)
	}()
	return t, nil
}

// advance moves a handshake on from the loop's side: sends what the goroutine
// wrote, feeds it what arrived, notes its end.
func (t *tlsStream) advance() Event {
	if t.state != tlsShaking {
		return Event{}
	}
	err := t.pipe.carry()
	t.watch()
	done, shakeErr := t.pipe.outcome()
	switch {
	case done && shakeErr == nil:
		t.state = tlsOpen
		delete(t.l.shaking, t)
		t.pipe.enterLoop()
		t.list() // the server may have spoken right behind its handshake
		f := Connected | Readable
		if t.wantWrite && t.pipe.pending() == 0 {
			f |= Writable
		}
		return Event{Stream: t, Flags: f}
	case done:
		return t.failed(shakeErr)
	case err != nil:
		t.pipe.abort(err) // the goroutine ends with it and posts
	}
	return Event{}
}

// failed frees everything and reports why.
func (t *tlsStream) failed(err error) Event {
	remote := t.inner.RemoteAddr()
	_ = t.Close()
	return Event{Stream: t, Flags: Closed, Err: handshakeError(remote, t.name, err)}
}

// translate turns an event of the stream below into one of this stream.
func (t *tlsStream) translate(ev Event) Event {
	switch t.state {
	case tlsClosed:
		return Event{}
	case tlsShaking:
		if ev.Flags&Closed != 0 { // the dial failed: nobody to shake hands with
			_ = t.Close()
			return Event{Stream: t, Flags: Closed, Err: ev.Err}
		}
		return t.advance()
	}
	var f EventFlags
	if ev.Flags&Writable != 0 {
		if err := t.pipe.flush(); err == nil && t.wantWrite {
			f |= Writable
		}
		t.watch()
	}
	if ev.Flags&Readable != 0 {
		t.list()
		if t.l == nil || t.round != t.l.round {
			f |= Readable
		}
	}
	return Event{Stream: t, Flags: f}
}

// list has the poller remind the caller until it has read to the end.
func (t *tlsStream) list() {
	t.undrained = true
	if !t.listed {
		t.listed = true
		t.l.undrained = append(t.l.undrained, t)
	}
}

// watch asks for Writable events below while there is a reason.
func (t *tlsStream) watch() { t.inner.WantWrite(t.wantWrite || t.pipe.pending() > 0) }

// Read decrypts; see Stream.
func (t *tlsStream) Read(p []byte) (int, int64, error) {
	switch t.state {
	case tlsClosed:
		return 0, 0, net.ErrClosed
	case tlsShaking:
		return 0, 0, ErrWouldBlock
	}
	n, err := t.conn.Read(p)
	if n == 0 && err != nil || len(p) == 0 {
		t.undrained = false
	}
	if t.pipe.pending() > 0 { // a key update was answered
		t.watch()
	}
	if n > 0 {
		err = nil // an end that came with bytes comes again
	}
	return n, t.pipe.rx, err
}

// Write encrypts; all of p is taken or nothing.
func (t *tlsStream) Write(p []byte) (int, error) {
	switch t.state {
	case tlsClosed:
		return 0, net.ErrClosed
	case tlsShaking:
		return 0, ErrWouldBlock
	}
	if t.pipe.pending() >= TLSPending {
		if err := t.pipe.flush(); err != nil && t.pipe.pending() >= TLSPending {
			return 0, err
		}
	}
	n, err := t.conn.Write(p)
	if t.pipe.pending() > 0 {
		t.watch()
	}
	return n, err
}

// Close says good-bye (close_notify) if that can be sent at once, and frees.
// Output that the peer has not taken yet is lost.
func (t *tlsStream) Close() error {
	if t.state == tlsClosed {
		return nil
	}
	if t.state == tlsShaking {
		t.pipe.abort(net.ErrClosed)
		delete(t.l.shaking, t)
	} else if t.l != nil {
		_ = t.conn.CloseWrite()
	}
	t.state = tlsClosed
	if t.l != nil {
		t.l.streams--
	}
	return t.inner.Close()
}

// Granted is that of the stream below.
func (t *tlsStream) Granted() Options { return t.inner.Granted() }

// WantWrite switches Writable events.
func (t *tlsStream) WantWrite(on bool) {
	t.wantWrite = on
	if t.state != tlsClosed {
		t.watch()
	}
}

// SetData keeps v with the stream.
func (t *tlsStream) SetData(v any) { t.data = v }

// Data returns what SetData kept.
func (t *tlsStream) Data() any { return t.data }

// RemoteAddr is the peer's address.
func (t *tlsStream) RemoteAddr() netip.AddrPort { return t.inner.RemoteAddr() }

// LocalAddr is this end's address.
func (t *tlsStream) LocalAddr() netip.AddrPort { return t.inner.LocalAddr() }
