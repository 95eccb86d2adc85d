package nettune

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certificate makes a self-signed one for name, valid from now on for d.
func certificate(t testing.TB, name string, d time.Duration) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(d),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func tlsConfigs(t testing.TB) (client, server *tls.Config) {
	cert, pool := certificate(t, "relay.test", time.Hour)
	return ClientConfig(&tls.Config{RootCAs: pool}, "relay.test"), ServerConfig(&tls.Config{Certificates: []tls.Certificate{cert}})
}

// connectTLS returns both ends of a TLS connection.
func (l *loop) connectTLS(ln Listener, client, server *tls.Config) (c, s Stream) {
	l.t.Helper()
	p := l.pollers[len(l.pollers)-1]
	raw, err := p.Dial(DialOptions{Addr: ln.Addr()})
	if err != nil {
		l.t.Fatal(err)
	}
	if c, err = TLSClient(raw, p, client, time.Time{}); err != nil { // before it is connected
		l.t.Fatal(err)
	}
	if s, err = TLSServer(l.accept(ln), l.pollers[0], server, time.Time{}); err != nil {
		l.t.Fatal(err)
	}
	l.until("handshake", func() bool {
		for _, x := range []Stream{c, s} {
			if l.seen[x]&Closed != 0 {
				l.t.Fatal(l.errs[x])
			}
		}
		return l.seen[c]&l.seen[s]&Connected != 0
	})
	return c, s
}

func TestTLSEcho(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, cfg := range []PollerConfig{{}, {Busy: true}} {
			l := newLoop(t, cfg)
			client, server := tlsConfigs(t)
			client.MaxVersion = version
			c, s := l.connectTLS(l.listen("127.0.0.1:0", Options{}), client, server)
			for i, n := range []int{1, 100, 20_000, 300_000} {
				want := pattern(n)
				l.send(c, want)
				if got := l.recv(s, n); !bytes.Equal(got, want) {
					t.Fatalf("message %d differs", i)
				}
				l.send(s, want)
				if got := l.recv(c, n); !bytes.Equal(got, want) {
					t.Fatalf("answer %d differs", i)
				}
			}
			st, ok := TLSState(c)
			if !ok || st.Version != version || st.NegotiatedProtocol != "http/1.1" {
				t.Errorf("state: %v %x %q", ok, st.Version, st.NegotiatedProtocol)
			}
			_ = s.Close()
			if err := l.readErr(c); err != io.EOF {
				t.Errorf("end: %v", err)
			}
			_ = c.Close()
		}
	}
}

// A caller that takes a little per event is reminded until all is read,
// although the socket below is long empty.
func TestTLSReminds(t *testing.T) {
	l := newLoop(t)
	client, server := tlsConfigs(t)
	c, s := l.connectTLS(l.listen("127.0.0.1:0", Options{}), client, server)
	l.send(c, pattern(10_000))
	var evs []Event
	var b [100]byte
	got := 0
	for end := time.Now().Add(5 * time.Second); got < 10_000; {
		if time.Now().After(end) {
			t.Fatalf("stuck after %d bytes", got)
		}
		evs, _ = l.pollers[0].Poll(evs[:0], time.Second)
		times := 0
		for _, ev := range evs {
			if ev.Stream == s {
				times++
				n, _, _ := s.Read(b[:])
				got += n
			}
		}
		if times > 1 {
			t.Fatal("reported twice in one Poll")
		}
	}
	l.until("quiet", func() bool { _, _, err := s.Read(b[:]); return errors.Is(err, ErrWouldBlock) })
	evs, _ = l.pollers[0].Poll(evs[:0], 5*time.Millisecond)
	for _, ev := range evs { // the client's end may have a session ticket to read
		if ev.Stream == s {
			t.Errorf("read to the end, but still reports %v", ev.Flags)
		}
	}
}

