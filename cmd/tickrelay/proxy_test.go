package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune/proxy"
)

// proxyRun runs one command line.
func proxyRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(context.Background(), append([]string{"proxy"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// TestProxyWriteAndCheck: what is written passes the check, by the exit code too.
func TestProxyWriteAndCheck(t *testing.T) {
	for _, kind := range []string{"nginx", "haproxy"} {
		for _, extra := range [][]string{nil, {"--proxy-protocol", "--source", "10.0.0.2", "--source", "10.0.0.3", "--fastopen", "--max-conns", "50000", "--max-per-client", "5"}} {
			code, conf, stderr := proxyRun(t, append([]string{kind, "--upstream", "10.0.0.1:8080", "--upstream", "10.0.0.9:8080", "--ping-interval", "20s", "--tls-cert", "/c.pem", "--server-name", "md.example.net"}, extra...)...)
			if code != exitDone || !strings.Contains(conf, "80s") || !strings.Contains(conf, "10.0.0.9:8080") {
				t.Fatalf("%s %v: exit %d %s\n%s", kind, extra, code, stderr, conf)
			}
			file := writeFile(t, kind+".conf", conf)
			if code, out, stderr := proxyRun(t, "check", "--ping-interval", "20s", "--upstream", "10.0.0.9:8080", file); code != exitDone || !strings.Contains(out, "nothing here cuts") {
				t.Errorf("%s %v: exit %d %s\n%s", kind, extra, code, stderr, out)
			}
			if code, _, stderr := proxyRun(t, "check", "--ping-interval", "80s", file); code != exitFailed || !strings.Contains(stderr, "errors") {
				t.Errorf("%s %v with slower pings: exit %d %s", kind, extra, code, stderr)
			}
		}
	}
}

func TestProxyCheckJSON(t *testing.T) {
	file := writeFile(t, "haproxy.cfg", "defaults\n timeout client 10s\n timeout server 1h\nlisten l\n server s 127.0.0.1:8080\n")
	code, out, _ := proxyRun(t, "check", "--json", filepath.Dir(file)) // a folder of *.cfg
	var r proxy.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if code != exitFailed || r.Kind != "haproxy" || r.Ping != 30*time.Second || len(r.Judged) != 1 || len(r.Findings) != 1 {
		t.Fatalf("exit %d, %+v", code, r)
	}
	if f := r.Findings[0]; f.File != file || f.Line != 2 || f.Severity != proxy.Error || f.Setting != "timeout client 10s" {
		t.Errorf("%+v", f)
	}
}

func TestProxyUsage(t *testing.T) {
	file := writeFile(t, "x.conf", "http {")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"caddy"}, exitUsage, "caddy"},
		{[]string{"check"}, exitUsage, "at least 1"},
		{[]string{"nginx", "x"}, exitUsage, "x"},
		{[]string{"nginx", "--source", "eth0"}, exitUsage, "--source"},
		{[]string{"nginx", "--upstream", "relay"}, exitUsage, "IP:PORT"},
		{[]string{"haproxy", "--tls-cert", "/a", "--tls-key", "/b"}, exitUsage, "/a.key"},
		{[]string{"check", file}, exitFailed, file + ":1: a block is not closed"},
		{[]string{"check", file + ".gone"}, exitFailed, "no such file"},
		{[]string{"check", filepath.Dir(file)}, exitFailed, "no *.cfg"},
	} {
		if code, out, stderr := proxyRun(t, c.args...); code != c.code || !strings.Contains(stderr, c.want) || out != "" {
			t.Errorf("%v: exit %d, %q, want %d and %q", c.args, code, stderr, c.code, c.want)
		}
	}
}

const proxyRelay = "listen: 0.0.0.0:9000\nproxy_protocol: [10.0.0.2, 10.1.0.0/16]\nlimits: {conns_per_address: 7, ping_interval: 10s}\n" +
	"feeds:\n  - {venue: okx, instruments: [BTC-USDT]}\n"

// TestProxyForRelay: the relay's own configuration says what the proxy must do.
func TestProxyForRelay(t *testing.T) {
	file := writeFile(t, "relay.yaml", proxyRelay)
	code, conf, stderr := proxyRun(t, "haproxy", "-c", file, "--source", "10.0.0.2", "--source", "10.2.0.1")
	if code != exitDone {
		t.Fatal(stderr)
	}
	for _, want := range []string{"127.0.0.1:9000 source 10.0.0.2", "send-proxy-v2", "timeout tunnel          40s"} {
		if !strings.Contains(conf, want) {
			t.Errorf("no %q in\n%s", want, conf)
		}
	}
	if !strings.Contains(stderr, "10.2.0.1") || strings.Contains(stderr, "10.0.0.2:") || strings.Contains(stderr, "not list 10.0.0.2") {
		t.Errorf("notes: %s", stderr)
	}
	if _, _, stderr := proxyRun(t, "haproxy", "-c", file, "--source", "10.0.0.2", "--proxy-protocol=false"); !strings.Contains(stderr, "without --proxy-protocol") {
		t.Errorf("notes: %s", stderr)
	}
	bad := writeFile(t, "h.cfg", "defaults\n timeout client 1h\n timeout server 1h\n timeout tunnel 15s\n timeout client-fin 1s\n timeout server-fin 1s\nlisten l\n server s 127.0.0.1:8080\n")
	if code, out, _ := proxyRun(t, "check", "-c", file, bad); code != exitFailed || !strings.Contains(out, "h.cfg:4: warning: timeout tunnel 15s") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestProxyRelayConfig(t *testing.T) {
	c, err := parseConfig("x.yaml", []byte(proxyRelay))
	if err != nil {
		t.Fatal(err)
	}
	nets := c.proxyNetworks(func(text string) { t.Error(text) })
	if len(nets) != 2 || nets[0].String() != "10.0.0.2/32" || nets[1].String() != "10.1.0.0/16" {
		t.Errorf("networks %v", nets)
	}
	if l := c.Limits.limits(); l.MaxConnsPerAddr != 7 || l.PingEvery != 10*time.Second {
		t.Errorf("limits %+v", l)
	}
	_, err = parseConfig("x.yaml", []byte("feeds:\n  - {venue: okx, instruments: [BTC-USDT]}\nproxy_protocol:\n  - 0.0.0.0/0\nlimits:\n  conns_per_address: -1\n  ping_interval: 5\n"))
	for _, want := range []string{"x.yaml:3: proxy_protocol: 0.0.0.0/0", "x.yaml:6: limits.conns_per_address", "x.yaml:7: limits.ping_interval"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
