package soak

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// Result is what a soak found.
type Result struct {
	Started     time.Time         `json:"started"`
	Seconds     float64           `json:"seconds"`
	Asked       float64           `json:"asked_seconds"`
	Interrupted bool              `json:"interrupted"`
	Seed        uint64            `json:"seed"`
	Speed       float64           `json:"speed"` // 0: as fast as the host takes it
	Hardware    map[string]string `json:"hardware"`
	Version     string            `json:"version"` // of the program
	Plant       string            `json:"plant,omitempty"`
	Venues      int               `json:"venues"`
	Events      uint64            `json:"market_events"`
	Reached     float64           `json:"mean_speed"` // multiples of RealPace, over the storms
	Fastest     float64           `json:"top_speed"`  // likewise, the fastest second

	Faults  map[string]int       `json:"faults"`         // done, by kind; those of exchanges by name
	NotRun  map[string]int       `json:"faults_not_run"` // why, and how often
	Plan    []Action             `json:"-"`              // as it was done
	Done    []string             `json:"plan"`           // the same in words
	Slow    uint64               `json:"exchange_drops"` // connections that exchanges ended because the feeds were behind
	Connect int                  `json:"exchange_conns"` // connections to exchanges
	Readers map[string]*Readings `json:"readers"`        // by process

	Invariants  []Outcome    `json:"invariants"`
	Differences []Difference `json:"differences"` // books that did not equal at once
	Storms      int          `json:"storms"`
	Comparisons int          `json:"comparisons"`          // at which every reader's books equalled the exchanges'
	Repeated    int          `json:"comparisons_repeated"` // because something that was sent last had been lost
	Books       uint64       `json:"books_compared"`
	Levels      uint64       `json:"levels_compared"`

	Processes  []Holding   `json:"processes"`
	ShmGrowth  int64       `json:"shm_growth_bytes"`
	Violated   int         `json:"violated"`
	Violations []Violation `json:"violations"`

	Samples []Sample     `json:"samples"`
	Calms   [][2]float64 `json:"calms"` // s into the run, of the comparisons
	Points  []Point      `json:"points"`
	Stages  []Stage      `json:"stages"` // latencies of the relay's own metrics

	exchange simStat
	injected map[string]uint64 // as the exchanges counted them, by fault
	checks   tally
	violated tally
}

// Readings are what the readers of one process have seen, over all its lives.
type Readings struct {
	Records  uint64            `json:"records"`
	Trades   uint64            `json:"trades"`
	Sessions uint64            `json:"sessions"`
	Lives    int               `json:"lives"`
	Gaps     map[string]uint64 `json:"gaps"`
}

// Sample is a second of the run.
type Sample struct {
	T          float64          `json:"t"`
	Records    uint64           `json:"records"` // and messages that readers judged, so far
	Rate       float64          `json:"rate"`    // market events per second
	Idle       float64          `json:"idle"`    // share of the processors' time
	Calm       bool             `json:"calm"`
	Strategies latency          `json:"strategies"` // the worst of those with large rings
	Clients    latency          `json:"clients"`
	Use        map[string]Usage `json:"use"`
	PIDs       map[string]int   `json:"-"`
	Shm        int64            `json:"shm"`
}

// Point is the state while the market stands still and all books are equal.
type Point struct {
	T    float64          `json:"t"`
	Use  map[string]Usage `json:"use"`
	PIDs map[string]int   `json:"-"`
	Shm  int64            `json:"shm"`
}

// Holding is whether a process holds more and more, over its last life.
type Holding struct {
	Name        string  `json:"name"`
	Lives       int     `json:"lives"`
	Seconds     float64 `json:"seconds"`       // of its last life, after warming up
	MemoryMiB   float64 `json:"memory_mib"`    // mean of its own memory
	SlopeMiBh   float64 `json:"slope_mib_h"`   // of that memory
	SlopeErr    float64 `json:"slope_err"`     // standard error of the slope
	LateMiB     float64 `json:"late_mib"`      // median of the last third of that life against the second
	HeapMiB     float64 `json:"heap_mib"`      // alive after collections, between storms: median of the last third; 0: not known
	HeapLateMiB float64 `json:"heap_late_mib"` // against that of the second
	Judged      bool    `json:"judged"`        // that life was long enough
	Readings    int     `json:"readings"`      // of its memory
	FDs         int     `json:"fds"`           // the last
	FDSlope     float64 `json:"fds_slope_h"`   // of all of them
	FDSlopeErr  float64 `json:"fds_slope_err"`
	Files       int     `json:"files"`        // those that are no socket, the last between storms
	FDGrowth    float64 `json:"fd_growth"`    // median of the last third against the first, between storms
	FileGrowth  float64 `json:"files_growth"` // likewise, of those that are no socket
	Goroutines  int     `json:"goroutines"`
	GoGrowth    float64 `json:"goroutine_growth"`
	GoReadings  int     `json:"goroutine_points"` // comparisons at which it told them
	Comparisons int     `json:"points"`
}

