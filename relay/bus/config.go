package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"tickrelay/ring/md"
)

// Config says how to reach NATS and what the host does there. Zero fields take
// the default.
type Config struct {
	// URL is one server or several, separated by commas: nats://, tls://, ws:// or
	// wss://host[:port]. Required. Passwords do not belong into it.
	URL string
	// Name shows up in the servers' lists of connections.
	Name string
	// Prefix is put before every subject, tokens separated by dots. Default none.
	Prefix string
	Auth   Auth
	TLS    TLS
	Stream Stream
	// Lease is after how long without a word from the leader another host takes
	// over, 1 s to 5 min, default 5 s. The leader renews it five times as often and
	// stops publishing when it could not for four fifths of the time.
	Lease time.Duration
	// NoLease publishes without asking who leads, for servers without JetStream and
	// one host per venue. The epoch is then the time at which the process started.
	NoLease bool
	// KeyFrame is the time between two unasked key-frames of a topic, default 30 s.
	KeyFrame time.Duration
	// History is how far back a gateway reads the stream at its start, default 2 min;
	// it is also the default age of the stream.
	History time.Duration
	// Log gets state changes, default: discarded.
	Log *slog.Logger
}

// Auth says who we are. At most one way is set; secrets are in files or in
// environment variables.
type Auth struct {
	User         string
	PasswordFile string
	PasswordEnv  string
	TokenFile    string
	TokenEnv     string
	CredsFile    string // JWT and seed, as nsc writes them
	NKeyFile     string // seed of a user nkey
}

// TLS is what an encrypted connection needs beside the system's authorities.
// The zero value encrypts if the URL or the server wants it.
type TLS struct {
	CA        string // PEM file of authorities
	Cert, Key string // PEM files, for servers that want to know their clients
}

// Stream is the JetStream stream that holds the history. An existing one of
// that name is used as it is.
type Stream struct {
	Name     string        // "": no history
	Age      time.Duration // of the oldest message, default Config.History
	Bytes    int64         // most bytes, default 1 GiB
	Replicas int           // of the stream and of the leases, 1 to 5, default 1
	Memory   bool          // in the servers' memory instead of on disk
}

// WithDefaults fills in what is not set.
func (c Config) WithDefaults() Config {
	if c.Name == "" {
		c.Name = "tickrelay"
	}
	if c.Lease == 0 {
		c.Lease = 5 * time.Second
	}
	if c.KeyFrame == 0 {
		c.KeyFrame = 30 * time.Second
	}
	if c.History == 0 {
		c.History = 2 * time.Minute
	}
	if c.Stream.Age == 0 {
		c.Stream.Age = c.History
	}
	if c.Stream.Bytes == 0 {
		c.Stream.Bytes = 1 << 30
	}
	if c.Stream.Replicas == 0 {
		c.Stream.Replicas = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// FieldError names the part of a Config that is wrong, as the configuration
// file spells it.
type FieldError struct {
	Field string // "url", "stream.replicas" …
	Text  string
}

// Error is field and text.
func (e *FieldError) Error() string { return "bus: " + e.Field + ": " + e.Text }

// Validate names every mistake, each a *FieldError. It looks at files too.
func (c Config) Validate() []*FieldError {
	c = c.WithDefaults()
	var errs []*FieldError
	bad := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Sprintf(format, args...)})
	}
	c.validateURL(bad)
	if c.Prefix != "" {
		for t := range strings.SplitSeq(c.Prefix, ".") {
			if err := md.CheckToken(t); err != nil {
				bad("prefix", "%q: token %q: %v", c.Prefix, t, err)
			} else if strings.HasPrefix(t, "$") || t == internal {
				bad("prefix", "%q: the token %s is reserved", c.Prefix, t)
			}
		}
	}
	within := func(field string, d, least, most time.Duration) {
		if d < least || d > most {
			bad(field, "%s: want %s to %s", d, least, most)
		}
	}
	within("lease", c.Lease, time.Second, 5*time.Minute)
	within("keyframe", c.KeyFrame, time.Second, time.Hour)
	within("history", c.History, time.Second, 24*time.Hour)
	if s := c.Stream; s.Name != "" {
		if strings.ContainsAny(s.Name, ".*> /\\\t") || len(s.Name) > 255 {
			bad("stream", "%q: want a name without dots, blanks, slashes and wildcards", s.Name)
		}
		within("stream_age", s.Age, time.Second, 365*24*time.Hour)
		if s.Bytes < 1<<20 {
			bad("stream_bytes", "%d: want 1048576 or more", s.Bytes)
		}
	}
	if r := c.Stream.Replicas; r < 1 || r > 5 {
		bad("replicas", "%d: want 1 to 5", r)
	}
	c.Auth.validate(bad)
	c.TLS.validate(bad)
	return errs
}

func (c *Config) validateURL(bad func(string, string, ...any)) {
	if c.URL == "" {
		bad("url", "missing: want nats://host:4222, several separated by commas")
		return
	}
	for s := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		switch {
		case err != nil || u.Host == "" || u.Hostname() == "":
			bad("url", "%q: want nats://host:4222, several separated by commas", redact(s))
			continue
		case u.User != nil:
			bad("url", "%q: a name or password in the address would be logged: use user with password_file, token_file, creds_file or nkey_file", u.Redacted())
			continue
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			bad("url", "%q: scheme %q: want nats, tls, ws or wss", s, u.Scheme)
		}
	}
}

// redact keeps what may be a password out of an error.
func redact(s string) string {
	if _, host, ok := strings.Cut(s, "@"); ok {
		return "…@" + host
	}
	return s
}

// join makes one error of what Validate found.
func join(errs []*FieldError) error {
	var all []error
	for _, e := range errs {
		all = append(all, e)
	}
	return errors.Join(all...)
}
