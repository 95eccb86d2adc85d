package wsconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/nettune"
)

// server accepts WebSocket connections with another implementation and hands
// each to serve.
func server(t testing.TB, cfg *tls.Config, serve func(net.Conn)) *net.TCPAddr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	if cfg != nil {
		ln = tls.NewListener(ln, cfg)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := ws.Upgrade(c); err == nil {
				serve(c)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return addr
}

// client is a connection with the loop that drives it.
type client struct {
	t testing.TB
	p nettune.Poller
	*Conn
	evs []nettune.Event
}

func dial(t testing.TB, addr *net.TCPAddr, cfg *tls.Config, pc nettune.PollerConfig) *client {
	t.Helper()
	p, err := nettune.KernelTransport().NewPoller(pc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	s, err := p.Dial(nettune.DialOptions{Addr: addr.AddrPort()})
	if err == nil && cfg != nil {
		s, err = nettune.TLSClient(s, p, cfg, time.Time{})
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, p: p, Conn: New(s, Config{Host: addr.String(), Path: "/ws"})}
	c.pump(func() bool {
		err := c.Handshake()
		if err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
			t.Fatal(err)
		}
		return err == nil
	})
	return c
}

// pump polls until ok, flushing as asked.
func (c *client) pump(ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			c.t.Fatal("timed out")
		}
		var err error
		if c.evs, err = c.p.Poll(c.evs[:0], time.Second); err != nil {
			c.t.Fatal(err)
		}
		for _, ev := range c.evs {
			if ev.Flags&nettune.Closed != 0 {
				c.t.Fatal(ev.Err)
			}
			if ev.Flags&nettune.Writable != 0 {
				if err := c.Flush(); err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
					c.t.Fatal(err)
				}
			}
		}
	}
}

// message waits for one message.
func (c *client) message() (op Op, p []byte, err error) {
	c.t.Helper()
	c.pump(func() bool {
		op, p, _, err = c.Read()
		return !errors.Is(err, nettune.ErrWouldBlock)
	})
	return op, p, err
}

// echo answers every message with itself, as gobwas/ws reads and writes it.
func echo(c net.Conn) {
	for {
		p, op, err := wsutil.ReadClientData(c)
		if err != nil {
			return
		}
		if err := wsutil.WriteServerMessage(c, op, p); err != nil {
			return
		}
	}
}

func testTLS(t testing.TB) (clientCfg, serverCfg *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"stream.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return nettune.ClientConfig(&tls.Config{RootCAs: pool}, "stream.test"),
		&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"http/1.1"}}
}

// Against another implementation, over real sockets, plain and TLS, sleeping
// and busy.
func TestAgainstGobwas(t *testing.T) {
	clientCfg, serverCfg := testTLS(t)
	for name, tc := range map[string]struct{ client, server *tls.Config }{"plain": {}, "TLS": {clientCfg, serverCfg}} {
		for _, busy := range []bool{false, true} {
			c := dial(t, server(t, tc.server, echo), tc.client, nettune.PollerConfig{Busy: busy})
			for _, n := range []int{0, 1, 125, 126, 65_535, 65_536, 900_000} {
				want := strings.Repeat("m", n)
				if err := c.WriteText([]byte(want)); err != nil {
					t.Fatal(err)
				}
				op, p, err := c.message()
				if err != nil || op != OpText || string(p) != want {
					t.Fatalf("%s, busy %v, %d bytes: op %d, %d bytes, %v", name, busy, n, op, len(p), err)
				}
			}
			if err := c.Close(1000, "done"); err != nil {
				t.Fatal(err)
			}
			var closed *ErrClosed
			if _, _, err := c.message(); !errors.As(err, &closed) || closed.Code != 1000 {
				t.Errorf("%s: close answered by %v", name, err)
			}
			_ = c.Stream().Close()
		}
	}
}

func TestSocketCutInMidFrame(t *testing.T) {
	addr := server(t, nil, func(c net.Conn) { _, _ = c.Write(serverFrame(fin|1, "Hello")[:4]) })
	c := dial(t, addr, nil, nettune.PollerConfig{})
	var cut *ErrCut
	if _, _, err := c.message(); !errors.As(err, &cut) || !cut.MidFrame || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

// No allocation per message over a real socket.
func TestSocketReadAllocatesNothing(t *testing.T) {
	frame := serverFrame(fin|1, strings.Repeat("x", 200))
	conns := make(chan net.Conn, 1)
	release := make(chan struct{})
	defer close(release)
	addr := server(t, nil, func(c net.Conn) { conns <- c; <-release })
	c := dial(t, addr, nil, nettune.PollerConfig{})
	peer := <-conns
	evs := make([]nettune.Event, 0, 8)
	n := testing.AllocsPerRun(300, func() {
		if _, err := peer.Write(frame); err != nil {
			t.Fatal(err)
		}
		for got := 0; got == 0; {
			evs, _ = c.p.Poll(evs[:0], time.Second)
			for {
				_, p, _, err := c.Read()
				if err != nil {
					break
				}
				if got++; len(p) != 200 {
					t.Fatal(len(p))
				}
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}