// A peer that does not read: writes are whole or refused, memory is bounded,
// and nothing is lost when it reads again.
func TestTLSWritesAreNeverShort(t *testing.T) {
	l := newLoop(t, PollerConfig{}, PollerConfig{})
	client, server := tlsConfigs(t)
	c, s := l.connectTLS(l.listen("127.0.0.1:0", Options{NoDelay: true, RcvBuf: 8 << 10, SndBuf: 8 << 10}), client, server)
	chunk := pattern(30_000)
	sent := 0
	for {
		n, err := c.Write(chunk)
		if n != 0 && n != len(chunk) {
			t.Fatalf("short write of %d", n)
		}
		if errors.Is(err, ErrWouldBlock) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if sent++; sent > 2000 {
			t.Fatal("unbounded")
		}
	}
	if p := c.(*tlsStream).pipe.pending(); p > TLSPending+32_000 {
		t.Errorf("%d bytes pending", p)
	}
	c.WantWrite(true)
	delete(l.seen, c)
	for range sent {
		if got := l.recv(s, len(chunk)); !bytes.Equal(got, chunk) {
			t.Fatal("bytes differ")
		}
	}
	l.until("writable again", func() bool { return l.seen[c]&Writable != 0 })
}

func TestTLSResumes(t *testing.T) {
	l := newLoop(t)
	client, server := tlsConfigs(t)
	ln := l.listen("127.0.0.1:0", Options{})
	for i := range 2 {
		c, s := l.connectTLS(ln, client, server)
		l.send(s, []byte("x"))
		l.recv(c, 1) // the ticket comes before it
		if st, _ := TLSState(c); st.DidResume != (i == 1) {
			t.Errorf("connection %d: resumed %v", i, st.DidResume)
		}
		_, _ = c.Close(), s.Close()
	}
}

func TestTLSCertificateErrors(t *testing.T) {
	good, pool := certificate(t, "relay.test", time.Hour)
	expired, expiredPool := certificate(t, "relay.test", -time.Minute)
	for name, tc := range map[string]struct {
		cert tls.Certificate
		pool *x509.CertPool
		ask  string
		want string
	}{
		"wrong name": {good, pool, "other.test", "relay.test, not other.test"},
		"expired":    {expired, expiredPool, "relay.test", "expired"},
		"unknown CA": {good, x509.NewCertPool(), "relay.test", "unknown authority"},
	} {
		l := newLoop(t)
		raw, err := l.pollers[0].Dial(DialOptions{Addr: l.listenTLS(&tls.Config{Certificates: []tls.Certificate{tc.cert}})})
		if err != nil {
			t.Fatal(err)
		}
		c, err := TLSClient(raw, l.pollers[0], ClientConfig(&tls.Config{RootCAs: tc.pool}, tc.ask), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		l.until("refusal", func() bool { return l.seen[c]&(Closed|Connected) != 0 })
		var ce *CertificateError
		if err := l.errs[c]; !errors.As(err, &ce) || !strings.Contains(err.Error(), tc.want) ||
			!strings.Contains(err.Error(), "certificate of "+tc.ask) || ce.Subject != "CN=relay.test" {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: read after refusal: %v", name, err)
		}
	}
}

// listenTLS serves handshakes with the standard library.
func (l *loop) listenTLS(cfg *tls.Config) netip.AddrPort {
	l.t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	}()
	l.t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func TestTLSHandshakeFailures(t *testing.T) {
	client, server := tlsConfigs(t)
	cases := map[string]struct {
		peer func(net.Conn)
		is   error
	}{
		"silent":   {func(net.Conn) {}, ErrHandshakeTimeout},
		"hangs up": {func(c net.Conn) { _ = c.Close() }, nil},
		"garbage":  {func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, nil},
		"reset":    {func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }, syscall.ECONNRESET},
	}
	for name, tc := range cases {
		for _, side := range []string{"client", "server"} {
			l := newLoop(t)
			ln := l.listen("127.0.0.1:0", Options{})
			peer, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			var s Stream
			deadline := time.Now().Add(100 * time.Millisecond)
			if name != "silent" {
				deadline = time.Now().Add(4 * time.Second)
			}
			if side == "client" {
				s, err = TLSClient(l.accept(ln), l.pollers[0], client, deadline)
			} else {
				s, err = TLSServer(l.accept(ln), l.pollers[0], server, deadline)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, _, rerr := s.Read(make([]byte, 1))
			_, werr := s.Write([]byte("x"))
			if !errors.Is(rerr, ErrWouldBlock) || !errors.Is(werr, ErrWouldBlock) {
				t.Errorf("during the handshake: %v, %v", rerr, werr)
			}
			tc.peer(peer)
			l.until(name, func() bool { return l.seen[s]&(Closed|Connected) != 0 })
			if err := l.errs[s]; err == nil || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%s, %s: %v", side, name, err)
			}
			_ = peer.Close()
		}
	}
}

