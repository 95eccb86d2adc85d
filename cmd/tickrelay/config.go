package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"tickrelay/feeds"
	"tickrelay/ring/md"
)

// fileConfig is the configuration file. The zero value of a key is its default.
type fileConfig struct {
	Relay      string       `yaml:"relay"`          // name of this relay; default "relay"
	Listen     string       `yaml:"listen"`         // gateway's address; default 127.0.0.1:8080
	Transport  string       `yaml:"transport"`      // kernel (default) or dpdk
	DPDK       *dpdkConfig  `yaml:"dpdk"`           // the port of transport: dpdk
	Socket     string       `yaml:"socket"`         // control socket; default /run/tickrelay/<relay>.sock
	Group      string       `yaml:"group"`          // group that may open the rings; default none
	CPULatency *int         `yaml:"cpu_latency_us"` // longest wake-up of idle CPUs, held while the relay runs; default not asked
	Allow      allowConfig  `yaml:"allow"`          // who else may attach; default nobody
	Memory     memoryConfig `yaml:"memory"`         // of the rings; default whatever comes
	Feeds      []feedConfig `yaml:"feeds"`
	Rings      []ringConfig `yaml:"rings"`
	Bus        *busConfig   `yaml:"bus"` // records from and to other hosts; default none
	XDP        xdpConfig    `yaml:"xdp"` // packet filter to feed; default none
	Limits     limitsConfig `yaml:"limits"`
	Raw        []rawConfig  `yaml:"raw"`     // venues whose own frames the gateway passes through; default none
	Metrics    string       `yaml:"metrics"` // address of /metrics in a process with feeds only; default none
	Auth       *authConfig  `yaml:"auth"`    // whom the gateway lets in; default everybody
	TLS        tlsConfig    `yaml:"tls"`     // of the gateway's port; default plain text
	Deflate    bool         `yaml:"deflate"` // offer compression to WebSocket clients
	Origins    []string     `yaml:"origins"` // pages that may open a WebSocket; default those of the gateway's own host
	// ProxyProtocol are the proxies that name their clients, addresses or networks; default none.
	ProxyProtocol []string `yaml:"proxy_protocol"`
	// RecordRaw is what is recorded of the feeds as it came; default nothing.
	RecordRaw *rawRecordConfig `yaml:"record_raw"`
	// Record is what is written to Parquet files; default nothing.
	Record *recordConfig `yaml:"record"`
	// Replay is the recording that clients may replay; default none.
	Replay *pastConfig `yaml:"replay"`
}

// allowConfig names who may attach over the control socket besides the relay's
// own user, root and the members of its group. Names or numbers.
type allowConfig struct {
	Users  []string `yaml:"users"`
	Groups []string `yaml:"groups"`
}

// memoryConfig says what memory the rings want; see ring.Memory.
type memoryConfig struct {
	Huge  bool `yaml:"huge"`  // reserved huge pages, for rings attached over the socket
	Touch bool `yaml:"touch"` // fault every page in at creation
	Lock  bool `yaml:"lock"`  // mlock
	Node  *int `yaml:"node"`  // NUMA node; -1: that of the processor that creates the ring
}

// feedConfig is one feed: one hot loop on one venue.
type feedConfig struct {
	Venue       string   `yaml:"venue"`
	Name        string   `yaml:"name"` // default the venue's name
	URL         string   `yaml:"url"`  // default the venue's
	REST        string   `yaml:"rest"` // default the venue's; "none" for no REST
	Instruments []string `yaml:"instruments"`
	Channels    []string `yaml:"channels"` // default trades, book, bbo
	Lines       int      `yaml:"lines"`    // redundant connections; default 1
	// Ways are how the lines reach the venue, one each; default the feed's own.
	Ways        []wayConfig       `yaml:"ways"`
	Audit       string            `yaml:"audit"` // between comparisons of a book with a fresh snapshot; default never
	Credentials credentialsConfig `yaml:"credentials"`
	CPU         *int              `yaml:"cpu"`     // pin the hot loop; default not pinned
	Signals     int               `yaml:"signals"` // levels of the channel signals, derived from the books; default none
	Poll        string            `yaml:"poll"`    // block (default) or busy
	CA          string            `yaml:"ca"`      // PEM file of authorities trusted beside the system's
	Cache       string            `yaml:"cache"`   // folder for the instrument catalogue
}

