package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strings"
	"time"

	"tickrelay/feeds"
	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

// What is looked at beyond single values: whether parts of the file fit each
// other, and whether the files that it names can be used.

// validateTogether names what two parts of the configuration do to each other.
func (c *fileConfig) validateTogether(d *yamlDecoder) {
	if c.Metrics != "" && c.Metrics == c.Listen {
		d.at("metrics", "%q is the gateway's address: it serves /metrics itself; leave this out, or take another port", c.Metrics)
	}
	if n := len(gatewaySocket(c.Socket)); c.Socket != "" && n > maxSocketPath {
		d.at("socket", "%d bytes: the kernel takes paths of sockets up to %d, and the gateway's have %d more; choose a shorter one", len(c.Socket), maxSocketPath, len(gatewaySuffix))
	}
	busy := map[int]string{}
	for i := range c.Feeds {
		f, path := &c.Feeds[i], fmt.Sprintf("feeds[%d]", i)
		c.overlaps(d, i)
		if f.CPU == nil || f.Poll != "busy" {
			continue
		}
		if other, taken := busy[*f.CPU]; taken {
			d.at(path+".cpu", "%d is taken by %s, and both never sleep: give each a processor of its own, or poll: block", *f.CPU, other)
		}
		busy[*f.CPU] = f.Name
	}
	for i := range c.Rings {
		c.validateServed(d, i)
	}
}

// maxSocketPath is what fits into sun_path (unix(7)) with its end.
const maxSocketPath = 107

// overlaps names topics that a feed and one before it could both serve.
func (c *fileConfig) overlaps(d *yamlDecoder, i int) {
	f := &c.Feeds[i]
	for k := range i {
		g := &c.Feeds[k]
		if g.Venue != f.Venue {
			continue
		}
		var common []string
		for _, ch := range f.Channels {
			if slices.Contains(g.Channels, ch) {
				common = append(common, ch)
			}
		}
		if len(common) == 0 {
			continue
		}
		for n, a := range f.Instruments {
			for _, b := range g.Instruments {
				if a == b {
					continue // told by their names
				}
				if globsMeet(a, b) {
					d.item(fmt.Sprintf("feeds[%d].instruments", i), n, "%q and %q of feeds[%d] select the same instruments: topics of feeds must not overlap (%s.%s)", a, b, k, f.Venue, common[0])
				}
			}
		}
	}
}

// globsMeet reports whether some text matches two patterns in which "*" stands
// for any run of characters.
func globsMeet(a, b string) bool {
	// row[j]: the text read so far has brought a to its i-th and b to its j-th place.
	row := make([]bool, len(b)+1)
	row[0] = true
	for i := 0; ; i++ {
		for j := range b { // along b, a standing still
			if row[j] && (b[j] == '*' || i > 0 && a[i-1] == '*' || i < len(a) && a[i] == '*') {
				row[j+1] = true
			}
		}
		if i == len(a) {
			return row[len(b)]
		}
		next := make([]bool, len(b)+1)
		for j := range row {
			if !row[j] {
				continue
			}
			switch {
			case a[i] == '*' || j < len(b) && b[j] == '*' || j > 0 && b[j-1] == '*':
				next[j] = true
			}
			if j < len(b) && a[i] == b[j] {
				next[j+1] = true
			}
		}
		row = next
	}
}

// validateServed names topics of a ring that nothing of the file can serve.
func (c *fileConfig) validateServed(d *yamlDecoder, i int) {
	var venues []string
	for k := range c.Feeds {
		venues = append(venues, c.Feeds[k].Venue)
	}
	var bus []string // what comes over it
	if n := c.nats(); n != nil {
		bus = n.Subscribe
	}
	for _, p := range bus {
		venue, _, _ := strings.Cut(p, ".")
		venues = append(venues, venue)
	}
	for n, t := range c.Rings[i].Topics {
		if _, err := md.ParsePattern(t); err != nil || len(venues) == 0 {
			continue // told already
		}
		served := slices.ContainsFunc(bus, func(p string) bool { return patternsMeet(t, p) })
		for k := range c.Feeds {
			for _, ch := range c.Feeds[k].serves() {
				served = served || prefixMatches(t, c.Feeds[k].Venue, ch.String())
			}
		}
		if !served {
			venue, _, _ := strings.Cut(t, ".")
			hint := servedHint(venue, venues)
			if slices.ContainsFunc(bus, func(p string) bool { return strings.HasPrefix(p, venue+".") }) {
				hint = fmt.Sprintf(": over the bus come %s; add it to bus.nats.subscribe", strings.Join(bus, ", "))
			}
			d.item(fmt.Sprintf("rings[%d].topics", i), n, "no feed serves %q%s", t, hint)
		}
	}
}

