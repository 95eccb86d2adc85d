package md

import (
	"fmt"
	"strings"
)

// Pattern selects topics as NATS subjects do: "*" stands for one whole token,
// ">" at the end for one or more. The channel raw is selected only by a pattern
// that names it. The zero Pattern matches nothing. Patterns are comparable.
type Pattern struct {
	text string
	tok  [3]string
	n    int  // tokens before the tail
	tail bool // ends with ">"
}

// ParsePattern reads a pattern. What could match no topic is an error: an
// unknown venue or channel, a token that is not valid, ">" before the end,
// "*" as part of a token, or the wrong number of tokens.
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{text: s}
	rest, more := s, true
	for more {
		var t string
		t, rest, more = strings.Cut(rest, ".")
		if p.n == len(p.tok) || p.tail {
			return Pattern{}, fmt.Errorf("md: %w %q: want at most <venue>.<channel>.<symbol>, '>' only at the end", ErrTopic, s)
		}
		if t == ">" {
			p.tail = true
			continue
		}
		if err := checkPatternToken(p.n, t); err != nil {
			return Pattern{}, fmt.Errorf("md: %w %q: %v", ErrTopic, s, err)
		}
		p.tok[p.n] = t
		p.n++
	}
	if !p.tail && p.n < len(p.tok) {
		return Pattern{}, fmt.Errorf("md: %w %q: want <venue>.<channel>.<symbol>, or '>' at the end", ErrTopic, s)
	}
	return p, nil
}

func checkPatternToken(at int, t string) error {
	if t == "*" {
		return nil
	}
	if err := CheckToken(t); err != nil {
		return fmt.Errorf("token %q: %v", t, err)
	}
	if at == 0 {
		if _, ok := ParseVenue(t); !ok {
			return fmt.Errorf("unknown venue %q", t)
		}
	}
	if at == 1 {
		if _, ok := ParseChannel(t); !ok {
			return fmt.Errorf("unknown channel %q", t)
		}
	}
	return nil
}

// Match reports whether the pattern selects the topic. It allocates nothing.
func (p Pattern) Match(topic string) bool {
	v, rest, ok1 := strings.Cut(topic, ".")
	c, sym, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 {
		return false
	}
	return p.match(v, c, sym)
}

// MatchTopic is Match for a parsed topic.
func (p Pattern) MatchTopic(t Topic) bool {
	return p.match(t.Venue.String(), t.Channel.String(), t.Symbol)
}

func (p Pattern) match(v, c, sym string) bool {
	if p.n == 0 && !p.tail {
		return false
	}
	if c == "raw" && (p.n < 2 || p.tok[1] != "raw") {
		return false
	}
	got := [3]string{v, c, sym}
	for i := range p.n {
		if p.tok[i] != "*" && p.tok[i] != got[i] {
			return false
		}
	}
	return true
}

// Literal reports whether the pattern is the name of one topic.
func (p Pattern) Literal() bool {
	return p.n == 3 && p.tok[0] != "*" && p.tok[1] != "*" && p.tok[2] != "*"
}

// String is the text that was parsed.
func (p Pattern) String() string { return p.text }
