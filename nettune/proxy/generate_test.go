package proxy

import (
	"bytes"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files")

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// Golden configurations. A test of its own gives each to nginx -t and haproxy -c.
var goldens = []struct {
	name string
	cfg  Config
}{
	{"plain", Config{}},
	{"full", Config{
		Gateways: []string{"10.0.0.5:8080", "10.0.0.6:8080"}, Sources: addrs("10.0.0.2", "10.0.0.3", "10.0.0.4"),
		Listen: "192.0.2.10:443", ServerName: "md.example.net", TLSCert: "/etc/tickrelay/tls.pem", TLSKey: "/etc/tickrelay/tls.pem.key",
		MaxConns: 50000, MaxPerClient: 20, PingInterval: 15 * time.Second, FastOpen: true}},
	{"proxyprotocol", Config{ProxyProtocol: true, Sources: addrs("10.0.0.2", "fd00::2"), TLSCert: "/etc/tickrelay/tls.pem",
		MaxPerClient: 20, PingInterval: 1500 * time.Millisecond, FastOpen: true}},
}

var writers = map[string]func(io.Writer, Config) error{"nginx.conf": Nginx, "haproxy.cfg": HAProxy}

func TestGolden(t *testing.T) {
	for _, g := range goldens {
		for kind, write := range writers {
			file := filepath.Join("testdata", g.name+"."+kind)
			var got bytes.Buffer
			if err := write(&got, g.cfg); err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s differs (rewrite it with -update): %s", file, firstDifference(got.String(), string(want)))
			}
			r, err := Check(CheckOptions{PingInterval: g.cfg.withDefaults().PingInterval, MaxConns: g.cfg.withDefaults().MaxConns}, file)
			if err != nil {
				t.Fatal(err)
			}
			// The stream module's file may lie on this host or not.
			if r.Failed() || len(r.Judged) == 0 {
				t.Errorf("%s does not pass the check: judged %v, %v", file, r.Judged, r.Findings)
			}
		}
	}
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range la {
		if i >= len(lb) || la[i] != lb[i] {
			return la[i]
		}
	}
	return "shorter"
}

func TestConfigRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string // in the error
	}{
		{Config{Gateways: []string{"gateway:8080"}}, "gateway"},
		{Config{Gateways: []string{"10.0.0.1"}}, "IP:PORT"},
		{Config{Gateways: []string{"10.0.0.1:0"}}, "IP:PORT"},
		{Config{Gateways: []string{"[fe80::1%eth0]:8080"}}, "IP:PORT"},
		{Config{Sources: addrs("0.0.0.0")}, "source"},
		{Config{Sources: []netip.Addr{{}}}, "source"},
		{Config{Listen: "443"}, "listen"},
		{Config{Listen: ":0"}, "listen"},
		{Config{Listen: "md.example.net:443"}, "listen"},
		{Config{ServerName: "a; return 200"}, "server name"},
		{Config{ServerName: "a\nlisten 1"}, "server name"},
		{Config{ServerName: "$host"}, "server name"},
		{Config{TLSCert: "/etc/{x}"}, "certificate"},
		{Config{TLSKey: "/etc/k"}, "without a certificate"},
		{Config{MaxConns: -1}, "connections"},
		{Config{MaxPerClient: -1}, "per client"},
		{Config{PingInterval: time.Millisecond}, "ping interval"},
	} {
		for kind, write := range writers {
			var out bytes.Buffer
			err := write(&out, c.cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
				t.Errorf("%s %+v: %v, want an error about %q (%d bytes written)", kind, c.cfg, err, c.want, out.Len())
			}
		}
	}
	err := HAProxy(&bytes.Buffer{}, Config{TLSCert: "/a.pem", TLSKey: "/b.pem"})
	if err == nil || !strings.Contains(err.Error(), "/a.pem.key") {
		t.Errorf("haproxy with a key elsewhere: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string // empty: none
	}{
		{Config{MaxPerClient: 1}, ""},
		{Config{ProxyProtocol: true}, ""},
		{Config{}, "only client"},
		{Config{MaxPerClient: 1, MaxConns: 50_000}, "ports"},
		{Config{MaxPerClient: 1, MaxConns: 50_000, Sources: addrs("10.0.0.1", "10.0.0.2")}, ""},
	} {
		got := strings.Join(c.cfg.Warnings(), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.cfg, got, c.want)
		}
	}
}

func TestIdle(t *testing.T) {
	for _, c := range []struct {
		ping, idle time.Duration
		text       string
	}{{0, 2 * time.Minute, "120s"}, {800 * time.Millisecond, 3200 * time.Millisecond, "3200ms"}, {time.Hour, 4 * time.Hour, "14400s"}} {
		if got := (Config{PingInterval: c.ping}).Idle(); got != c.idle || moment(got) != c.text {
			t.Errorf("ping %s: %s, want %s", c.ping, moment(got), c.text)
		}
	}
}