// patternHint says what the venue or the channel of a bad pattern could have been.
func patternHint(t string) string {
	tokens := strings.Split(t, ".")
	var names []string
	for _, v := range feeds.Venues() {
		names = append(names, v.Spec().Name)
	}
	if !slices.Contains(names, tokens[0]) {
		return suggest(tokens[0], names)
	}
	if len(tokens) > 1 {
		return suggest(tokens[1], slices.DeleteFunc(channelNames(), func(s string) bool { return s == tokens[1] }))
	}
	return ""
}

func servedHint(venue string, venues []string) string {
	if slices.Contains(venues, venue) {
		return ": its feed has not that channel; add it to channels"
	}
	if s := suggest(venue, venues); s != "" {
		return s
	}
	return fmt.Sprintf(": the feeds are of %s", strings.Join(slices.Compact(slices.Sorted(slices.Values(venues))), ", "))
}

// validateFiles names files that cannot be used.
func (c *fileConfig) validateFiles(d *yamlDecoder) {
	if c.Group != "" {
		if _, err := groupID(c.Group); err != nil {
			d.at("group", "%v; create it with groupadd, or name another", err)
		}
	}
	for i := range c.Feeds {
		f := &c.Feeds[i]
		if f.CA != "" {
			if _, err := f.authorities(); err != nil {
				d.at(fmt.Sprintf("feeds[%d].ca", i), "%s", strings.TrimPrefix(err.Error(), "ca: "))
			}
		}
		if st, err := os.Stat(f.Cache); f.Cache != "" && err == nil && !st.IsDir() {
			d.at(fmt.Sprintf("feeds[%d].cache", i), "%q is no folder", f.Cache)
		}
	}
	if c.TLS.Cert != "" && c.TLS.Key != "" {
		if err := checkCertificate(c.TLS.Cert, c.TLS.Key, time.Now()); err != nil {
			d.at("tls.cert", "%v", err)
		}
	}
	if c.Auth != nil && c.Auth.gateway().Validate() == nil {
		if _, err := auth.New(*c.Auth.gateway()); err != nil {
			for line := range strings.Lines(err.Error()) {
				d.at("auth", "%s", strings.TrimPrefix(strings.TrimSpace(line), "auth: "))
			}
		}
	}
}

// checkCertificate reports whether a pair can be used now.
func checkCertificate(cert, key string, now time.Time) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%w; want PEM files, the chain in cert, and the key that belongs to it", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	switch {
	case err != nil:
		return err
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%s has expired at %s: renew it", cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%s is not valid before %s", cert, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// quotes are currencies that symbols end in, for suggestions; longer ones first.
var quotes = []string{"FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "GBP", "JPY", "KRW", "BTC", "ETH", "BNB"}

// checkInstrument says what is wrong with a symbol or pattern, "" if nothing is.
func checkInstrument(s string) string {
	if md.CheckToken(strings.ReplaceAll(s, "*", "x")) != nil {
		return fmt.Sprintf("%q is no symbol or pattern; want BASE-QUOTE such as BTC-USDT or *-USDT", s)
	}
	if strings.ContainsAny(s, "-*") {
		if lower := strings.ToLower(s); s == lower && s != strings.ToUpper(s) {
			return fmt.Sprintf("%q: symbols are in capitals, did you mean %q?", s, strings.ToUpper(s))
		}
		return ""
	}
	upper := strings.ToUpper(strings.NewReplacer("/", "", "_", "").Replace(s))
	for _, q := range quotes {
		if base, ok := strings.CutSuffix(upper, q); ok && base != "" {
			return fmt.Sprintf("%q is no symbol: did you mean %q?", s, base+"-"+q)
		}
	}
	return fmt.Sprintf("%q is no symbol: want BASE-QUOTE such as BTC-USDT", s)
}

// venueChannels are the names of what a venue offers.
func venueChannels(v feeds.Venue) []string {
	var names []string
	for _, ch := range v.Spec().Channels {
		names = append(names, ch.Channel.String())
	}
	return names
}

// powerNear is the power of two within the bounds that is next to n.
func powerNear(n int) int {
	if n <= minRingCapacity {
		return minRingCapacity
	}
	if n >= maxRingCapacity {
		return maxRingCapacity
	}
	return 1 << bits.Len(uint(n-1))
}
