package proxy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scope is a block of nginx's and what it inherits from.
type scope struct {
	*directive
	up *scope
}

// find returns the statement in force: the nearest one outwards.
func (s *scope) find(name string) *directive {
	for ; s != nil; s = s.up {
		for _, d := range s.block {
			if d.name == name {
				return d
			}
		}
	}
	return nil
}

// all returns the statements in force of a directive that may be repeated: a block
// that has one of its own inherits none (proxy_set_header). hidden are those that
// it would have inherited.
func (s *scope) all(name string) (in, hidden []*directive) {
	for ; s != nil; s = s.up {
		for _, d := range s.block {
			switch {
			case d.name != name:
			case len(in) == 0 || slices.Contains(s.block, in[0]):
				in = append(in, d)
			default:
				hidden = append(hidden, d)
			}
		}
	}
	return in, hidden
}

// locate returns the location that nginx picks for a path (ngx_http_core_find_location):
// an exact one, else regular expressions in their order, else the longest prefix.
func (s *scope) locate(path string) *scope {
	var prefix *directive
	var patterns []*directive
	for _, d := range s.block {
		if d.name != "location" {
			continue
		}
		mod, val := "", d.arg(0)
		if len(d.args) > 1 {
			mod, val = d.arg(0), d.arg(1)
		} else if m := []string{"^~", "~*", "~", "="}; len(val) > 0 {
			// The blank after the modifier may be left out.
			for _, p := range m {
				if rest, ok := strings.CutPrefix(val, p); ok {
					mod, val = p, rest
					break
				}
			}
		}
		switch {
		case mod == "=":
			if val == path {
				return &scope{d, s}
			}
		case mod == "~" || mod == "~*":
			patterns = append(patterns, d)
		case strings.HasPrefix(val, "@"):
		case strings.HasPrefix(path, val) && (prefix == nil || len(val) > len(prefix.args[len(prefix.args)-1])):
			prefix = d
		}
	}
	var within *scope
	if prefix != nil {
		within = &scope{prefix, s}
		if inner := within.locate(path); inner != nil {
			return inner
		}
		if prefix.arg(0) == "^~" || len(prefix.args) == 1 && strings.HasPrefix(prefix.arg(0), "^~") {
			return within
		}
	}
	for _, d := range patterns {
		if d.matches(path) {
			at := &scope{d, s}
			if inner := at.locate(path); inner != nil {
				return inner
			}
			return at
		}
	}
	return within
}

// matches tests a location's regular expression. One that Go cannot compile (PCRE
// has more) matches nothing.
func (d *directive) matches(path string) bool {
	expr := strings.TrimPrefix(d.args[len(d.args)-1], "~")
	fold := d.arg(0) == "~*" || len(d.args) == 1 && strings.HasPrefix(expr, "*")
	if len(d.args) == 1 {
		expr = strings.TrimPrefix(expr, "*")
	}
	if fold {
		expr = "(?i)" + expr
	}
	re, err := regexp.Compile(expr)
	return err == nil && re.MatchString(path)
}

// named returns the location @name of the server that s is in.
func (s *scope) named(name string) *scope {
	for ; s != nil; s = s.up {
		for _, d := range s.block {
			if d.name == "location" && d.arg(0) == name {
				return &scope{d, s}
			}
		}
	}
	return nil
}

// ngxTime reads a time of nginx's: 60, 60s, 1m30s, 500ms. Units: ms s m h d w M y.
func ngxTime(s string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, true
	}
	units := []struct {
		name string
		unit time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour},
		{"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"M", 30 * 24 * time.Hour}, {"y", 365 * 24 * time.Hour}}
	var sum time.Duration
	rest := s
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseUint(rest[:digits], 10, 31)
		if err != nil {
			return 0, false
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		unit := time.Second
		for _, u := range units {
			if tail, ok := strings.CutPrefix(rest, u.name); ok {
				unit, rest = u.unit, strings.TrimLeft(tail, " ")
				break
			}
		}
		if time.Duration(n) > (1<<62)/unit || sum > 1<<61 {
			return 1 << 61, true
		}
		sum += time.Duration(n) * unit
	}
	return sum, s != ""
}
