package proxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// seeds are the tables' configurations and the golden ones.
func seeds(f *testing.F, suffix string) {
	f.Helper()
	goldens, err := filepath.Glob("testdata/*." + suffix)
	if err != nil || len(goldens) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, g := range goldens {
		data, err := os.ReadFile(g)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), "")
	}
	for _, c := range ngxCases {
		f.Add(c.conf, c.more["/etc/a"])
	}
	for _, c := range haCases {
		f.Add(c.conf, c.more)
	}
}

// judged holds what any report must keep to.
func judged(t *testing.T, r *Report, texts map[string]string, took time.Duration) {
	t.Helper()
	if took > 5*time.Second {
		t.Fatalf("took %s", took)
	}
	for _, f := range r.Findings {
		text, ok := texts[f.File]
		if !ok || f.Line < 1 || f.Line > strings.Count(text, "\n")+1 {
			t.Fatalf("no such place: %s", f)
		}
		if f.Severity != Error && f.Severity != Warning && f.Severity != Note || f.Why == "" || f.Fix == "" {
			t.Fatalf("%+v", f)
		}
	}
	if len(r.Judged) == 0 && !r.Failed() {
		t.Fatal("nothing was judged, and that is no finding")
	}
}

func FuzzCheckNginx(f *testing.F) {
	seeds(f, "nginx.conf")
	f.Fuzz(func(t *testing.T, main, included string) {
		texts := map[string]string{"/etc/main": main, "/etc/a": included}
		start := time.Now()
		if r, err := check(files(texts), CheckOptions{Kind: "nginx", MaxConns: 30000}, []string{"/etc/main"}); err == nil {
			judged(t, r, texts, time.Since(start))
		}
	})
}

func FuzzCheckHAProxy(f *testing.F) {
	seeds(f, "haproxy.cfg")
	f.Fuzz(func(t *testing.T, main, second string) {
		texts := map[string]string{"/etc/main": main, "/etc/a": second}
		start := time.Now()
		if r, err := check(files(texts), CheckOptions{Kind: "haproxy", MaxConns: 30000}, []string{"/etc/main", "/etc/a"}); err == nil {
			judged(t, r, texts, time.Since(start))
		}
	})
}

// FuzzConfig: whatever the values, what is written passes the check, so that none of
// them has been read as something else.
func FuzzConfig(f *testing.F) {
	f.Add("127.0.0.1:8080", ":80", "a.example", "/c.pem", 100, int64(time.Second), true)
	f.Add("[::1]:1", "10.0.0.1:443", "a;b", "/c}", 1, int64(0), false)
	f.Fuzz(func(t *testing.T, gateway, listen, name, cert string, conns int, ping int64, pp bool) {
		cfg := Config{Gateways: []string{gateway}, Listen: listen, ServerName: name, TLSCert: cert, MaxConns: conns, PingInterval: time.Duration(ping), ProxyProtocol: pp, FastOpen: pp}
		for kind, write := range writers {
			var b strings.Builder
			if write(&b, cfg) != nil {
				continue
			}
			kind, _, _ = strings.Cut(kind, ".")
			texts := map[string]string{"/etc/main": b.String()}
			r, err := check(files(texts), CheckOptions{Kind: kind, PingInterval: cfg.withDefaults().PingInterval}, []string{"/etc/main"})
			if err != nil || r.Failed() || len(r.Judged) != 1 {
				t.Fatalf("%s: %v %+v\n%s", kind, err, r, b.String())
			}
		}
	})
}
