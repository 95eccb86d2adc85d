package soak

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"tickrelay/feeds"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// soak is a run. All but the processes' output is one goroutine's.
type soak struct {
	cfg     Config
	dir     string // the soak's folder
	relay   string // name
	listen  string // of the gateway
	metrics string // of the feeds
	venues  []venueInfo
	ch      chan said
	begun   time.Time

	exchanges, feeds, gateway *proc
	readers                   []*proc // strategies and clients, in the order of readerNames
	old                       []*proc // gateways that were taken over from

	later   []timed
	frozen  *message // the exchanges' answer
	rate    float64
	pace    pace
	recent  []string          // the last faults, for violations
	hid     map[string]hidden // by venue, the last fault that takes something away unseen
	calm    bool
	closing bool      // nothing is measured any more
	stepped time.Time // until when the feeds' clock is wrong
	scrapes chan scraped
	stages  map[string]buckets // of the last reading
	shm     *os.File           // what fills /dev/shm
	res     *Result
}

// timed is something to do later; a lasting fault's end, or a look at what became of
// something.
type timed struct {
	at   time.Time
	ends bool
	do   func()
}

// readerNames are the processes that judge.
var readerNames = append(append([]string(nil), strategyNames...), "clients", slowClients)

const (
	slowClients = "slow clients"
	// historyBytes and candleBytes bound what fills up by design, so that it is full
	// before memory is judged (warmUpMost). The defaults are larger.
	historyBytes = 4 << 20
	candleBytes  = 1 << 20
)

// Run runs a soak until its time is over or ctx ends; what was found until then is
// in the result either way. The error is of a soak that could not be run.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	// The kernel ends the processes with the thread that started them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir, err := os.MkdirTemp("", "tickrelay-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s := &soak{cfg: cfg, dir: dir, relay: fmt.Sprintf("soak-%d", os.Getpid()), ch: make(chan said, 4096), begun: time.Now(), hid: map[string]hidden{}, scrapes: make(chan scraped, 4), stages: map[string]buckets{}}
	s.res = newResult(cfg, hardware())
	defer s.killAll()
	if err := s.open(ctx); err != nil {
		return s.res, err
	}
	s.setRate(s.pace.first(cfg.Speed))
	s.begun = time.Now()
	s.res.Started, s.res.Venues = s.begun, len(s.venues)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go watchStages(watching, s.metrics, s.scrapes)
	go watchStages(watching, s.listen, s.scrapes)
	for i, st := range makePlan(cfg.Seed, cfg.For, s.venues) {
		if s.over(ctx) {
			break
		}
		s.res.Storms++
		s.storm(ctx, i, st)
		if ctx.Err() == nil {
			s.check(ctx, i)
		}
	}
	s.res.Seconds, s.res.Interrupted = time.Since(s.begun).Seconds(), ctx.Err() != nil
	stop()
	s.closing = true
	s.close()
	s.res.judge()
	return s.res, nil
}

func (s *soak) over(ctx context.Context) bool {
	return ctx.Err() != nil || time.Since(s.begun) >= s.cfg.For
}

// open starts everything, from the exchanges to the clients.
func (s *soak) open(ctx context.Context) (err error) {
	if s.exchanges, err = start("exchanges", s.cfg.Child("exchanges", s.dir, fmt.Sprint(s.cfg.Seed)), s.ch); err != nil {
		return err
	}
	if err = s.ready(ctx, s.exchanges); err != nil {
		return err
	}
	if s.listen, err = freeAddress(); err == nil {
		s.metrics, err = freeAddress()
	}
	if err == nil {
		err = os.WriteFile(s.config(), []byte(s.yaml()), 0o600)
	}
	if err != nil {
		return err
	}
	if err = s.startFeeds(); err == nil {
		err = s.ready(ctx, s.feeds)
	}
	if err == nil {
		err = s.startGateway()
	}
	if err == nil {
		err = s.ready(ctx, s.gateway)
	}
	s.readers = make([]*proc, len(readerNames))
	for i := range readerNames {
		if err == nil {
			err = s.startReader(i)
		}
	}
	for _, p := range s.readers {
		if err == nil {
			err = s.ready(ctx, p)
		}
	}
	return err
}

// ready waits until a process says that it is.
func (s *soak) ready(ctx context.Context, p *proc) error {
	if s.until(ctx, time.Minute, func() bool { return p.ready || p.exited }) && !p.exited {
		return nil
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before the soak began")
	}
	return fmt.Errorf("%s did not start:\n%s", p.name, p.log.String())
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *soak) config() string   { return filepath.Join(s.dir, "tickrelay.yaml") }
func (s *soak) socket() string   { return filepath.Join(s.dir, "attach.sock") }
func (s *soak) relayDir() string { return filepath.Join(ring.DefaultBase, s.relay) }

