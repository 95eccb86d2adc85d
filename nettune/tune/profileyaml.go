package tune

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// LoadProfile reads a profile from a YAML file:
//
//	name: london                # default: the file's name
//	base: low-latency           # conservative (default), low-latency, aws-ena or none
//	path: {rtt: 80ms, bandwidth: 1Gbit}
//	knobs:
//	  net.ipv4.tcp_fastopen: 3
//	  net.ipv4.tcp_rmem: 4096 131072 33554432
//	  nic.rx-usecs: skip        # leave alone
//
// The error names every problem with file and line.
func LoadProfile(file string) (Profile, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Profile{}, fmt.Errorf("tune: profile: %w", err)
	}
	if len(data) > maxProfile {
		return Profile{}, fmt.Errorf("tune: profile %s: %d bytes, %d are the limit", file, len(data), maxProfile)
	}
	return ParseProfile(file, data)
}

const maxProfile = 1 << 20

// profileReader collects problems, so that all are named at once.
type profileReader struct {
	file     string
	problems []error
	p        Profile
	table    []Knob
}

// ParseProfile is LoadProfile of text that was read already; file is its name
// in errors.
func ParseProfile(file string, data []byte) (Profile, error) {
	r := &profileReader{file: file, table: Table(), p: Profile{Name: file, Base: "conservative", Values: map[string]string{}}}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		line, text := yamlError(err.Error())
		return Profile{}, fmt.Errorf("%s:%d: %s", file, line, text)
	}
	if len(f.Docs) > 1 {
		r.bad(f.Docs[1].Body, "a second YAML document; one is expected")
	}
	if len(f.Docs) > 0 && f.Docs[0].Body != nil {
		for _, kv := range r.pairs(f.Docs[0].Body, "the top level") {
			r.top(kv)
		}
	}
	if len(r.problems) > 0 {
		return Profile{}, errors.Join(r.problems...)
	}
	return r.p, nil
}

var yamlPos = regexp.MustCompile(`(?s)^\[(\d+):\d+\] ([^\n]*)`)

func yamlError(s string) (int, string) {
	if m := yamlPos.FindStringSubmatch(s); m != nil {
		line, _ := strconv.Atoi(m[1])
		return line, m[2]
	}
	first, _, _ := strings.Cut(s, "\n")
	return 1, first
}

func (r *profileReader) bad(n ast.Node, format string, args ...any) {
	line := 1
	if n != nil && n.GetToken() != nil {
		line = n.GetToken().Position.Line
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.file, line, fmt.Sprintf(format, args...)))
}

func (r *profileReader) pairs(n ast.Node, where string) []*ast.MappingValueNode {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}
	case *ast.NullNode:
		return nil
	}
	r.bad(n, "%s: keys and values are expected", where)
	return nil
}

// scalar is a single value's text as it was written.
func (r *profileReader) scalar(kv *ast.MappingValueNode) (string, bool) {
	s, ok := kv.Value.(ast.ScalarNode)
	if !ok || kv.Value.GetToken() == nil {
		r.bad(kv.Value, "%s: a single value is expected", key(kv))
		return "", false
	}
	if str, ok := s.GetValue().(string); ok {
		return str, true
	}
	return kv.Value.GetToken().Value, true
}

func key(kv *ast.MappingValueNode) string {
	if kv.Key == nil || kv.Key.GetToken() == nil {
		return ""
	}
	return kv.Key.GetToken().Value
}

func (r *profileReader) top(kv *ast.MappingValueNode) {
	switch k := key(kv); k {
	case "name", "base":
		v, ok := r.scalar(kv)
		switch {
		case !ok:
		case k == "name":
			r.p.Name = v
		case v != "none" && !slices.Contains(ProfileNames(), v):
			r.bad(kv.Value, "base %q: want none, %s", clip(v), strings.Join(ProfileNames(), ", "))
		default:
			r.p.Base = v
		}
	case "path":
		for _, sub := range r.pairs(kv.Value, "path") {
			r.path(sub)
		}
	case "knobs":
		for _, sub := range r.pairs(kv.Value, "knobs") {
			r.knob(sub)
		}
	default:
		r.bad(kv.Key, "unknown key %q; there are name, base, path, knobs", clip(k))
	}
}

func (r *profileReader) path(kv *ast.MappingValueNode) {
	v, ok := r.scalar(kv)
	if !ok {
		return
	}
	var err error
	switch key(kv) {
	case "rtt":
		if r.p.RTT, err = time.ParseDuration(v); err != nil || r.p.RTT < 0 || r.p.RTT > time.Minute {
			r.bad(kv.Value, "path.rtt %q: want a duration up to a minute, such as 80ms", clip(v))
		}
	case "bandwidth":
		if r.p.Bandwidth, err = ParseBandwidth(v); err != nil {
			r.bad(kv.Value, "path.%v", err)
		}
	default:
		r.bad(kv.Key, "unknown key %q in path; there are rtt, bandwidth", clip(key(kv)))
	}
}

func (r *profileReader) knob(kv *ast.MappingValueNode) {
	name := key(kv)
	i := slices.IndexFunc(r.table, func(k Knob) bool { return k.Name == name })
	if i < 0 {
		r.bad(kv.Key, "unknown knob %q; 'tickrelay tune knobs' lists them", clip(name))
		return
	}
	if _, twice := r.p.Values[name]; twice {
		r.bad(kv.Key, "knob %s is there twice", name)
		return
	}
	v, ok := r.scalar(kv)
	if !ok {
		return
	}
	k := &r.table[i]
	if v != skip {
		if !k.Writable() {
			r.bad(kv.Value, "knob %s is a check; the only value is skip", name)
			return
		}
		n, err := k.Format.normalize(v)
		if err != nil {
			r.bad(kv.Value, "knob %s: %v", name, err)
			return
		}
		v = n
	}
	r.p.Values[name] = v
}

// ParseBandwidth reads "1Gbit", "250Mbit", "64kbit" or a number of bit/s.
func ParseBandwidth(s string) (int64, error) {
	digits, unit := s, int64(1)
	for _, u := range []struct {
		suffix string
		mult   int64
	}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}} {
		if n := len(s) - len(u.suffix); n > 0 && strings.EqualFold(s[n:], u.suffix) {
			digits, unit = s[:n], u.mult
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > 1e13/unit {
		return 0, fmt.Errorf("bandwidth %q: want bits per second, such as 250Mbit or 10Gbit", clip(s))
	}
	return n * unit, nil
}
