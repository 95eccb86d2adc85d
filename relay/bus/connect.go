package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Pace of the connection to NATS.
const (
	reconnectWait = 50 * time.Millisecond // between two tries, once round the servers, and as much by chance
	refusedWait   = time.Second           // likewise, after a server refused us: it would do so 20 times a second
	dialTimeout   = 2 * time.Second
	pingEvery     = 2 * time.Second // a server that died without a word is left after three
	writeWithin   = 10 * time.Second
)

// events are what a connection tells; any goroutine.
type events struct {
	up, down func()
	slow     func() // messages were dropped because nobody took them
}

// connect opens a connection that is tried for ever; it need not stand yet when
// connect returns. what says in the log whose it is.
func (c *Config) connect(what string, ev events) (*nats.Conn, error) {
	log := c.Log.With("part", "bus", "connection", what)
	call := func(f func()) {
		if f != nil {
			f()
		}
	}
	opts := []nats.Option{
		nats.Name(c.Name + " " + what), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(writeWithin),
		nats.ConnectHandler(func(nc *nats.Conn) {
			log.Info("connected to NATS", "server", nc.ConnectedUrlRedacted())
			call(ev.up)
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connected to NATS again", "server", nc.ConnectedUrlRedacted())
			call(ev.up)
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if nc.IsClosed() {
				return
			}
			log.Warn("connection to NATS lost", "reason", errOrClosed(err))
			call(ev.down)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				call(ev.slow)
			}
			log.Warn("NATS reports", "err", explain(err))
		}),
	}
	opts = append(opts, retry(log)...)
	auth, err := c.Auth.options(log)
	if err != nil {
		return nil, err
	}
	opts = append(opts, auth...)
	if c.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(c.TLS.CA))
	}
	if c.TLS.Cert != "" {
		opts = append(opts, nats.ClientCert(c.TLS.Cert, c.TLS.Key))
	}
	nc, err := nats.Connect(c.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("bus: connect to %s: %s", c.URL, explain(err))
	}
	if !nc.IsConnected() {
		log.Warn("NATS cannot be reached yet: trying on", "url", c.URL)
	}
	return nc, nil
}

// retry has tries to connect reported, each reason once in a row, and spaced.
func retry(log *slog.Logger) []nats.Option {
	var refusal atomic.Bool // the last try ended with one
	last := ""
	return []nats.Option{
		nats.CustomReconnectDelay(func(int) time.Duration {
			wait := reconnectWait
			if refusal.Load() {
				wait = refusedWait
			}
			return wait + rand.N(wait)
		}),
		nats.ReconnectErrHandler(func(nc *nats.Conn, err error) {
			if err == nil { // the library's variable has moved on
				return
			}
			_ = nc.Status() // orders that reading before the next try
			refusal.Store(refused(err))
			if text := explain(err); text != last {
				last = text
				log.Warn("NATS cannot be reached yet", "reason", text)
			}
		}),
	}
}

// refused reports whether a server was there and did not want us.
func refused(err error) bool {
	var alert tls.AlertError
	var cert *tls.CertificateVerificationError
	for _, is := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrSecureConnRequired, nats.ErrSecureConnWanted, nats.ErrNkeysNotSupported} {
		if errors.Is(err, is) {
			return true
		}
	}
	return errors.As(err, &alert) || errors.As(err, &cert) || ourCertificate(err)
}

// ourCertificate reports whether a server does not take our certificate, or wants
// one. Under TLS 1.3 it says so after our side of the handshake is over: often all
// that is seen of it is a closed connection, which the client tells in these words.
func ourCertificate(err error) bool {
	return strings.Contains(err.Error(), "remote error: tls:") || errors.Is(err, nats.ErrTLS) && strings.Contains(err.Error(), "after TLS handshake")
}

func errOrClosed(err error) string {
	if err == nil {
		return "closed by the server"
	}
	return explain(err)
}

// explain says what to do about errors that a configuration causes.
func explain(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return "authorization refused: check user, password, token, creds_file or nkey_file: " + err.Error()
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return "the credentials are not valid any more: have new ones made: " + err.Error()
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return "the server knows no nkeys and no creds files: use user or token: " + err.Error()
	case errors.As(err, &unknown):
		return "the server's certificate is of an authority that is not known here: set tls.ca: " + err.Error()
	case errors.As(err, &host):
		return "the server's certificate is for another name: write that into url: " + err.Error()
	case ourCertificate(err):
		return "the server may want another certificate of ours: check tls.cert and tls.key: " + err.Error()
	case errors.Is(err, nats.ErrPermissionViolation):
		return "the account may not use that subject: " + err.Error()
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return "server and client do not agree on TLS: write tls:// and, for an authority of your own, tls.ca: " + err.Error()
	}
	return err.Error()
}

// pause waits, less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
