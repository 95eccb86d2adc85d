package proxy

import (
	"regexp"
	"strings"
)

// ngxVars evaluates variables as they are when a client asks for a WebSocket.
type ngxVars struct {
	maps map[string]*directive // by the name of the variable that they set
	at   *scope
}

// maxVarDepth bounds maps of maps.
const maxVarDepth = 16

func newVars(http *directive, at *scope) *ngxVars {
	v := &ngxVars{maps: map[string]*directive{}, at: at}
	for _, d := range http.block {
		if d.name == "map" && d.open {
			v.maps[strings.TrimPrefix(d.arg(1), "$")] = d
		}
	}
	return v
}

// expand replaces the variables in s. known is false if one of them cannot be known
// here; from is the map or set statement that gave the value, if one did.
func (v *ngxVars) expand(s string, depth int) (out string, known bool, from *directive) {
	var b strings.Builder
	known = true
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String(), known, from
		}
		name, tail := varName(rest)
		value, ok, src := v.value(name, depth)
		b.WriteString(value)
		known = known && ok
		if src != nil {
			from = src
		}
		s = tail
	}
}

// varName splits the name off what follows a dollar sign.
func varName(s string) (name, rest string) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		name, rest, _ = strings.Cut(inner, "}")
		return name, rest
	}
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= '0' && s[n] <= '9' || s[n] >= 'a' && s[n] <= 'z' || s[n] >= 'A' && s[n] <= 'Z') {
		n++
	}
	return s[:n], s[n:]
}

func (v *ngxVars) value(name string, depth int) (string, bool, *directive) {
	switch name {
	case "http_upgrade":
		return "websocket", true, nil
	case "http_connection":
		return "Upgrade", true, nil
	}
	if depth >= maxVarDepth {
		return "", false, nil
	}
	if m := v.maps[name]; m != nil {
		value, ok := v.lookup(m, depth)
		return value, ok, m
	}
	for s := v.at; s != nil; s = s.up {
		for _, d := range s.block {
			if d.name == "set" && d.arg(0) == "$"+name {
				value, ok, _ := v.expand(d.arg(1), depth+1)
				return value, ok, d
			}
		}
	}
	return "", false, nil
}

// lookup finds a map's value: exact words first, then regular expressions, then the
// default (ngx_http_map_module).
func (v *ngxVars) lookup(m *directive, depth int) (string, bool) {
	key, known, _ := v.expand(m.arg(0), depth+1)
	if !known {
		return "", false
	}
	var result *directive
	for _, d := range m.block {
		expr, isRegexp := strings.CutPrefix(d.name, "~")
		switch {
		case strings.EqualFold(strings.TrimPrefix(d.name, `\`), key):
			value, ok, _ := v.expand(d.arg(0), depth+1)
			return value, ok
		case isRegexp && (result == nil || result.name == "default"):
			if tail, fold := strings.CutPrefix(expr, "*"); fold {
				expr = "(?i)" + tail
			}
			if re, err := regexp.Compile(expr); err == nil && re.MatchString(key) {
				result = d
			}
		case d.name == "default" && result == nil:
			result = d
		}
	}
	if result == nil {
		return "", true // the default of a map without default
	}
	value, ok, _ := v.expand(result.arg(0), depth+1)
	return value, ok
}

// hasToken looks for a word in a list such as the Connection field's.
func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(t), token) {
			return true
		}
	}
	return false
}