// Streams closed, and pollers closed, in mid-handshake free everything.
func TestTLSClosedInHandshake(t *testing.T) {
	client, _ := tlsConfigs(t)
	before := countFds()
	p, err := KernelTransport().NewPoller(PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		s, err := p.Dial(DialOptions{Addr: ln.Addr().(*net.TCPAddr).AddrPort()})
		if err != nil {
			t.Fatal(err)
		}
		ts, err := TLSClient(s, p, client, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = p.Poll(nil, 5*time.Millisecond)
		if i%2 == 0 {
			_ = ts.Close()
		}
	}
	_, _ = p.Poll(nil, 5*time.Millisecond)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	_ = ln.Close()
	if n := countFds(); n > before+2 {
		t.Errorf("%d descriptors before, %d after", before, n)
	}
}

func TestTLSRefusedDial(t *testing.T) {
	client, _ := tlsConfigs(t)
	l := newLoop(t)
	ln := l.listen("127.0.0.1:0", Options{})
	addr := ln.Addr()
	_ = ln.Close()
	s, err := l.pollers[0].Dial(DialOptions{Addr: addr})
	if err != nil {
		t.Skip("refused at once:", err)
	}
	c, err := TLSClient(s, l.pollers[0], client, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	l.until("refusal", func() bool { return l.seen[c]&Closed != 0 })
	if !errors.Is(l.errs[c], syscall.ECONNREFUSED) || l.seen[s] != 0 {
		t.Errorf("%v; events of the stream below: %v", l.errs[c], l.seen[s])
	}
}

// TLS streams move between pollers and become net.Conns, with what was read.
func TestTLSAdoptAndNetConn(t *testing.T) {
	l := newLoop(t, PollerConfig{}, PollerConfig{})
	client, server := tlsConfigs(t)
	c, s := l.connectTLS(l.listen("127.0.0.1:0", Options{}), client, server)
	s.SetData("mine")
	if err := l.pollers[0].Release(s); err != nil {
		t.Fatal(err)
	}
	if err := l.pollers[1].Adopt(s); err != nil {
		t.Fatal(err)
	}
	l.send(c, []byte("GET / HTTP/1.1\r\n"))
	if got := l.recv(s, 5); string(got) != "GET /" || s.Data() != "mine" {
		t.Fatalf("%q, %v", got, s.Data())
	}
	nc, err := NetConn(s, []byte("GET /"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(3 * time.Second))
	b := make([]byte, 16)
	if _, err := io.ReadFull(nc, b); err != nil || string(b) != "GET / HTTP/1.1\r\n" {
		t.Fatalf("%q, %v", b, err)
	}
	if st, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); !ok || !st.ConnectionState().HandshakeComplete {
		t.Error("no TLS state on the net.Conn")
	}
	if _, err := Granted(nc, false); err != nil {
		t.Error(err)
	}
	if _, err := nc.Write([]byte("200 OK")); err != nil {
		t.Fatal(err)
	}
	if got := l.recv(c, 6); string(got) != "200 OK" {
		t.Errorf("client got %q", got)
	}
}

func TestTLSNeedsItsConfig(t *testing.T) {
	l := newLoop(t)
	c, s := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{})
	if _, err := TLSClient(c, l.pollers[0], &tls.Config{}, time.Time{}); err == nil {
		t.Error("client without a name")
	}
	if _, err := TLSServer(s, l.pollers[0], &tls.Config{}, time.Time{}); err == nil {
		t.Error("server without a certificate")
	}
}
