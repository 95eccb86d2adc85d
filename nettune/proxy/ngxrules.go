package proxy

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// version wants HTTP/1.1 towards the gateway; 1.0 has no upgrade.
func (c *ngxCheck) version(s *scope, pass *directive) {
	const name, fix = "proxy_http_version", "proxy_http_version 1.1;"
	switch d := s.find(name); {
	case d == nil:
		c.r.add(pass.finding(Error, name, "not set, so that nginx speaks HTTP/1.0 to the gateway (before 1.29.7): no upgrade, every handshake fails", fix))
	case d.arg(0) != "1.1":
		c.r.add(d.finding(Error, d.text(), "a WebSocket needs HTTP/1.1 towards the gateway: every handshake fails", fix))
	}
	if d := s.find("proxy_pass_request_headers"); d != nil && d.arg(0) == "off" {
		c.r.add(d.finding(Error, d.text(), "the client's Sec-WebSocket-Key is not passed on: every handshake fails", "remove it"))
	}
}

// headers wants Upgrade and Connection passed on; both belong to one hop, nginx
// drops them unless told.
func (c *ngxCheck) headers(s *scope, pass *directive) {
	in, hidden := s.all("proxy_set_header")
	for _, h := range []struct{ name, token, fix string }{
		{"Upgrade", "websocket", "proxy_set_header Upgrade $http_upgrade;"},
		{"Connection", "upgrade", `proxy_set_header Connection $connection_upgrade; with map $http_upgrade $connection_upgrade { default upgrade; '' ''; } in http`},
	} {
		d := headerNamed(in, h.name)
		if d == nil {
			c.lacksHeader(h.name, h.fix, pass, in, headerNamed(hidden, h.name))
			continue
		}
		value, known, from := newVars(c.http.directive, s).expand(d.arg(1), 0)
		switch {
		case hasToken(value, h.token):
		case !known:
			c.r.add(d.finding(Warning, d.text(), "its value cannot be known from this configuration; it must be "+h.token+" when a client asks for an upgrade", h.fix))
		case from != nil:
			c.r.add(d.finding(Error, d.text(), fmt.Sprintf("%s (%s) makes it %q when a client asks for an upgrade, not %q: every handshake fails",
				from.text(), from.place, value, h.token), h.fix))
		default:
			c.r.add(d.finding(Error, d.text(), fmt.Sprintf("it is %q when a client asks for an upgrade, not %q: every handshake fails", value, h.token), h.fix))
		}
	}
}

func headerNamed(list []*directive, name string) *directive {
	for _, d := range list {
		if strings.EqualFold(d.arg(0), name) {
			return d
		}
	}
	return nil
}

func (c *ngxCheck) lacksHeader(name, fix string, pass *directive, in []*directive, lost *directive) {
	setting := "proxy_set_header " + name
	if lost != nil {
		// The trap that is hardest to see: it is there, and not in force.
		c.r.add(lost.finding(Error, lost.text(), fmt.Sprintf(
			"not in force for the proxy_pass at %s: a block with a proxy_set_header of its own (%s) inherits none: every handshake fails",
			pass.place, in[0].place), "repeat it there: "+fix))
		return
	}
	c.r.add(pass.finding(Error, setting, "not set, and nginx does not pass this field on by itself: every handshake fails", fix))
}

// times judges the time-outs of an upgraded connection.
func (c *ngxCheck) times(s *scope, pass *directive) {
	c.silence(s, pass, "proxy_read_timeout", "60s", "of both sides")
	// These two run only while one side takes no bytes.
	for _, name := range []string{"proxy_send_timeout", "send_timeout"} {
		d := s.find(name)
		if d == nil {
			continue
		}
		if t, ok := ngxTime(d.arg(0)); ok && t < c.o.SlowTimeout {
			c.r.add(d.finding(Warning, d.text(), fmt.Sprintf("a connection that takes no bytes for %s is cut by nginx, before the gateway (%s) closes it with a reason",
				show(t), show(c.o.SlowTimeout)), name+" "+moment(max(idleFactor*c.o.PingInterval, 3*c.o.SlowTimeout))+";"))
		}
	}
}

// silence judges a time-out with its default.
func (c *ngxCheck) silence(s *scope, pass *directive, name, byDefault, whose string) {
	fix := name + " " + c.o.enough() + ";"
	at, setting, value := pass.place, name+" "+byDefault+" (the default)", byDefault
	if d := s.find(name); d != nil {
		at, setting, value = d.place, d.text(), d.arg(0)
	}
	t, ok := ngxTime(value)
	if !ok {
		c.r.add(at.finding(Error, setting, "not a time", fix))
		return
	}
	if f, bad := c.o.silence(at, setting, t, " "+whose, fix); bad {
		c.r.add(f)
	}
}

// delays judges what holds bytes back.
func (c *ngxCheck) delays(s *scope) {
	if d := s.find("tcp_nodelay"); d != nil && d.arg(0) == "off" {
		c.r.add(d.finding(Warning, d.text(), "Nagle's algorithm holds a small message until the one before is acknowledged, 40 ms and more", "tcp_nodelay on;"))
	}
}

// ports judges whether the connections to the gateways find local ports.
func (c *ngxCheck) ports(s *scope, pass *directive) {
	room := portsPerSource * len(c.upstream(pass.arg(0)))
	if c.o.MaxConns <= room || s.find("proxy_bind") != nil {
		return
	}
	c.r.add(pass.finding(Warning, pass.text(), fmt.Sprintf("%d connections from one local address find about %d ports: those beyond get 502", c.o.MaxConns, room),
		"several local addresses: proxy_bind with split_clients (tickrelay proxy nginx --source …)"))
}

// ngxWorkers judges what holds for nginx as a whole.
func ngxWorkers(o CheckOptions, r *Report, main *scope) {
	if d := main.find("worker_shutdown_timeout"); d != nil {
		if t, ok := ngxTime(d.arg(0)); ok && t < 24*time.Hour {
			r.add(d.finding(Note, d.text(), fmt.Sprintf("each reload of nginx cuts all WebSockets after %s", show(t)), "leave it out if reloads are frequent: old workers then stay until their clients go"))
		}
	}
	if o.MaxConns == 0 {
		return
	}
	at, setting, n := main.place, "worker_connections 512 (the default)", 512
	for _, e := range main.block {
		if e.name != "events" {
			continue
		}
		at = e.place
		if d := (&scope{e, nil}).find("worker_connections"); d != nil {
			at, setting = d.place, d.text()
			n, _ = strconv.Atoi(d.arg(0))
		}
	}
	workers := 1
	if d := main.find("worker_processes"); d != nil {
		if k, err := strconv.Atoi(d.arg(0)); err == nil {
			workers = max(1, k)
		} else {
			workers = runtime.NumCPU()
		}
	}
	if n*workers/2 < o.MaxConns {
		r.add(at.finding(Warning, setting, fmt.Sprintf("%d workers carry %d WebSockets at most, each takes two connections; those beyond are cut at once", workers, n*workers/2),
			fmt.Sprintf("worker_connections %d; and worker_rlimit_nofile above it", 2*(o.MaxConns+spareConns)+64)))
	}
}
