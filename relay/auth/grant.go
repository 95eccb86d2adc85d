package auth

import (
	"strings"
	"sync/atomic"
	"time"

	"tickrelay/ring/md"
)

// Grant is what one client may do. It never changes, but for being revoked; any
// goroutine may use it.
type Grant struct {
	// Name says who it is, for logs: the token's name or the JWT's subject, at most
	// 64 characters, printable.
	Name string
	// Topics are the patterns of the topics that it may have. The channel raw is
	// covered only by patterns that name it, as in binance.raw.>.
	Topics []md.Pattern
	// Metrics says that /metrics is allowed.
	Metrics bool
	// Expires is when it ends, zero: never.
	Expires time.Time

	open    bool
	revoked atomic.Bool
}

// Open grants everything to everybody.
func Open() *Grant { return &Grant{open: true, Metrics: true} }

// Topic reports whether the topic of this name may be had.
func (g *Grant) Topic(name string) bool {
	switch {
	case g == nil:
		return false
	case g.open:
		return true
	}
	for _, p := range g.Topics {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// Open reports whether everything is granted.
func (g *Grant) Open() bool { return g != nil && g.open }

// Raw reports whether a venue's own frames may be had.
func (g *Grant) Raw(venue string) bool { return g.Topic(venue + ".raw._") }

// Any reports whether some topic that the pattern selects may be had, one that does
// not exist yet included.
func (g *Grant) Any(p md.Pattern) bool {
	switch {
	case g == nil:
		return false
	case g.open:
		return true
	}
	for _, q := range g.Topics {
		if overlap(q.String(), p.String()) {
			return true
		}
	}
	return false
}

// overlap reports whether two patterns have a topic in common.
func overlap(a, b string) bool {
	at, bt := strings.Split(a, "."), strings.Split(b, ".")
	raw := func(t []string) bool { return len(t) > 1 && t[1] == "raw" }
	if raw(at) != raw(bt) {
		return false
	}
	for i := range min(len(at), len(bt)) {
		if at[i] == ">" || bt[i] == ">" {
			return true
		}
		if at[i] != "*" && bt[i] != "*" && at[i] != bt[i] {
			return false
		}
	}
	return len(at) == len(bt)
}

// Who is the grant's name, "" for that of everybody.
func (g *Grant) Who() string {
	if g == nil {
		return ""
	}
	return g.Name
}

// Revoke takes the grant away from who has it.
func (g *Grant) Revoke() { g.revoked.Store(true) }

// Revoked reports whether the secret that it was made of was taken away since.
func (g *Grant) Revoked() bool { return g != nil && g.revoked.Load() }

// Expired reports whether its time is over.
func (g *Grant) Expired(now time.Time) bool {
	return g != nil && !g.Expires.IsZero() && !now.Before(g.Expires)
}
