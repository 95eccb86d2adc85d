package proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// times judges the time-outs of an upgraded connection: timeout tunnel alone if it is
// set, else those of both sides (haproxy's manual, section 4.2, "timeout tunnel").
func (c *haCheck) times(front, back *haSection) {
	fix := "timeout tunnel " + c.o.enough() + " in the backend"
	tunnel := back.find("timeout", "tunnel")
	if t, ok := c.time(tunnel); ok && t > 0 {
		c.silence(tunnel, t, fix)
	} else {
		c.side(front, "client", fix)
		c.side(back, "server", fix)
	}
	c.independent(front, back)
	for _, name := range []string{"client-fin", "server-fin"} {
		s := front
		if name == "server-fin" {
			s = back
		}
		if t, ok := c.time(s.find("timeout", name)); (!ok || t == 0) && tunnel != nil {
			c.r.add(tunnel.finding(Note, "timeout "+name, "not set: a connection that one side has finished stays for the whole timeout tunnel",
				"timeout "+name+" "+moment(c.o.PingInterval)))
			break // one remark for both
		}
	}
}

// time reads the time of a timeout statement; one that is none is told.
func (c *haCheck) time(l *haLine) (time.Duration, bool) {
	if l == nil {
		return 0, false
	}
	t, ok := haTime(l.word(2))
	if !ok && !strings.ContainsAny(l.word(2), "$") {
		c.r.add(l.finding(Error, l.text(), "not a time", "a number with ms, s, m, h or d"))
	}
	return t, ok
}

// side judges the time-out of one side, which counts when there is no timeout tunnel.
func (c *haCheck) side(s *haSection, name, fix string) {
	l := s.find("timeout", name)
	if l == nil {
		c.r.add(s.finding(Note, "timeout "+name, "not set: a peer that vanishes stays for ever", "timeout "+name+" "+c.o.enough()))
		return
	}
	if t, ok := c.time(l); ok && t > 0 {
		c.silence(l, t, fix)
	}
}

func (c *haCheck) silence(l *haLine, t time.Duration, fix string) {
	what := ""
	if v := l.word(2); strings.Trim(v, "0123456789") == "" {
		what = " (a number without a unit is in milliseconds)"
	}
	if f, bad := c.o.silence(l.place, l.text(), t, what, fix); bad {
		c.r.add(f)
	}
}

// independent judges option independent-streams, under which bytes in one direction
// do not count as life of the other.
func (c *haCheck) independent(front, back *haSection) {
	for _, s := range []*haSection{front, back} {
		if l, on := s.option("independent-streams"); on {
			c.r.add(l.finding(Warning, l.text(), "each direction must show life by itself: a busy client that is only sent data, or only sends, is cut", "remove it"))
			return
		}
	}
}

// handshake fields that a rule must leave alone.
var handshakeFields = []string{"upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-accept", "sec-websocket-protocol"}

// rules judges statements that change or hold back what passes.
func (c *haCheck) rules(s *haSection) {
	for depth := 0; s != nil && depth < maxDepth; s, depth = s.from, depth+1 {
		for _, l := range s.lines {
			switch l.word(0) {
			case "http-request", "http-response":
				c.headerRule(l)
			case "reqdel", "reqidel", "rspdel", "rspidel":
				if hits(l.word(1), handshakeFields) {
					c.r.add(l.finding(Error, l.text(), "takes a field of the WebSocket handshake out: every handshake fails", "remove it"))
				}
			case "filter":
				if strings.HasPrefix(l.word(1), "bwlim") {
					c.r.add(l.finding(Warning, l.text(), "messages wait once the bandwidth is used up", "remove it; the gateway bounds slow clients itself"))
				}
			case "tcp-request":
				if l.starts("tcp-request", "inspect-delay") {
					c.inspect(s, l)
				}
			}
		}
	}
}

// headerRule judges an http-request or http-response rule.
func (c *haCheck) headerRule(l *haLine) {
	field := strings.ToLower(l.word(2))
	harm := ""
	switch l.word(1) {
	case "del-header":
		if hits(field, handshakeFields) {
			harm = "takes a field of the WebSocket handshake out"
		}
	case "set-header", "replace-header":
		value := strings.ToLower(l.word(3))
		if field == "connection" && !strings.Contains(value, "upgrade") || field == "upgrade" && !strings.Contains(value, "websocket") {
			harm = "changes a field of the WebSocket handshake"
		}
	case "set-timeout":
		c.setTimeout(l)
	case "set-bandwidth-limit":
		c.r.add(l.finding(Warning, l.text(), "messages wait once the bandwidth is used up", "remove it; the gateway bounds slow clients itself"))
	}
	if harm == "" {
		return
	}
	if slices.Contains(l.words, "if") || slices.Contains(l.words, "unless") {
		c.r.add(l.finding(Warning, l.text(), harm+": handshakes fail where its condition holds", "make sure that it spares the WebSocket's path"))
		return
	}
	c.r.add(l.finding(Error, l.text(), harm+": every handshake fails", "remove it"))
}

// setTimeout judges http-request set-timeout server|tunnel TIME.
func (c *haCheck) setTimeout(l *haLine) {
	t, ok := haTime(l.word(3))
	if !ok || t == 0 {
		return
	}
	f, bad := c.o.silence(l.place, l.text(), t, " where this rule holds", "http-request set-timeout tunnel "+c.o.enough())
	if bad {
		c.r.add(f)
	}
}

// inspect judges an inspection that may hold connections up.
func (c *haCheck) inspect(s *haSection, l *haLine) {
	t, ok := haTime(l.word(2))
	for _, o := range s.lines {
		if o.starts("tcp-request", "content") && slices.Contains(o.words, "WAIT_END") && ok && t > 0 {
			c.r.add(l.finding(Warning, l.text(), fmt.Sprintf("each connection waits %s before its handshake (%s: WAIT_END)", show(t), o.place), "decide without WAIT_END"))
			return
		}
	}
}

// hits reports whether a field name is in the list; a pattern hits if it contains one.
func hits(field string, list []string) bool {
	field = strings.ToLower(field)
	return slices.ContainsFunc(list, func(f string) bool {
		return field == f || strings.ContainsAny(field, "^*(") && strings.Contains(field, f)
	})
}
