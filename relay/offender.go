package relay

import (
	"net/netip"
	"sync"
	"time"

	"tickrelay/nettune"
)

const (
	// offenceWindow is the time within which Limits.Offences make an offender.
	offenceWindow = 10 * time.Second
	// maxSuspects bounds the addresses remembered between offences.
	maxSuspects = 4096
)

// offenders counts what addresses do wrong and reports those that do it again and
// again. It is used when connections fail, never per message. A nil one does nothing.
type offenders struct {
	report  func(addr netip.Addr, reason string)
	most    int
	trusted func(netip.Addr) bool // proxies, which carry other people's offences
	now     func() time.Time

	mu       sync.Mutex
	suspects map[netip.Addr]suspect // by party
}

type suspect struct {
	offences int
	since    time.Time
}

func newOffenders(c *Config, trusted func(netip.Addr) bool) *offenders {
	if c.Offender == nil {
		return nil
	}
	return &offenders{report: c.Offender, most: c.Limits.Offences, trusted: trusted, now: time.Now, suspects: map[netip.Addr]suspect{}}
}

// rule changes how many offences make an offender.
func (o *offenders) rule(most int) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.most = most
}

// refused notes a connection that the acceptor did not let through. Lost ones do not
// count, since health checks connect and leave, nor do wrong origins: a page's
// visitors did not write it.
func (o *offenders) refused(from nettune.Stream, reason refuseReason) {
	switch reason {
	case refusedHead, refusedUpgrade, refusedProxy, refusedClient, refusedTLS, refusedToken:
		o.note(from, refuseReasons[reason])
	}
}

// closed notes how a WebSocket connection ended.
func (o *offenders) closed(from nettune.Stream, reason closeReason) {
	switch reason {
	case closedProtocol, closedTooBig, closedRate:
		o.note(from, closeReasons[reason])
	}
}

func (o *offenders) note(from nettune.Stream, reason string) {
	if o == nil {
		return
	}
	peer := from.RemoteAddr().Addr() // the proxy's, where there is one
	if !peer.IsValid() || o.trusted(peer) {
		return
	}
	if o.count(party(peer), o.now()) {
		o.report(peer.Unmap(), reason)
	}
}

// count adds an offence and says whether that made p an offender.
func (o *offenders) count(p netip.Addr, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, known := o.suspects[p]
	if now.Sub(s.since) > offenceWindow {
		s = suspect{since: now}
	}
	if s.offences++; s.offences >= o.most {
		delete(o.suspects, p)
		return true
	}
	if !known && len(o.suspects) >= maxSuspects {
		o.forget(now)
	}
	o.suspects[p] = s
	return false
}

// forget makes room: those whose window is over, else everybody.
func (o *offenders) forget(now time.Time) {
	for p, s := range o.suspects {
		if now.Sub(s.since) > offenceWindow {
			delete(o.suspects, p)
		}
	}
	if len(o.suspects) >= maxSuspects {
		clear(o.suspects)
	}
}
