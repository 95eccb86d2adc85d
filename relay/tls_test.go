package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

// pki writes certificates for 127.0.0.1 below one authority.
type pki struct {
	t         testing.TB
	cert, key string
	ca        *x509.Certificate
	caKey     *ecdsa.PrivateKey
	pool      *x509.CertPool
	serial    int64
	early     time.Duration // how much later than two hours ago the next one is valid from
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	dir := t.TempDir()
	p := &pki{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	var err error
	if p.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &p.caKey.PublicKey, p.caKey)
	if err != nil {
		t.Fatal(err)
	}
	p.ca, _ = x509.ParseCertificate(der)
	p.pool.AddCert(p.ca)
	p.issue(time.Hour)
	return p
}

// issue writes the next certificate, its serial number one higher.
func (p *pki) issue(valid time.Duration) int64 {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.serial++
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(100 + p.serial), Subject: pkix.Name{CommonName: "relay"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(p.early - 2*time.Hour), NotAfter: time.Now().Add(valid)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, p.ca, &key.PublicKey, p.caKey)
	if err != nil {
		p.t.Fatal(err)
	}
	secret, _ := x509.MarshalPKCS8PrivateKey(key)
	p.write(p.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	p.write(p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return 100 + p.serial
}

func (p *pki) write(name string, text []byte) {
	p.t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pki) config() *TLSConfig { return &TLSConfig{Cert: p.cert, Key: p.key} }

func (p *pki) client() *tls.Config {
	return &tls.Config{RootCAs: p.pool, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
}

// dialTLS opens a WebSocket over TLS.
func dialTLS(t testing.TB, g *Gateway, cfg *tls.Config, protocols ...string) *wsClient {
	t.Helper()
	d := ws.Dialer{Protocols: protocols, Timeout: 10 * time.Second, TLSConfig: cfg}
	conn, br, _, err := d.Dial(context.Background(), "wss://"+g.Addr().String()+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = conn
	if br != nil {
		r = io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn)
	}
	t.Cleanup(func() { conn.Close() })
	return &wsClient{t: t, conn: conn, r: bufio.NewReaderSize(r, 64<<10)}
}

// logBuffer collects log lines of several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func tradeSource(t testing.TB) (*source, *md.Table) {
	tab := newTable(t)
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades)
	return s, tab
}

const tradeTopic = "binance.trades.BTC-USDT"

func TestTLSServesWebSocketAndHTTP(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		p := newPKI(t)
		s, tab := tradeSource(t)
		g := gateway(t, Config{Table: tab.View(), TLS: p.config()}, s.ring(1024))
		awaitTopics(t, g, 1)
		cfg := p.client()
		cfg.MaxVersion = version
		c := dialTLS(t, g, cfg, ProtocolJSON)
		c.send(`{"op":"subscribe","id":1,"topics":["%s"]}`, tradeTopic)
		c.want("subscribed", "")
		for i := range 100 {
			s.trade(tradeTopic, uint64(i), 100)
			if m := c.want("trade", tradeTopic); m.Seq != uint64(i+1) {
				t.Fatalf("seq %d, want %d", m.Seq, i+1)
			}
		}
		web := http.Client{Transport: &http.Transport{TLSClientConfig: p.client()}}
		res, err := web.Get("https://" + g.Addr().String() + "/api/v1/topics")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(string(body), tradeTopic) {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
}

// A reader that stops for a while gets every message after all: what TLS holds back
// is not lost and not mixed up.
func TestTLSSlowReaderLosesNothing(t *testing.T) {
	p := newPKI(t)
	s, tab := tradeSource(t)
	g := gateway(t, Config{Table: tab.View(), TLS: p.config(),
		Limits: Limits{QueueMessages: 1 << 20, QueueBytes: 64 << 20}}, s.ring(1<<14))
	awaitTopics(t, g, 1)
	c := dialTLS(t, g, p.client(), ProtocolJSON)
	c.send(`{"op":"subscribe","id":1,"topics":["%s"]}`, tradeTopic)
	c.want("subscribed", "")
	const n = 40_000 // 9 MB: more than the sockets hold
	for i := range n {
		s.trade(tradeTopic, uint64(i), 100)
		if i%8192 == 8191 {
			eventually(t, "the hub has read", func() bool { return s.end.Depth() < 4096 })
		}
	}
	for i := range n {
		if m := c.want("trade", tradeTopic); m.Seq != uint64(i+1) {
			t.Fatalf("seq %d, want %d", m.Seq, i+1)
		}
	}
}

func TestTLSNoGoroutinePerConnection(t *testing.T) {
	p := newPKI(t)
	s, tab := tradeSource(t)
	g := gateway(t, Config{Table: tab.View(), TLS: p.config()}, s.ring(1024))
	before := runtime.NumGoroutine()
	for range 100 {
		dialTLS(t, g, p.client())
	}
	eventually(t, "handshake goroutines gone", func() bool { return runtime.NumGoroutine() < before+20 })
	eventually(t, "all counted", func() bool { return g.connections() == 100 })
}

func TestTLSPlainText(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		p := newPKI(t)
		s, tab := tradeSource(t)
		cfg := p.config()
		cfg.AllowPlain = allowed
		g := gateway(t, Config{Table: tab.View(), TLS: cfg}, s.ring(1024))
		code, _, body := get(t, g, "/healthz")
		switch {
		case allowed && code != 200:
			t.Errorf("allowed: %d %s", code, body)
		case !allowed && (code != 400 || !strings.Contains(body, "speaks TLS")):
			t.Errorf("refused: %d %q", code, body)
		case !allowed: // counted after the answer is out
			eventually(t, "counted", func() bool { return g.accept.stats.refused[refusedPlain].Load() == 1 })
		}
		if allowed {
			dial(t, g, ProtocolJSON).quiet()
		}
		dialTLS(t, g, p.client()).quiet()
	}
}

func TestTLSRefusals(t *testing.T) {
	p := newPKI(t)
	s, tab := tradeSource(t)
	g := gateway(t, Config{Table: tab.View(), TLS: p.config()}, s.ring(1024))
	old := p.client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if c, err := tls.Dial("tcp", g.Addr().String(), old); err == nil {
		c.Close()
		t.Error("TLS 1.1 was accepted")
	}
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte{recordHandshake, 3, 1, 0, 5, 'n', 'o', 'i', 's', 'e'})
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("noise: %v", err)
	}
	eventually(t, "both counted", func() bool { return g.accept.stats.refused[refusedTLS].Load() == 2 })

	plain := gateway(t, Config{Table: tab.View()})
	if c, err := tls.Dial("tcp", plain.Addr().String(), p.client()); err == nil {
		c.Close()
		t.Error("TLS without a certificate")
	}
	eventually(t, "counted", func() bool { return plain.accept.stats.refused[refusedTLS].Load() == 1 })
}

