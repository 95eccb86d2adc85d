package feeds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"tickrelay/nettune"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// NoREST as Config.REST switches REST off: no catalogue, no book snapshots.
const NoREST = "none"

// MaxLines bounds Config.Lines.
const MaxLines = 16

// Clock reads both clocks at once: wall is CLOCK_REALTIME in ns since 1970, for
// records; mono never steps and is what timers are measured with.
type Clock func() (wall, mono int64)

// Resolver looks up the addresses of a host name.
type Resolver func(ctx context.Context, host string) ([]netip.Addr, error)

// Config describes one feed. Only Venue is required; every other field's zero
// value is a working default, except CPU, where 0 is a processor and -1 is none.
type Config struct {
	Name  string // in logs and health; default the venue's name
	Venue Venue

	URL  string // WebSocket address, ws:// or wss://; default the venue's
	REST string // REST base, http:// or https://; default the venue's, NoREST for none

	Instruments []string     // patterns of symbols; default all
	Channels    []md.Channel // default trades, book, bbo, as far as the venue has them
	// Lines is the number of redundant connections, default 1, at most MaxLines.
	Lines int
	// Ways are how the lines reach the venue, each by its own address, local
	// address or proxy; a line beyond the list goes the feed's own way.
	Ways []Way
	// Open accepts every instrument that a frame names, for replays.
	Open bool
	// Signals is how many levels the channel signals takes from every book, at
	// most MaxSignalLevels; 0: no such channel.
	Signals int

	// Silence is how long an instrument that sent data may send none before the
	// engine acts; default 60 s, negative never.
	Silence time.Duration

	CPU  int  // processor that the hot loop is pinned to; -1 for none
	Busy bool // poll without sleeping: one processor's full time, faster only if that one is free

	Transport nettune.Transport // default nettune.KernelTransport()
	Options   nettune.Options   // socket options asked for; default nettune's, and receive time stamps
	Table     *md.Table         // instrument table, required
	Epoch     int64             // ns; default the wall clock at New
	Numbers   *ring.Numbers     // of the venue's topics that feeds gave up, shared by all that have Epoch; default none
	TLS       *tls.Config       // for wss and https; default the system's authorities
	CacheDir  string            // folder in which the catalogue is kept; "" for none
	Log       *slog.Logger      // default discards

	Clock   Clock    // default the system's
	Resolve Resolver // default net.DefaultResolver
	// DialREST opens the connections of REST requests; default the kernel's
	// sockets with Options.
	DialREST func(ctx context.Context, network, addr string) (net.Conn, error)
	Seed     uint64    // of the back-off's jitter; default random
	Backoff  Backoff   // between connection attempts
	Budget   *Budget   // of connection attempts, shared by feeds of one venue; default one of its own
	Limits   Deadlines // of connections and REST requests
}

// Deadlines are the time limits of a feed's connections. Zero fields take the
// defaults named here.
type Deadlines struct {
	Resolve   time.Duration // of a name look-up; default 5 s
	Dial      time.Duration // of TCP's handshake; default 5 s
	Handshake time.Duration // of TLS, and again of the WebSocket upgrade; default 5 s
	REST      time.Duration // of one REST request, whole; default 10 s
	Close     time.Duration // that a stopping feed gives its goroutines; default 2 s
	// CatalogueWait is how long the first connection waits for the first
	// catalogue; after that the feed starts without it. Default 2 s.
	CatalogueWait time.Duration
	// CatalogueEvery is the period of catalogue refreshes; default 1 h.
	CatalogueEvery time.Duration
	// BookRetry is the longest wait between attempts to get a book back that keeps
	// breaking: the venue is given time. Default 5 min.
	BookRetry time.Duration
	// Audit is how often a live book is compared with a fresh REST snapshot; 0: never.
	Audit time.Duration
	// MaxAge is the age at which a connection is renewed by ourselves, if
	// another line is live meanwhile: venues cut at 24 h. Default 23 h 30 min.
	MaxAge time.Duration
}

func (d Deadlines) withDefaults() Deadlines {
	set := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	set(&d.Resolve, 5*time.Second)
	set(&d.Dial, 5*time.Second)
	set(&d.Handshake, 5*time.Second)
	set(&d.REST, 10*time.Second)
	set(&d.Close, 2*time.Second)
	set(&d.CatalogueWait, 2*time.Second)
	set(&d.CatalogueEvery, time.Hour)
	set(&d.BookRetry, 5*time.Minute)
	set(&d.MaxAge, 23*time.Hour+30*time.Minute)
	return d
}

func (c Config) withDefaults() Config {
	if c.Venue != nil {
		spec := c.Venue.Spec()
		if c.Name == "" {
			c.Name = spec.Name
		}
		if c.URL == "" {
			c.URL = spec.URL
		}
		if c.REST == "" {
			c.REST = spec.REST
		}
		if len(c.Channels) == 0 {
			for _, ch := range []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelBBO} {
				if spec.has(ch) {
					c.Channels = append(c.Channels, ch)
				}
			}
		}
	}
	if c.REST == NoREST {
		c.REST = ""
	}
	if c.Lines == 0 {
		c.Lines = 1
	}
	if c.Transport == nil {
		c.Transport = nettune.KernelTransport()
	}
	if c.Options == (nettune.Options{}) {
		c.Options = nettune.DefaultOptions()
		c.Options.Timestamps = true
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = systemClock()
	}
	if c.Epoch == 0 {
		c.Epoch, _ = c.Clock()
	}
	if c.Resolve == nil {
		c.Resolve = systemResolver
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	c.Backoff = c.Backoff.withDefaults()
	c.Limits = c.Limits.withDefaults()
	if c.Budget == nil {
		c.Budget = NewBudget(0, 0)
	}
	return c
}

// validate returns every problem, joined.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("feeds: config: "+format, args...)) }
	if c.Venue == nil {
		return errors.New("feeds: config: no venue")
	}
	if c.Table == nil {
		bad("%s: no instrument table", c.Name)
	}
	if c.Lines < 1 || c.Lines > MaxLines {
		bad("%s: lines is %d, allowed are 1 to %d", c.Name, c.Lines, MaxLines)
	}
	if c.CPU < -1 || c.CPU >= maxCPUs {
		bad("%s: cpu is %d, allowed are -1 (not pinned) to %d", c.Name, c.CPU, maxCPUs-1)
	}
	if _, err := parseURL(c.URL, "ws", "wss"); err != nil {
		bad("%s: url: %w", c.Name, err)
	}
	if c.REST != "" {
		if _, err := parseURL(c.REST, "http", "https"); err != nil {
			bad("%s: rest: %w", c.Name, err)
		}
	}
	for i, w := range c.Ways {
		if _, err := w.proxyOf(); err != nil {
			bad("%s: line %d: %w", c.Name, i, err)
		}
		if w.URL != "" {
			if _, err := parseURL(w.URL, "ws", "wss"); err != nil {
				bad("%s: line %d: url: %w", c.Name, i, err)
			}
		}
	}
	if err := c.Backoff.validate(); err != nil {
		errs = append(errs, fmt.Errorf("feeds: config: %s: %w", c.Name, err))
	}
	return errors.Join(errs...)
}

// parseURL accepts an absolute URL of one of two schemes.
func parseURL(s, plain, secure string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if u.Scheme != plain && u.Scheme != secure {
		return nil, fmt.Errorf("%q: the scheme must be %s or %s", s, plain, secure)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%q names no host", s)
	}
	if strings.Contains(u.Host, "@") || u.User != nil {
		return nil, fmt.Errorf("%q: credentials in an address are not sent", s)
	}
	return u, nil
}
