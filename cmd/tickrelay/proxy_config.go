package main

import (
	"net/netip"
	"strings"
	"time"

	"tickrelay/nettune/proxy"
	"tickrelay/relay"
)

// limitsConfig is what clients of the gateway may cost.
type limitsConfig struct {
	ConnsPerAddress int    `yaml:"conns_per_address"` // WebSockets of one client address; default no bound of its own
	Handshakes      int    `yaml:"handshakes"`        // new connections a second, all clients; default no bound
	HandshakesEach  int    `yaml:"handshakes_per_address"`
	Topics          int    `yaml:"topics"`         // per connection, and as many patterns
	MessageBytes    int    `yaml:"message_bytes"`  // of a client's message
	Requests        int    `yaml:"requests"`       // per second and connection
	QueueMessages   int    `yaml:"queue_messages"` // that wait for one connection
	QueueBytes      int    `yaml:"queue_bytes"`
	HistoryBytes    int    `yaml:"history_bytes"` // of all topics, for clients that come back
	CandleBytes     int    `yaml:"candle_bytes"`
	PingInterval    string `yaml:"ping_interval"` // silence after which a WebSocket is pinged; default 30s
}

func (l *limitsConfig) withDefaults() {
	if l.PingInterval == "" {
		l.PingInterval = proxy.DefaultPingInterval.String()
	}
}

func (l *limitsConfig) validate(d *yamlDecoder) {
	if l.ConnsPerAddress < 0 {
		d.at("limits.conns_per_address", "%d: want 1 or more, or 0 for no bound", l.ConnsPerAddress)
	}
	for _, n := range []struct {
		key          string
		value, least int
	}{
		{"handshakes", l.Handshakes, 1}, {"handshakes_per_address", l.HandshakesEach, 1}, {"topics", l.Topics, 1},
		{"message_bytes", l.MessageBytes, 125}, {"requests", l.Requests, 1}, {"queue_messages", l.QueueMessages, 8},
		{"queue_bytes", l.QueueBytes, 4096}, {"history_bytes", l.HistoryBytes, 1 << 16}, {"candle_bytes", l.CandleBytes, 1 << 20},
	} {
		if n.value != 0 && (n.value < n.least || n.value > 1<<30) {
			d.at("limits."+n.key, "%d: want %d or more, or 0 for the default", n.value, n.least)
		}
	}
	if t, err := time.ParseDuration(l.PingInterval); err != nil || t < time.Second || t > time.Hour {
		d.at("limits.ping_interval", "%q: want a time from 1s to 1h, such as 30s", l.PingInterval)
	}
}

// ping is the interval; validate has parsed it before.
func (l *limitsConfig) ping() time.Duration {
	t, _ := time.ParseDuration(l.PingInterval)
	return t
}

func (l *limitsConfig) limits() relay.Limits {
	return relay.Limits{MaxConnsPerAddr: l.ConnsPerAddress, PingEvery: l.ping(), Handshakes: l.Handshakes,
		HandshakesPerAddr: l.HandshakesEach, MaxTopics: l.Topics, MaxMessage: l.MessageBytes, Requests: l.Requests,
		QueueMessages: l.QueueMessages, QueueBytes: l.QueueBytes, HistoryBytes: l.HistoryBytes, CandleBytes: l.CandleBytes}
}

// proxyNetworks reads proxy_protocol: networks, or single addresses.
func (c *fileConfig) proxyNetworks(problem func(text string)) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range c.ProxyProtocol {
		p, err := netip.ParsePrefix(s)
		if !strings.Contains(s, "/") {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p = netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen())
			}
		}
		switch {
		case err != nil:
			problem(s + ": want the address or network of a proxy, such as 10.0.0.7 or 10.0.0.0/28")
		case p.Bits() == 0:
			problem(s + ": would let everybody name themselves; want the proxies' own addresses")
		default:
			out = append(out, p.Masked())
		}
	}
	return out
}

func (c *fileConfig) validateProxies(d *yamlDecoder) {
	c.proxyNetworks(func(text string) { d.at("proxy_protocol", "%s", text) })
}