// serial is that of the certificate which a new connection sees; resumed says whether
// it took up a session.
func serial(t *testing.T, g *Gateway, cfg *tls.Config) (n int64, resumed bool) {
	t.Helper()
	c, err := tls.Dial("tcp", g.Addr().String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	io.ReadAll(c) // TLS 1.3 sends its tickets after the handshake
	st := c.ConnectionState()
	return st.PeerCertificates[0].SerialNumber.Int64(), st.DidResume
}

func TestTLSReload(t *testing.T) {
	p := newPKI(t)
	s, tab := tradeSource(t)
	var log logBuffer
	g := gateway(t, Config{Table: tab.View(), TLS: p.config(), Log: log.logger()}, s.ring(1024))
	awaitTopics(t, g, 1)
	c := dialTLS(t, g, p.client(), ProtocolJSON)
	c.send(`{"op":"subscribe","id":1,"topics":["%s"]}`, tradeTopic)
	c.want("subscribed", "")
	seq := uint64(0)
	alive := func() {
		t.Helper()
		seq++
		s.trade(tradeTopic, seq, 100)
		if m := c.want("trade", tradeTopic); m.Seq != seq {
			t.Fatalf("seq %d, want %d", m.Seq, seq)
		}
	}
	cache := p.client()
	if n, resumed := serial(t, g, cache); n != 101 || resumed {
		t.Fatalf("serial %d, resumed %v", n, resumed)
	}
	alive()

	next := p.issue(time.Hour) // noticed without being told
	eventually(t, "the new certificate", func() bool { n, _ := serial(t, g, p.client()); return n == next })
	alive()
	if _, resumed := serial(t, g, cache); !resumed {
		t.Error("the session ticket did not outlive the certificate")
	}

	bad := []struct {
		name string
		do   func()
	}{
		{"no PEM", func() { p.write(p.cert, []byte("nothing")) }},
		{"another key", func() { p.issue(time.Hour); old, _ := os.ReadFile(p.key); p.issue(time.Hour); p.write(p.key, old) }},
		{"expired", func() { p.issue(-time.Minute) }},
		{"gone", func() { os.Remove(p.cert) }},
	}
	for _, b := range bad {
		b.do()
		if err := g.Reload(); err == nil {
			t.Errorf("%s: no error", b.name)
		}
		if n, _ := serial(t, g, p.client()); n != next {
			t.Errorf("%s: serial %d is in force", b.name, n)
		}
		alive()
	}
	if !strings.Contains(log.String(), "the old one stays in force") {
		t.Errorf("the log does not say so:\n%s", log.String())
	}
	next = p.issue(time.Hour)
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	if n, _ := serial(t, g, p.client()); n != next {
		t.Errorf("serial %d after all, want %d", n, next)
	}
	alive()
}

// TestTLSNotYetValid: a certificate that is there before its time comes into force
// then, and is reported once.
func TestTLSNotYetValid(t *testing.T) {
	p := newPKI(t)
	c, err := newCertificate(*p.config())
	if err != nil {
		t.Fatal(err)
	}
	first := c.current.Load()
	r := reloaders{log: slog.New(slog.DiscardHandler)}
	r.add("certificate", c.files, c.load)
	p.early = 3 * time.Hour
	next := p.issue(5 * time.Hour)
	if err := r.look(false); err == nil {
		t.Fatal("taken an hour before its time")
	}
	for range 3 {
		if err := r.look(false); err != nil || c.current.Load() != first {
			t.Fatalf("%v: reported again, or in force", err)
		}
	}
	if n := r.parts[0].failed.Load(); n != 1 {
		t.Errorf("%d failures counted, want 1", n)
	}
	c.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if err := r.look(false); err != nil {
		t.Fatal(err)
	}
	if n := c.current.Load().Leaf.SerialNumber.Int64(); n != next || r.parts[0].ok.Load() != 1 {
		t.Errorf("serial %d is in force, want %d", n, next)
	}
}

func TestTLSNeedsAPair(t *testing.T) {
	p := newPKI(t)
	for _, cfg := range []TLSConfig{{Cert: p.cert}, {Cert: p.cert, Key: p.cert}, {Cert: "/nowhere", Key: p.key}} {
		if g, err := New(Config{Listen: "127.0.0.1:0", Table: newTable(t).View(), TLS: &cfg}); err == nil {
			g.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
