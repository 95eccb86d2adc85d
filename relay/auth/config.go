package auth

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"tickrelay/ring/md"
)

// Config says whom to let in. At least one token or a JWT is needed.
type Config struct {
	// Tokens are secrets that clients present as they are.
	Tokens []Token
	// JWT, if not nil, lets in who presents a signed JSON Web Token.
	JWT *JWT
	// Log gets warnings about secrets that others can read, default: discarded.
	Log *slog.Logger
}

// Token is one secret. Exactly one of File and Env is set.
type Token struct {
	// Name stands for the token in logs, never the secret.
	Name string
	// File holds the secret (a line end behind it is ignored), Env names the
	// environment variable that does. 16 to 4,096 characters of A-Z a-z 0-9 - . _ ~,
	// so that it fits into every place that it is sent in.
	File, Env string
	// Topics are the patterns granted.
	Topics []string
	// Metrics grants /metrics.
	Metrics bool
}

// JWT says which JSON Web Tokens (RFC 7519) to believe. Keys may be given in several
// ways at once. A token needs the claim exp; nbf and iat are checked if there.
type JWT struct {
	// HS256File or HS256Env hold a shared secret of at least 32 bytes (RFC 7518,
	// section 3.2).
	HS256File, HS256Env string
	// PublicKeyFile is a PEM file: an RSA key of at least 2,048 bits (RS256), a P-256
	// key (ES256) or an Ed25519 key (EdDSA).
	PublicKeyFile string
	// JWKSFile is a JSON Web Key Set (RFC 7517) with such keys, chosen by kid.
	JWKSFile string
	// Issuer and Audience, if set, must be those of the token.
	Issuer, Audience string
	// Leeway is how far clocks may differ, at most 5 minutes.
	Leeway time.Duration
	// TopicsClaim names the claim with the patterns granted: an array of strings, or
	// one string with blanks in between. Default "topics". The claim "metrics": true
	// grants /metrics.
	TopicsClaim string
}

// Bounds of secrets.
const (
	minToken  = 16
	maxToken  = 4096
	minSecret = 32
	maxFile   = 1 << 20
)

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.JWT != nil {
		j := *c.JWT
		if j.TopicsClaim == "" {
			j.TopicsClaim = "topics"
		}
		c.JWT = &j
	}
	return c
}

func (c *Config) validate() error {
	if len(c.Tokens) == 0 && c.JWT == nil {
		return errors.New("auth: nobody could come in: want tokens or jwt")
	}
	var errs []error
	names := map[string]bool{}
	for i := range c.Tokens {
		t := &c.Tokens[i]
		switch {
		case t.Name == "" || t.Name != cleanName(t.Name):
			errs = append(errs, fmt.Errorf("auth: token %d: want a name of at most 64 printable characters", i))
		case names[t.Name]:
			errs = append(errs, fmt.Errorf("auth: a second token named %q", t.Name))
		case (t.File == "") == (t.Env == ""):
			errs = append(errs, fmt.Errorf("auth: token %q: want either a file or an environment variable", t.Name))
		}
		names[t.Name] = true
		if _, err := patterns(t.Topics); err != nil {
			errs = append(errs, fmt.Errorf("auth: token %q: %w", t.Name, err))
		}
	}
	if c.JWT != nil {
		errs = append(errs, c.JWT.validate())
	}
	return errors.Join(errs...)
}

// Validate names every problem that can be seen without reading a secret.
func (c Config) Validate() error {
	c = c.withDefaults()
	return c.validate()
}

func (j *JWT) validate() error {
	switch {
	case j.HS256File != "" && j.HS256Env != "":
		return errors.New("auth: jwt: the HS256 secret is either in a file or in an environment variable")
	case j.HS256File+j.HS256Env+j.PublicKeyFile+j.JWKSFile == "":
		return errors.New("auth: jwt: no key: want an HS256 secret, a public key or a JWKS")
	case j.Leeway < 0 || j.Leeway > 5*time.Minute:
		return fmt.Errorf("auth: jwt: leeway %s: want 0 to 5m", j.Leeway)
	}
	return nil
}

func patterns(topics []string) ([]md.Pattern, error) {
	out := make([]md.Pattern, 0, len(topics))
	for _, t := range topics {
		p, err := md.ParsePattern(t)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// files are those that secrets are read from.
func (c *Config) files() []string {
	var out []string
	for i := range c.Tokens {
		out = append(out, c.Tokens[i].File)
	}
	if j := c.JWT; j != nil {
		out = append(out, j.HS256File, j.PublicKeyFile, j.JWKSFile)
	}
	return slices.DeleteFunc(out, func(f string) bool { return f == "" })
}

// secret reads a file or a variable. Its errors name the place, never the content.
func (c *Config) secret(file, env string) ([]byte, error) {
	if env != "" {
		v, ok := os.LookupEnv(env)
		if !ok {
			return nil, fmt.Errorf("environment variable %s is not set", env)
		}
		return []byte(v), nil
	}
	text, err := c.read(file)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(file); err == nil && st.Mode().Perm()&0o007 != 0 {
		c.Log.Warn("everybody on this host can read a secret: chmod o= it", "file", file)
	}
	return bytes.TrimRight(text, "\r\n"), nil
}

func (c *Config) read(file string) ([]byte, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, want at most %d", file, st.Size(), maxFile)
	}
	return os.ReadFile(file)
}

// cleanName makes a name safe for logs.
func cleanName(s string) string {
	out := make([]rune, 0, min(len(s), 64))
	for _, r := range s {
		if len(out) == 64 {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
