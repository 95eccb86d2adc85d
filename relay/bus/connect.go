package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Pace of the connection to NATS.
const (
	reconnectWait   = 50 * time.Millisecond // between two tries, once round the servers
	reconnectJitter = 50 * time.Millisecond
	dialTimeout     = 2 * time.Second
	pingEvery       = 2 * time.Second // a server that died without a word is left after three
	writeWithin     = 10 * time.Second
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
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectJitter, reconnectJitter), nats.Timeout(dialTimeout),
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
	last := ""
	opts = append(opts, nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
		if text := explain(err); text != last {
			last = text
			log.Warn("NATS cannot be reached yet", "reason", text)
		}
	}))
	auth, err := c.Auth.options()
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
		log.Warn("NATS cannot be reached yet", "url", c.URL)
	}
	return nc, nil
}

func errOrClosed(err error) string {
	if err == nil {
		return "closed by the server"
	}
	return explain(err)
}

// explain says what to do about errors that a configuration causes.
func explain(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return "authorization refused: check user, password, token, creds_file or nkey_file: " + err.Error()
	case errors.Is(err, nats.ErrPermissionViolation):
		return "the account may not use that subject: " + err.Error()
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return "server and client do not agree on TLS: write tls:// and, for an authority of your own, tls.ca: " + err.Error()
	}
	return err.Error()
}

// options turn Auth into the client's. Secrets are read again at each connect
// where the library lets us, so that they can be renewed.
func (a *Auth) options() ([]nats.Option, error) {
	switch {
	case a.User != "":
		read := func() string { return secret(a.PasswordFile, a.PasswordEnv) }
		return []nats.Option{nats.UserInfoHandler(func() (string, string) { return a.User, read() })}, nil
	case a.TokenFile != "" || a.TokenEnv != "":
		return []nats.Option{nats.TokenHandler(func() string { return secret(a.TokenFile, a.TokenEnv) })}, nil
	case a.CredsFile != "":
		return []nats.Option{nats.UserCredentials(a.CredsFile)}, nil
	case a.NKeyFile != "":
		o, err := nats.NkeyOptionFromSeed(a.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("bus: nkey_file %s: %w", a.NKeyFile, err)
		}
		return []nats.Option{o}, nil
	}
	return nil, nil
}

// secret is the file's first line, or the variable's value.
func secret(file, env string) string {
	if file == "" {
		return os.Getenv(env)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimRight(line, "\r")
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