func newResult(cfg Config, hardware map[string]string) *Result {
	return &Result{Asked: cfg.For.Seconds(), Seed: cfg.Seed, Speed: cfg.Speed, Hardware: hardware, Version: cfg.Version, Plant: cfg.Plant,
		Faults: map[string]int{}, NotRun: map[string]int{}, Readers: map[string]*Readings{}}
}

// acted notes an action of the plan.
func (r *Result) acted(_ int, a Action) {
	r.Plan = append(r.Plan, a)
	r.Done = append(r.Done, a.String())
	if a.Not != "" {
		r.NotRun[a.Kind+": "+a.Not]++
		return
	}
	name := a.Kind
	if a.Fault != "" {
		name += ": " + a.Fault
	}
	r.Faults[name]++
}

// add sums up a reader's life when it is over.
func (r *Result) add(p *proc) {
	if p.last == nil {
		return
	}
	s := r.Readers[p.name]
	if s == nil {
		s = &Readings{Gaps: map[string]uint64{}}
		r.Readers[p.name] = s
	}
	s.Records, s.Trades = s.Records+p.last.Records, s.Trades+p.last.Trades
	r.checks.add(&p.last.Checks)
	s.Sessions += p.last.Sessions
	s.Lives++
	for k, n := range p.last.Gaps {
		s.Gaps[k] += n
	}
	p.last = nil
}

// watched are the processes whose holdings are judged.
func (s *soak) watched() map[string]*proc {
	m := map[string]*proc{"exchanges": s.exchanges, "feeds": s.feeds, "gateway": s.gateway}
	for _, p := range s.readers {
		m[p.name] = p
	}
	return m
}

// use reads what the processes hold.
func (s *soak) use() (use map[string]Usage, pids map[string]int) {
	use, pids = map[string]Usage{}, map[string]int{}
	for name, p := range s.watched() {
		if u, ok := usage(p.pid()); ok && !p.exited {
			if p.last != nil {
				u.Goroutines = p.last.Goroutines
			}
			use[name], pids[name] = u, p.pid()
		}
	}
	if u, ok := use["exchanges"]; ok {
		u.Goroutines = s.res.exchange.Goroutines
		use["exchanges"] = u
	}
	return use, pids
}

// sample takes the readings of a second, and sets the pace of the next.
func (s *soak) sample() {
	x := Sample{T: time.Since(s.begun).Seconds(), Rate: s.rate, Calm: s.calm, Shm: shmUsed()}
	x.Use, x.PIDs = s.use()
	x.Records = s.records()
	for _, p := range s.readers {
		if p.last == nil {
			continue
		}
		to := &x.Strategies
		switch p.name {
		case "clients":
			to = &x.Clients
		case strategyNames[2], slowClients:
			continue
		}
		if p.last.Latency.P99 >= to.P99 {
			*to = p.last.Latency
		}
	}
	var next float64
	next, x.Idle = s.pace.next(s.rate, x.Strategies.P99, s.calm)
	s.res.Samples = append(s.res.Samples, x)
	s.setRate(next)
	if n := len(s.res.Samples); n%10 == 0 {
		s.progress(&x)
	}
}

func (s *soak) progress(x *Sample) {
	fmt.Fprintf(s.cfg.Progress, "%4.0f s  %6.0f events/s  %s records  %d faults  %d comparisons  p99 %.1f ms  idle %2.0f %%  violations %d\n",
		x.T, x.Rate, count(x.Records), s.res.faults(), s.res.Comparisons, x.Strategies.P99/1e3, 100*x.Idle, s.res.Violated)
}

// records is how many records and messages all readers have judged so far.
func (s *soak) records() (n uint64) {
	for _, r := range s.res.Readers {
		n += r.Records
	}
	for _, p := range s.readers {
		if p.last != nil {
			n += p.last.Records
		}
	}
	return n
}

// count writes a number as people read it.
func count(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f G", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.0f k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}

// point takes the holdings while everything stands still.
func (s *soak) point() {
	p := Point{T: time.Since(s.begun).Seconds(), Shm: shmUsed()}
	p.Use, p.PIDs = s.use()
	var wg sync.WaitGroup
	var feeds, gateway scraped
	ask := func(addr string, to *scraped) func() {
		return func() {
			if x, err := scrape(addr); err == nil {
				*to = x
			}
		}
	}
	wg.Go(ask(s.metrics, &feeds))
	wg.Go(ask(s.listen, &gateway))
	wg.Wait()
	for name, x := range map[string]scraped{"feeds": feeds, "gateway": gateway} {
		u := p.Use[name]
		u.Goroutines, u.Heap = x.goroutines, x.heap
		p.Use[name] = u
	}
	s.res.Points = append(s.res.Points, p)
}

func round(x float64, digits int) float64 {
	f := math.Pow(10, float64(digits))
	return math.Round(x*f) / f
}