// yaml is the relay's configuration: every venue, every second one over two lines.
func (s *soak) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "relay: %s\nlisten: %s\nmetrics: %s\nsocket: %s\nlimits: {history_bytes: %d, candle_bytes: %d}\nfeeds:\n", s.relay, s.listen, s.metrics, s.socket(), historyBytes, candleBytes)
	for i, v := range s.venues {
		fmt.Fprintf(&b, "  - {venue: %s, url: %q, rest: %q, instruments: [%s], channels: [%s], lines: %d}\n",
			v.Name, v.URL, v.REST, strings.Join(v.Symbols, ", "), strings.Join(names(channels(v.Name)), ", "), 1+i%2)
	}
	fmt.Fprintf(&b, "rings:\n  - {strategy: %s, topics: [\">\"], capacity: 65536}\n", strategyNames[0])
	return b.String()
}

// channels are those of a venue that are judged, and tickers for company.
func channels(venue string) []md.Channel {
	var list []md.Channel
	v, ok := feeds.ByName(venue)
	if !ok {
		return nil
	}
	for _, c := range v.Spec().Channels {
		switch c.Channel {
		case md.ChannelTrades, md.ChannelBook, md.ChannelBBO, md.ChannelTicker:
			list = append(list, c.Channel)
		}
	}
	return list
}

func names(list []md.Channel) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.String())
	}
	return out
}

func (s *soak) startFeeds() (err error) {
	s.feeds, err = start("feeds", s.cfg.Child("feeds", s.config(), s.dir, "--plant", s.cfg.Plant), s.ch)
	return err
}

func (s *soak) startGateway(args ...string) (err error) {
	args = append([]string{"run", "--gateway-only", "-c", s.config(), "--log", "warn"}, args...)
	s.gateway, err = start("gateway", s.cfg.Program(args...), s.ch)
	return err
}

// smallRing is the capacity of rings that overrun as soon as their reader is stopped.
const smallRing = "256"

// startReader starts the process of readerNames[i].
func (s *soak) startReader(i int) (err error) {
	name, base := readerNames[i], []string{"strategy", s.dir, "--name", readerNames[i]}
	var args []string
	switch name {
	case strategyNames[0]: // by path
		args = append(base, "--rings", s.relayDir(), "--topics", ">")
	case strategyNames[1]: // over the socket
		args = append(base, "--socket", s.socket(), "--topics", ">", "--plant", s.cfg.Plant)
	case strategyNames[2]: // small rings, that overrun
		args = append(base, "--socket", s.socket(), "--topics", "*.book.*,*.trades.*", "--capacity", smallRing)
	case "clients":
		args = []string{"clients", s.dir, "--address", s.listen}
	default:
		args = []string{"clients", s.dir, "--address", s.listen, "--slow", "--seed", fmt.Sprint(s.cfg.Seed)}
	}
	s.readers[i], err = start(name, s.cfg.Child(args...), s.ch)
	return err
}

// close ends everything in order, and looks whether anything was left behind.
func (s *soak) close() {
	s.endFaults()
	s.setRate(RealPace)
	for _, p := range s.readers {
		p.leaving = true
		p.in.Close()
	}
	for _, p := range []*proc{s.gateway, s.feeds} {
		p.leaving = true
		if err := p.signal(syscall.SIGINT); err != nil {
			s.violation(Alive, p.name, "", err.Error())
		}
	}
	ended := func() bool {
		for _, p := range append(append([]*proc{s.gateway, s.feeds}, s.readers...), s.old...) {
			if !p.exited {
				return false
			}
		}
		return true
	}
	if !s.until(context.Background(), time.Minute, ended) {
		s.violation(Alive, "relay", "", "not everything has ended a minute after it was asked to")
	}
	for _, p := range append([]*proc{s.gateway, s.feeds}, s.readers...) {
		if code := p.cmd.ProcessState.ExitCode(); p.exited && code != 0 {
			s.violation(Alive, p.name, "", fmt.Sprintf("exit %d after it was asked to end: %s", code, p.log.String()))
		}
	}
	for _, t := range s.later {
		t.do() // what was to be looked at
	}
	if _, err := os.Stat(s.relayDir()); err == nil {
		s.violation(FlatShm, "feeds", "", "left "+s.relayDir()+" behind")
	}
	s.exchanges.leaving = true
	s.exchanges.in.Close()
	s.until(context.Background(), 10*time.Second, func() bool { return s.exchanges.exited })
}

// killAll ends what is still there.
func (s *soak) killAll() {
	if s.shm != nil {
		s.emptyShm()
	}
	for _, p := range append(append([]*proc{s.exchanges, s.feeds, s.gateway}, s.readers...), s.old...) {
		if p != nil && !p.exited {
			_ = p.signal(syscall.SIGKILL)
			for x := range s.ch { // until its end was told
				if x.end {
					if x.p.exited = true; x.p == p {
						break
					}
				}
			}
		}
	}
}
