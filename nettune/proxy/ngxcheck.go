package proxy

import (
	"fmt"
	"slices"
	"strings"
)

// ngxCheck judges one http or stream block.
type ngxCheck struct {
	o    CheckOptions
	r    *Report
	http *scope
	seen map[*directive]bool // blocks that were judged
}

func checkNginx(src source, o CheckOptions, file string, r *Report) error {
	p, tree, err := parseNginx(src, file)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	r.Files = p.files
	for _, f := range p.missing {
		r.add(f)
	}
	main := &scope{directive: &directive{place: place{file, 1}, name: "main", block: tree}}
	blocks := 0
	for _, d := range tree {
		c := &ngxCheck{o: o, r: r, http: &scope{d, main}, seen: map[*directive]bool{}}
		switch d.name {
		case "http":
			c.servers(c.httpServer)
		case "stream":
			c.servers(c.streamServer)
		default:
			continue
		}
		blocks++
	}
	if blocks == 0 {
		// A part that nginx.conf includes, given alone.
		r.add(main.finding(Note, "http", "no http or stream block: read as a part of one, without what nginx.conf may say", "check nginx.conf itself"))
		c := &ngxCheck{o: o, r: r, http: main, seen: map[*directive]bool{}}
		c.servers(c.httpServer)
	}
	if len(r.Judged) == 0 {
		r.add(main.finding(Warning, o.Path, "no location of this configuration passes "+o.Path+" to another server"+o.filters(),
			"say what is meant with --path, --server-name or --upstream"))
		return nil
	}
	ngxWorkers(o, r, main)
	return nil
}

// filters names the restrictions of the check, for a message.
func (o *CheckOptions) filters() string {
	var f []string
	if o.ServerName != "" {
		f = append(f, "server "+o.ServerName)
	}
	if o.Gateway != "" {
		f = append(f, "upstream "+o.Gateway)
	}
	if len(f) == 0 {
		return ""
	}
	return " (asked for: " + strings.Join(f, ", ") + ")"
}

func (c *ngxCheck) servers(judge func(*scope)) {
	for _, d := range c.http.block {
		if d.name == "server" && d.open {
			judge(&scope{d, c.http})
		}
	}
}

// httpServer judges the locations of one server that pass a WebSocket: the one that
// nginx picks for the path, and those that set Upgrade and so mean to.
func (c *ngxCheck) httpServer(s *scope) {
	if c.o.ServerName != "" && !s.serves(c.o.ServerName) {
		return
	}
	c.passes(s.locate(c.o.Path), 0)
	c.meant(s)
}

// serves reports whether a server block is for a name: exact or *.domain.
func (s *scope) serves(name string) bool {
	for _, d := range s.block {
		if d.name != "server_name" {
			continue
		}
		for _, n := range d.args {
			tail, wild := strings.CutPrefix(n, "*")
			if strings.EqualFold(n, name) || wild && strings.HasSuffix(strings.ToLower(name), strings.ToLower(tail)) {
				return true
			}
		}
	}
	return false
}

// maxRedirects bounds try_files that lead to each other.
const maxRedirects = 8

// passes judges where a location hands requests on, the fall-back of try_files included.
func (c *ngxCheck) passes(s *scope, depth int) {
	if s == nil || depth > maxRedirects {
		return
	}
	for _, d := range s.block {
		switch {
		case d.name == "proxy_pass":
			c.location(s, d)
		case (d.name == "if" || d.name == "limit_except") && d.open:
			c.passes(&scope{d, s}, depth+1)
		case d.name == "try_files" && len(d.args) > 0:
			last := d.args[len(d.args)-1]
			if strings.HasPrefix(last, "@") {
				c.passes(s.named(last), depth+1)
			} else if server := s.server(); server != nil && strings.HasPrefix(last, "/") && !strings.Contains(last, "$") {
				c.passes(server.locate(last), depth+1)
			}
		}
	}
}

// server returns the server block that s is in.
func (s *scope) server() *scope {
	for ; s != nil; s = s.up {
		if s.name == "server" {
			return s
		}
	}
	return nil
}

func (c *ngxCheck) meant(s *scope) {
	for _, d := range s.block {
		if d.name != "location" || !d.open {
			continue
		}
		in := &scope{d, s}
		for _, h := range d.block {
			if h.name == "proxy_set_header" && strings.EqualFold(h.arg(0), "upgrade") {
				c.passes(in, 0)
				break
			}
		}
		c.meant(in)
	}
}

// location judges one proxy_pass.
func (c *ngxCheck) location(s *scope, pass *directive) {
	if c.seen[s.directive] || !c.leads(pass.arg(0)) {
		return
	}
	c.seen[s.directive] = true
	c.r.Judged = append(c.r.Judged, fmt.Sprintf("%s: %s → %s", pass.place, s.text(), pass.arg(0)))
	c.version(s, pass)
	c.headers(s, pass)
	c.times(s, pass)
	c.delays(s)
	c.ports(s, pass)
}

// leads reports whether a proxy_pass goes to the gateway that is asked for. What
// cannot be known here does.
func (c *ngxCheck) leads(target string) bool {
	if c.o.Gateway == "" || strings.Contains(target, "$") {
		return true
	}
	return slices.ContainsFunc(c.upstream(target), func(a string) bool { return sameAddr(a, c.o.Gateway) })
}

// upstream returns the addresses behind a proxy_pass.
func (c *ngxCheck) upstream(target string) []string {
	if _, rest, ok := strings.Cut(target, "://"); ok {
		target = rest
	}
	if !strings.HasPrefix(target, "unix:") {
		target, _, _ = strings.Cut(target, "/")
	}
	for _, d := range c.http.block {
		if d.name != "upstream" || d.arg(0) != target {
			continue
		}
		var out []string
		for _, s := range d.block {
			if s.name == "server" {
				out = append(out, s.arg(0))
			}
		}
		return out
	}
	return []string{target}
}

// sameAddr compares HOST:PORT, the port being 80 where it is left out.
func sameAddr(a, b string) bool {
	norm := func(s string) string {
		if !strings.Contains(s, ":") {
			s += ":80"
		}
		return strings.Replace(s, "localhost:", "127.0.0.1:", 1)
	}
	return norm(a) == norm(b)
}

func (c *ngxCheck) streamServer(s *scope) {
	pass := s.find("proxy_pass")
	for _, d := range s.block {
		if d.name == "listen" && slices.Contains(d.args, "udp") {
			return
		}
	}
	if pass == nil || !c.leads(pass.arg(0)) {
		return
	}
	c.r.Judged = append(c.r.Judged, fmt.Sprintf("%s: stream server → %s", pass.place, pass.arg(0)))
	const name = "proxy_timeout"
	c.silence(s, pass, name, "10m", "in both directions")
	for _, rate := range []string{"proxy_download_rate", "proxy_upload_rate"} {
		if d := s.find(rate); d != nil && d.arg(0) != "0" {
			c.r.add(d.finding(Warning, d.text(), "messages wait once a client's bytes per second reach it", "remove it; the gateway bounds slow clients itself"))
		}
	}
	c.delays(s)
	c.ports(s, pass)
}
