package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"tickrelay/nettune"
)

// TLSConfig makes the gateway's port speak TLS, for WebSocket and HTTP alike. The
// first byte of a connection tells TLS from plain text (RFC 8446, section 5.1: a
// handshake record begins with 22).
type TLSConfig struct {
	// Cert is a PEM file with the certificate and its chain, Key one with its private
	// key. Both are read again when they change and at Gateway.Reload; what cannot be
	// used is reported and leaves the pair in force alone.
	Cert, Key string
	// AllowPlain serves plain text on the same port too. Else it is refused with an
	// answer that says so.
	AllowPlain bool
}

// recordHandshake is the first byte of a TLS connection.
const recordHandshake = 22

// plainRefused answers plain HTTP on a port that wants TLS.
const plainRefused = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 48\r\n\r\n" +
	"this port speaks TLS: use https:// or wss:// it\n"

// certificate is the key pair in force. Any goroutine may read it.
type certificate struct {
	cfg     atomic.Pointer[TLSConfig]
	current atomic.Pointer[tls.Certificate]
	now     func() time.Time
}

// newCertificate loads the pair for the first time.
func newCertificate(cfg TLSConfig) (*certificate, error) {
	c := &certificate{now: time.Now}
	c.cfg.Store(&cfg)
	return c, c.load()
}

// load reads the pair and puts it in force, if it can be used at all. A pair out of
// its time never replaces one that is in it.
func (c *certificate) load() error {
	if c == nil {
		return nil
	}
	cfg := c.cfg.Load()
	pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return fmt.Errorf("relay: certificate %s with key %s: %w", cfg.Cert, cfg.Key, err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("relay: certificate %s: %w", cfg.Cert, err)
		}
	}
	now := c.now()
	if err := inTime(pair.Leaf, now); err != nil {
		if old := c.current.Load(); old == nil || inTime(old.Leaf, now) == nil {
			return fmt.Errorf("relay: certificate %s: %w", cfg.Cert, err)
		}
	}
	c.current.Store(&pair)
	return nil
}

func inTime(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%w: not before %s", errEarly, leaf.NotBefore.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return errors.New("expired at " + leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// server is the configuration of all connections; the ticket keys with which clients
// resume live in it, and outlive the certificate.
func (c *certificate) server() *tls.Config {
	return nettune.ServerConfig(&tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	})
}

// sniff looks at the first byte that a client sent and reports whether the bytes read
// so far are plain text to go on with. A TLS connection begins its handshake instead.
func (a *acceptor) sniff(h *head) bool {
	h.sniffed = true
	if h.bytes[0] != recordHandshake {
		if a.tls == nil || a.g.live.Load().plain {
			return true
		}
		_, _ = h.stream.Write([]byte(plainRefused))
		a.refuse(h, refusedPlain, "")
		return false
	}
	if a.tls == nil {
		a.refuse(h, refusedTLS, "")
		return false
	}
	already := h.bytes
	h.bytes = nil
	s, err := nettune.TLSServerAfter(h.stream, a.poller, a.tls, h.deadline, already)
	if err != nil {
		a.refuse(h, refusedTLS, "")
		return false
	}
	h.stream = s // events name it, and carry h, from now on
	return false
}
