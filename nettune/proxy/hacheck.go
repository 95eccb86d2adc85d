package proxy

import (
	"fmt"
	"slices"
	"strings"
)

// haCheck judges each way from a frontend to a backend.
type haCheck struct {
	o        CheckOptions
	r        *Report
	sections []*haSection
}

func checkHAProxy(src source, o CheckOptions, files []string, r *Report) error {
	sections, err := parseHAProxy(src, files)
	if err != nil {
		return err
	}
	r.Files = files
	c := &haCheck{o: o, r: r, sections: sections}
	for _, s := range sections {
		switch s.kind {
		case "global":
			c.global(s)
		case "listen":
			c.way(s, s)
			c.backends(s)
		case "frontend":
			c.backends(s)
		}
	}
	if len(r.Judged) == 0 {
		start := place{files[0], 1}
		r.add(start.finding(Warning, "frontend", "no frontend of this configuration leads to a backend with servers"+o.filters(), "name all files, as haproxy -f does"))
	}
	return nil
}

// backends judges the ways from a frontend to all backends that it names.
func (c *haCheck) backends(front *haSection) {
	var names []string
	if d := front.find("default_backend"); d != nil {
		names = append(names, d.word(1))
	}
	for _, l := range front.lines {
		if l.word(0) == "use_backend" {
			names = append(names, l.word(1))
		}
	}
	dynamic := slices.ContainsFunc(names, func(n string) bool { return strings.ContainsAny(n, "%$") })
	for _, s := range c.sections {
		if s != front && (s.kind == "backend" || s.kind == "listen") && (dynamic || slices.Contains(names, s.name)) {
			c.way(front, s)
		}
	}
}

// way judges one way. front and back are the same section for listen.
func (c *haCheck) way(front, back *haSection) {
	var servers []*haLine
	for _, l := range back.lines {
		if (l.word(0) == "server" || l.word(0) == "server-template") && c.leads(l) {
			servers = append(servers, l)
		}
	}
	if len(servers) == 0 {
		return
	}
	c.r.Judged = append(c.r.Judged, fmt.Sprintf("%s: %s → %s: %s", front.place, front.text(), back.place, back.text()))
	c.times(front, back)
	c.rules(front)
	c.rules(back)
	c.limits(front, back, servers)
	for _, s := range servers {
		c.server(back, s)
	}
}

func (c *haCheck) leads(server *haLine) bool {
	addr := server.word(2)
	if server.word(0) == "server-template" {
		addr = server.word(3)
	}
	return c.o.Gateway == "" || strings.ContainsAny(addr, "$%") || sameAddr(addr, c.o.Gateway)
}

// global judges what holds for the process.
func (c *haCheck) global(s *haSection) {
	for _, l := range s.lines {
		switch l.word(0) {
		case "hard-stop-after":
			c.r.add(l.finding(Note, l.text(), "each reload of haproxy cuts all WebSockets after that time", "leave it out if reloads are frequent: old processes then stay until their clients go"))
		case "maxconn":
			c.room(l, "clients at a time, in all")
		}
	}
}

// limits judges the numbers of connections.
func (c *haCheck) limits(front, back *haSection, servers []*haLine) {
	if d := front.find("maxconn"); d != nil {
		c.room(d, "clients of this frontend at a time")
	}
	if d := front.find("rate-limit", "sessions"); d != nil {
		c.r.add(d.finding(Note, d.text(), "when all clients come back after a fault, each second lets only so many in", "make it fit the time in which all should be back"))
	}
	for _, s := range servers {
		for _, l := range []*haLine{s, back.find("default-server")} {
			if l == nil {
				continue
			}
			if v, ok := l.after("maxconn"); ok {
				c.room(&haLine{l.place, []string{"maxconn", v}}, "clients of this server at a time: the others wait in its queue until timeout queue, then get 503")
				break
			}
		}
	}
	if room := portsPerSource * len(servers); c.o.MaxConns > room {
		c.r.add(back.finding(Warning, back.text(), fmt.Sprintf("%d connections from %d pairs of addresses find about %d ports: those beyond get 503", c.o.MaxConns, len(servers), room),
			"more server lines, each with a source of its own (tickrelay proxy haproxy --source …)"))
	}
}

// room judges a maxconn.
func (c *haCheck) room(l *haLine, what string) {
	var n int
	if _, err := fmt.Sscan(l.word(1), &n); err != nil || n == 0 || n >= c.o.MaxConns {
		return
	}
	c.r.add(l.finding(Warning, l.text(), fmt.Sprintf("%d %s, and %d WebSockets are to be borne", n, what, c.o.MaxConns), fmt.Sprintf("maxconn %d", c.o.MaxConns+spareConns)))
}

// server judges the words of a server line that end connections.
func (c *haCheck) server(back *haSection, s *haLine) {
	for _, l := range []*haLine{s, back.find("default-server")} {
		if l == nil {
			continue
		}
		if v, ok := l.after("on-marked-down"); ok && v == "shutdown-sessions" {
			c.r.add(l.finding(Warning, "on-marked-down shutdown-sessions", "checks that fail for a moment cut every WebSocket on this server", "remove it: a gateway that is gone cuts them anyway"))
		}
		if v, ok := l.after("on-marked-up"); ok && v == "shutdown-backup-sessions" {
			c.r.add(l.finding(Warning, "on-marked-up shutdown-backup-sessions", "all WebSockets on backup servers are cut when this one comes back", "remove it: clients return by and by"))
		}
	}
}