// ringConfig is a ring declared in the file, opened by path alone.
type ringConfig struct {
	Strategy string   `yaml:"strategy"`
	Topics   []string `yaml:"topics"`
	Capacity int      `yaml:"capacity"` // records; a power of two; default 65536
	// Broadcast: any number of readers, none of which holds the ring back.
	Broadcast bool `yaml:"broadcast"`
}

// Limits of ring capacities in records.
const (
	minRingCapacity     = 1 << 10
	maxRingCapacity     = 1 << 26
	defaultRingCapacity = 1 << 16
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// loadConfig reads and validates file. Its error names every problem, one a
// line, with file and line.
func loadConfig(file string) (*fileConfig, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return parseConfig(file, data)
}

// readConfig is loadConfig that looks into the files named too, and knows the
// line of each key.
func readConfig(file string) (*fileConfig, *yamlDecoder, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	c, d, _ := decodeConfig(file, data)
	c.validateFiles(d)
	return c, d, d.err()
}

func parseConfig(file string, data []byte) (*fileConfig, error) {
	c, _, err := decodeConfig(file, data)
	return c, err
}

func decodeConfig(file string, data []byte) (*fileConfig, *yamlDecoder, error) {
	c := &fileConfig{}
	d := decodeYAML(file, data, c)
	if len(d.problems) == 0 || len(d.lines) > 0 {
		c.withDefaults()
		c.validate(d)
	}
	return c, d, d.err()
}

func (c *fileConfig) withDefaults() {
	if c.Relay == "" {
		c.Relay = "relay"
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.Transport == "" {
		c.Transport = "kernel"
	}
	if c.DPDK != nil && c.DPDK.Listen == "" {
		c.DPDK.Listen = "dpdk"
	}
	for i := range c.Feeds {
		f := &c.Feeds[i]
		if f.Name == "" {
			f.Name = f.Venue
		}
		if f.Lines == 0 {
			f.Lines = 1
		}
		if f.Poll == "" {
			f.Poll = "block"
		}
		if len(f.Channels) == 0 {
			f.Channels = []string{"trades", "book", "bbo"}
		}
	}
	c.XDP.withDefaults()
	c.Limits.withDefaults()
	for i := range c.Rings {
		if c.Rings[i].Capacity == 0 {
			c.Rings[i].Capacity = defaultRingCapacity
		}
	}
}

func (c *fileConfig) validate(d *yamlDecoder) {
	if !nameRule.MatchString(c.Relay) {
		d.at("relay", "%q: letters, digits, - and _ are allowed, 64 at most", c.Relay)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		d.at("listen", "%q: want host:port, such as 127.0.0.1:8080", c.Listen)
	}
	if _, _, err := net.SplitHostPort(c.Metrics); c.Metrics != "" && err != nil {
		d.at("metrics", "%q: want host:port, such as 127.0.0.1:9100", c.Metrics)
	}
	c.validateTransport(d)
	if us := c.CPULatency; us != nil && (*us < 0 || *us > maxCPULatencyUs) {
		d.at("cpu_latency_us", "%d: 0 to %d microseconds", *us, maxCPULatencyUs)
	}
	c.validateBus(d)
	if len(c.Feeds) == 0 && c.Bus == nil {
		d.at("feeds", "no feed is configured; add one with venue, instruments and channels")
	}
	names := map[string]bool{}
	served := map[string]string{}
	for i := range c.Feeds {
		path := fmt.Sprintf("feeds[%d]", i)
		f := &c.Feeds[i]
		f.validate(d, path)
		if names[f.Name] {
			d.at(path, "a second feed named %q; give one a name of its own", f.Name)
		}
		names[f.Name] = true
		for _, in := range f.Instruments {
			for _, ch := range f.Channels {
				key := f.Venue + "." + ch + "." + in
				if other, ok := served[key]; ok && other != path {
					d.at(path, "%s is already served by %s; topics of feeds must not overlap", key, other)
				}
				served[key] = path
			}
		}
	}
	for i, u := range c.Allow.Users {
		if _, err := userID(u); err != nil {
			d.at(fmt.Sprintf("allow.users[%d]", i), "%v", err)
		}
	}
	for i, g := range c.Allow.Groups {
		if _, err := groupID(g); err != nil {
			d.at(fmt.Sprintf("allow.groups[%d]", i), "%v", err)
		}
	}
	c.XDP.validate(d)
	c.Limits.validate(d)
	c.validateProxies(d)
	c.TLS.validate(d)
	c.validateRaw(d)
	c.RecordRaw.validate(d, c.Feeds)
	c.Record.validate(d)
	c.Replay.validate(d)
	c.Auth.validate(d)
	c.validateOrigins(d)
	strategies := map[string]bool{}
	for i := range c.Rings {
		c.Rings[i].validate(d, fmt.Sprintf("rings[%d]", i), strategies)
	}
	c.validateTogether(d)
}

func (f *feedConfig) validate(d *yamlDecoder, path string) {
	v, ok := feeds.ByName(f.Venue)
	if !ok {
		var names []string
		for _, v := range feeds.Venues() {
			names = append(names, v.Spec().Name)
		}
		d.at(path+".venue", "unknown venue %q%s; known: %s", f.Venue, suggest(f.Venue, names), strings.Join(names, ", "))
	}
	if !nameRule.MatchString(f.Name) && ok {
		d.at(path+".name", "%q: letters, digits, - and _ are allowed, 64 at most", f.Name)
	}
	checkURL(d, path+".url", f.URL, "ws", "wss")
	if f.REST != "none" {
		checkURL(d, path+".rest", f.REST, "http", "https")
	}
	if len(f.Instruments) == 0 {
		d.at(path, "instruments is empty; name some, such as [BTC-USDT]")
	}
	for i, in := range f.Instruments {
		if wrong := checkInstrument(in); wrong != "" {
			d.item(path+".instruments", i, "%s", wrong)
		}
	}
	for i, name := range f.Channels {
		ch, known := md.ParseChannel(name)
		if !known {
			d.item(path+".channels", i, "unknown channel %q%s", name, suggest(name, channelNames()))
		} else if ok && !offers(v, ch) {
			d.item(path+".channels", i, "%s has no channel %q; it has %s", f.Venue, name, strings.Join(venueChannels(v), ", "))
		}
	}
	f.validateLines(d, path)
	switch books := slices.Contains(f.Channels, md.ChannelBook.String()); {
	case f.Signals < 0 || f.Signals > feeds.MaxSignalLevels:
		d.at(path+".signals", "%d: want 1 to %d levels, or 0 for no signals", f.Signals, feeds.MaxSignalLevels)
	case f.Signals > 0 && !books:
		d.at(path+".signals", "signals are computed from the books: add the channel book")
	}
	if f.Poll != "block" && f.Poll != "busy" {
		d.at(path+".poll", "%q: want block or busy%s", f.Poll, suggest(f.Poll, []string{"block", "busy"}))
	}
	if f.CPU != nil && *f.CPU < 0 {
		d.at(path+".cpu", "%d: want a processor number, 0 or more", *f.CPU)
	}
}

func (r *ringConfig) validate(d *yamlDecoder, path string, seen map[string]bool) {
	if !nameRule.MatchString(r.Strategy) {
		d.at(path+".strategy", "%q: letters, digits, - and _ are allowed, 64 at most", r.Strategy)
	}
	if seen[r.Strategy] {
		d.at(path+".strategy", "a second ring for %q; list all its topics in one", r.Strategy)
	}
	seen[r.Strategy] = true
	if r.Capacity < minRingCapacity || r.Capacity > maxRingCapacity || r.Capacity&(r.Capacity-1) != 0 {
		d.at(path+".capacity", "%d: want a power of two from %d to %d (records of 64 bytes); take %d", r.Capacity, minRingCapacity, maxRingCapacity, powerNear(r.Capacity))
	}
	if len(r.Topics) == 0 {
		d.at(path, `topics is empty; name some, such as ["binance.>"]`)
	}
	for i, t := range r.Topics {
		if _, err := md.ParsePattern(t); err != nil {
			d.item(path+".topics", i, "%s%s", strings.TrimPrefix(err.Error(), "md: "), patternHint(t))
		}
	}
}

func checkURL(d *yamlDecoder, path, s string, schemes ...string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	if err == nil && u.Host != "" {
		for _, want := range schemes {
			if u.Scheme == want {
				return
			}
		}
	}
	d.at(path, "%q: want an address that starts with %s://", s, strings.Join(schemes, ":// or "))
}

func offers(v feeds.Venue, ch md.Channel) bool {
	for _, c := range v.Spec().Channels {
		if c.Channel == ch {
			return true
		}
	}
	return false
}

func channelNames() []string {
	var names []string
	for ch := md.ChannelTrades; ch < md.ChannelRaw; ch++ {
		names = append(names, ch.String())
	}
	return names
}
