package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reloadEvery is how often files are looked at. Their content decides, not their
// times: certificate tools replace files by renaming, by writing in place and by
// switching symbolic links, and leave all kinds of times behind.
const reloadEvery = 2 * time.Second

// reloader keeps one part of the configuration in step with its files.
type reloader struct {
	part  string          // for logs and metrics
	files func() []string // small ones
	load  func() error    // puts the files' content in force, or leaves the old alone
	sum   [sha256.Size]byte
	early bool // what the files hold is good, but only later

	ok, failed atomic.Uint64
}

// errEarly says that what was loaded may be used later: it is tried again.
var errEarly = errors.New("not valid yet")

// reloaders are all parts that have files. One goroutine at a time works on them.
type reloaders struct {
	log *slog.Logger

	mu    sync.Mutex
	parts []*reloader
}

// add begins to watch a part that has just been loaded.
func (r *reloaders) add(part string, files func() []string, load func() error) {
	p := &reloader{part: part, files: files, load: load}
	p.sum = p.digest()
	r.parts = append(r.parts, p)
}

// digest sums the files up. One that cannot be read counts as empty.
func (p *reloader) digest() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, f := range p.files() {
		text, err := os.ReadFile(f)
		one := sha256.Sum256(text)
		h.Write(one[:])
		if err != nil {
			h.Write([]byte{1})
		}
	}
	h.Sum(sum[:0])
	return sum
}

// note has changes of the files noticed from what they hold now. The caller holds mu.
func (r *reloaders) note() {
	for _, p := range r.parts {
		p.sum = p.digest()
	}
}

// look loads the parts whose files have changed, or all.
func (r *reloaders) look(all bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, p := range r.parts {
		sum := p.digest()
		again := sum == p.sum && !all
		if again && !p.early || len(p.files()) == 0 {
			continue
		}
		p.sum = sum
		err := p.load()
		p.early = errors.Is(err, errEarly)
		if again && p.early {
			continue // told already
		}
		if err != nil {
			p.failed.Add(1)
			r.log.Error("not reloaded: the old one stays in force", "part", p.part, "reason", err)
			errs = append(errs, err)
			continue
		}
		p.ok.Add(1)
		r.log.Info("reloaded", "part", p.part)
	}
	return errors.Join(errs...)
}

// run looks at the files until ctx ends.
func (r *reloaders) run(ctx context.Context) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = r.look(false) // logged
		}
	}
}

// Reload reads certificate, tokens and keys again, whether their files changed or not;
// what changed is noticed within two seconds without it. What cannot be used is logged
// and returned, and the old one stays in force. Connections stay open. Safe from any
// goroutine.
func (g *Gateway) Reload() error { return g.reloads.look(true) }
