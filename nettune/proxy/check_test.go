package proxy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// files is a source in memory.
func files(m map[string]string) source {
	return source{
		read: func(name string) ([]byte, error) {
			text, ok := m[name]
			if !ok {
				return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
			}
			return []byte(text), nil
		},
		glob: func(pattern string) ([]string, error) {
			var out []string
			for name := range m {
				ok, err := path.Match(pattern, name)
				if err != nil {
					return nil, err
				}
				if ok {
					out = append(out, name)
				}
			}
			return out, nil
		},
	}
}

// brief is a finding as the tables write it: file:line severity setting; the base
// name of the file is left out if it is the main one.
func brief(f Finding, main string) string {
	file := strings.TrimPrefix(f.File, "/etc/")
	if f.File == main {
		file = ""
	}
	return fmt.Sprintf("%s:%d %s %s", file, f.Line, f.Severity, f.Setting)
}

// wrong compares findings with lines of "file:line severity setting".
func wrong(r *Report, main, want string) string {
	var got []string
	for _, f := range r.Findings {
		got = append(got, brief(f, main))
		if f.Why == "" || f.Fix == "" || f.Setting == "" {
			return fmt.Sprintf("%+v says too little", f)
		}
	}
	var wanted []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			wanted = append(wanted, line)
		}
	}
	if !slices.Equal(got, wanted) {
		return "got\n\t" + strings.Join(got, "\n\t") + "\nwant\n\t" + strings.Join(wanted, "\n\t")
	}
	return ""
}

func TestCheckRefuses(t *testing.T) {
	many := map[string]string{"/etc/n": "include a; include a;", "/etc/a": "include b; include b;"}
	for i := 'b'; i < 'z'; i++ {
		many["/etc/"+string(i)] = fmt.Sprintf("x; include %c; include %c;", i+1, i+1)
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		o     CheckOptions
		args  []string
		want  string
	}{
		{"no file", nil, CheckOptions{}, nil, "no configuration file"},
		{"missing", nil, CheckOptions{}, []string{"/etc/n"}, "/etc/n"},
		{"open block", map[string]string{"/etc/n": "http {\nserver {\n"}, CheckOptions{}, []string{"/etc/n"}, "/etc/n:3: a block is not closed"},
		{"stray brace", map[string]string{"/etc/n": "a;\n}\n"}, CheckOptions{}, []string{"/etc/n"}, "/etc/n:2: unexpected \"}\""},
		{"no semicolon", map[string]string{"/etc/n": "http {\n a b\n}\n"}, CheckOptions{}, []string{"/etc/n"}, `/etc/n:2: "a" is not ended`},
		{"open quote", map[string]string{"/etc/n": "a 'b;\n"}, CheckOptions{}, []string{"/etc/n"}, "/etc/n:1: a quote"},
		{"deep", map[string]string{"/etc/n": strings.Repeat("a {", 100)}, CheckOptions{}, []string{"/etc/n"}, "nested deeper"},
		{"includes that multiply", many, CheckOptions{}, []string{"/etc/n"}, "too large"},
		{"two nginx files", map[string]string{"/etc/n": "a;", "/etc/m": "b;"}, CheckOptions{}, []string{"/etc/n", "/etc/m"}, "main file alone"},
		{"haproxy quote", map[string]string{"/etc/h": "global\n\tlog \"x\n"}, CheckOptions{}, []string{"/etc/h"}, "/etc/h:2: a \" quote"},
		{"haproxy before sections", map[string]string{"/etc/h": "maxconn 1\nglobal\n"}, CheckOptions{Kind: "haproxy"}, []string{"/etc/h"}, "/etc/h:1: \"maxconn\" stands before"},
		{"kind", map[string]string{"/etc/h": "global\n"}, CheckOptions{Kind: "caddy"}, []string{"/etc/h"}, "caddy"},
		{"path", map[string]string{"/etc/h": "global\n"}, CheckOptions{Path: "ws"}, []string{"/etc/h"}, "path"},
		{"gateway", map[string]string{"/etc/h": "global\n"}, CheckOptions{Gateway: "ws"}, []string{"/etc/h"}, "HOST:PORT"},
		{"ping", map[string]string{"/etc/h": "global\n"}, CheckOptions{PingInterval: -1}, []string{"/etc/h"}, "positive"},
		{"conns", map[string]string{"/etc/h": "global\n"}, CheckOptions{MaxConns: -1}, []string{"/etc/h"}, "connections"},
	} {
		_, err := check(files(c.files), c.o, c.args)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestDisk(t *testing.T) {
	if _, err := disk().read("/dev/zero"); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a device: %v", err)
	}
	if _, err := Check(CheckOptions{}, t.TempDir()+"/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestTell(t *testing.T) {
	for _, c := range []struct{ text, kind string }{
		{"# frontend\n\nglobal\n  daemon\n", "haproxy"}, {"frontend f # {\n", "haproxy"}, {"defaults unnamed", "haproxy"},
		{"user x;\nglobal", "nginx"}, {"server\n{", "nginx"}, {"", "nginx"}, {"http {}", "nginx"},
	} {
		if got := tell(c.text); got != c.kind {
			t.Errorf("%q: %s, want %s", c.text, got, c.kind)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		text    string
		nginx   time.Duration // -1: none
		haproxy time.Duration
	}{
		{"60", time.Minute, 60 * time.Millisecond}, {"60s", time.Minute, time.Minute}, {"500ms", 500 * time.Millisecond, 500 * time.Millisecond},
		{"1m30s", 90 * time.Second, -1}, {"1m 30s", 90 * time.Second, -1}, {"2h", 2 * time.Hour, 2 * time.Hour}, {"1M", 30 * 24 * time.Hour, -1},
		{"10us", -1, 10 * time.Microsecond}, {"1d", 24 * time.Hour, 24 * time.Hour}, {"", -1, -1}, {"s", -1, -1}, {"-1", -1, -1},
		{"99999999999999999999", -1, -1}, {"2147483647y", 1 << 61, -1},
	} {
		for kind, f := range map[string]func(string) (time.Duration, bool){"nginx": ngxTime, "haproxy": haTime} {
			want := map[string]time.Duration{"nginx": c.nginx, "haproxy": c.haproxy}[kind]
			got, ok := f(c.text)
			if ok != (want >= 0) || ok && got != want {
				t.Errorf("%s %q: %s %v, want %s", kind, c.text, got, ok, want)
			}
		}
	}
}
