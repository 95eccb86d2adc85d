package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tickrelay/ring/md"
)

// Errors of Verify. They say nothing about the token.
var (
	ErrMissing = errors.New("auth: no token")
	ErrUnknown = errors.New("auth: token not accepted")
	ErrExpired = errors.New("auth: token expired")
)

// Verifier checks tokens. Any goroutine may use it.
type Verifier struct {
	state atomic.Pointer[state]
	mu    sync.Mutex // of Load, and guards cfg
	cfg   Config
}

// state is what was read last; it never changes.
type state struct {
	tokens []token
	keys   *keys // nil: no JWT
}

type token struct {
	sum   [sha256.Size]byte // of the secret, which is kept nowhere
	grant *Grant
}

// New reads all secrets. Its error joins every problem.
func New(cfg Config) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg}
	v.state.Store(&state{})
	return v, v.Load()
}

// Files are those that Load reads.
func (v *Verifier) Files() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cfg.files()
}

// Reconfigure makes cfg the configuration and reads its secrets. With an error nothing
// has changed. Grants of tokens that are gone, or grant something else now, are revoked;
// those of JWTs stay until they expire.
func (v *Verifier) Reconfigure(cfg Config) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if cfg.Log == nil {
		cfg.Log = v.cfg.Log
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	old := v.cfg
	v.cfg = cfg
	if err := v.load(); err != nil {
		v.cfg = old
		return err
	}
	return nil
}

// Load reads the secrets again. With an error nothing has changed. Grants of tokens
// that are gone are revoked; those of JWTs stay until they expire.
func (v *Verifier) Load() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.load()
}

func (v *Verifier) load() error {
	old := v.state.Load()
	next := &state{}
	var errs []error
	for i := range v.cfg.Tokens {
		t, err := v.loadToken(&v.cfg.Tokens[i], old)
		if err != nil {
			errs = append(errs, fmt.Errorf("auth: token %q: %w", v.cfg.Tokens[i].Name, err))
			continue
		}
		if slices.ContainsFunc(next.tokens, func(o token) bool { return o.sum == t.sum }) {
			errs = append(errs, fmt.Errorf("auth: token %q: another one has the same secret", v.cfg.Tokens[i].Name))
		}
		next.tokens = append(next.tokens, t)
	}
	if v.cfg.JWT != nil {
		var err error
		if next.keys, err = v.cfg.loadKeys(); err != nil {
			errs = append(errs, fmt.Errorf("auth: jwt: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	v.state.Store(next)
	for _, o := range old.tokens {
		if !slices.ContainsFunc(next.tokens, func(n token) bool { return n.grant == o.grant }) {
			o.grant.revoked.Store(true)
		}
	}
	return nil
}

func (v *Verifier) loadToken(t *Token, old *state) (token, error) {
	text, err := v.cfg.secret(t.File, t.Env)
	if err != nil {
		return token{}, err
	}
	if len(text) < minToken || len(text) > maxToken || !fits(text) {
		return token{}, fmt.Errorf("want %d to %d characters of A-Z a-z 0-9 - . _ ~", minToken, maxToken)
	}
	sum := sha256.Sum256(text)
	for _, o := range old.tokens {
		if o.sum == sum && o.grant.Name == t.Name && o.grant.grants(t) {
			return o, nil
		}
	}
	topics, err := patterns(t.Topics)
	return token{sum, &Grant{Name: t.Name, Topics: topics, Metrics: t.Metrics}}, err
}

// grants reports whether a grant is what a token says.
func (g *Grant) grants(t *Token) bool {
	return g.Metrics == t.Metrics && slices.EqualFunc(g.Topics, t.Topics, func(p md.Pattern, s string) bool { return p.String() == s })
}

// fits reports whether a token can be sent in a header, a query and a subprotocol
// (RFC 3986, section 2.3: unreserved).
func fits(text []byte) bool {
	for _, b := range text {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-', b == '.', b == '_', b == '~':
		default:
			return false
		}
	}
	return true
}

// Verify returns what a token grants at a time. Errors are ErrMissing, ErrUnknown,
// ErrExpired, or wrap ErrUnknown with what a JWT's issuer did wrong.
func (v *Verifier) Verify(text string, now time.Time) (*Grant, error) {
	switch {
	case text == "":
		return nil, ErrMissing
	case len(text) > maxToken || !fits([]byte(text)):
		return nil, ErrUnknown
	}
	s := v.state.Load()
	// Sums of equal length are compared, and all of them: the time tells neither how
	// much of a guess was right nor which token it was.
	sum := sha256.Sum256([]byte(text))
	found := -1
	for i := range s.tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], s.tokens[i].sum[:]), i, found)
	}
	if found >= 0 {
		return s.tokens[found].grant, nil
	}
	if s.keys != nil {
		return s.keys.verify(text, now)
	}
	return nil, ErrUnknown
}
