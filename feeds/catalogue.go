package feeds

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tickrelay/ring/md"
)

// catalogue keeps a feed's instrument list fresh: read from disk at the start,
// fetched beside the loop, again after a failure, and every CatalogueEvery.
// Its fields belong to the loop.
type catalogue struct {
	urls    []string
	due     int64 // mono ns of the next fetch, 0 while one is under way or none is wanted
	startBy int64 // mono ns until which connections wait for the first list, 0 if they do not
	failed  int   // in a row
}

// readCatalogue decodes all lists of a venue into one; any bad list fails it,
// because an instrument that is missing here counts as delisted.
func readCatalogue(v Venue, bodies [][]byte) ([]md.Instrument, error) {
	var all []md.Instrument
	for i, body := range bodies {
		err := v.DecodeCatalogue(body, func(in md.Instrument) { all = append(all, in) })
		if err != nil {
			return nil, fmt.Errorf("feeds: %s: catalogue %d of %d: %w", v.Spec().Name, i+1, len(bodies), err)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("feeds: %s: catalogue holds no instrument", v.Spec().Name)
	}
	return all, nil
}

// cacheFile is where list i is kept: the venue's own answer, so that the cache
// has no format of its own that could age.
func cacheFile(dir string, v Venue, i int) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == filepath.Separator {
			return '_'
		}
		return r
	}, v.Spec().Name)
	return filepath.Join(dir, fmt.Sprintf("%s.catalogue.%d.json", name, i))
}

// loadCatalogue reads the lists kept in dir. os.ErrNotExist if there are none.
func loadCatalogue(dir string, v Venue, lists int) ([]md.Instrument, error) {
	if dir == "" || lists == 0 {
		return nil, os.ErrNotExist
	}
	bodies := make([][]byte, lists)
	for i := range bodies {
		var err error
		if bodies[i], err = os.ReadFile(cacheFile(dir, v, i)); err != nil {
			return nil, err
		}
	}
	return readCatalogue(v, bodies)
}

// storeCatalogue keeps the lists in dir, each replaced as a whole.
func storeCatalogue(dir string, v Venue, bodies [][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, body := range bodies {
		tmp, err := os.CreateTemp(dir, ".catalogue-*")
		if err != nil {
			return err
		}
		_, err = tmp.Write(body)
		err = errors.Join(err, tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), cacheFile(dir, v, i))
		}
		if err != nil {
			os.Remove(tmp.Name())
			return err
		}
	}
	return nil
}

// fetchCatalogue gets, reads and keeps all lists. Runs beside the loop.
func fetchCatalogue(rest *restClient, v Venue, urls []string, dir string) (all []md.Instrument, keep error, err error) {
	bodies := make([][]byte, len(urls))
	for i, u := range urls {
		if bodies[i], err = rest.get(u); err != nil {
			return nil, nil, err
		}
	}
	if all, err = readCatalogue(v, bodies); err != nil {
		return nil, nil, err
	}
	if dir != "" {
		keep = storeCatalogue(dir, v, bodies)
	}
	return all, keep, nil
}

// openCatalogue starts with what is on disk and schedules the first fetch.
func (l *loop) openCatalogue() {
	c := &l.catalogue
	if l.cfg.REST == "" {
		return
	}
	c.urls = l.cfg.Venue.CatalogueURLs(l.cfg.REST)
	if len(c.urls) == 0 {
		return
	}
	c.due = l.mono
	all, err := loadCatalogue(l.cfg.CacheDir, l.cfg.Venue, len(c.urls))
	switch {
	case err == nil:
		l.health.catalogue("cached", len(all), l.wall)
		l.engine.Catalogue(all)
		l.settle()
		return
	case !errors.Is(err, os.ErrNotExist):
		l.log.Warn("cached catalogue not used", "dir", l.cfg.CacheDir, "error", err)
	}
	c.startBy = l.mono + int64(l.cfg.Limits.CatalogueWait)
}

// catalogueTimer fetches when it is time and returns when it is next.
func (l *loop) catalogueTimer() int64 {
	c := &l.catalogue
	if c.startBy != 0 && l.mono >= c.startBy {
		l.log.Warn("starting without a catalogue", "waited", l.cfg.Limits.CatalogueWait)
		l.startLines()
	}
	if c.due != 0 && l.mono >= c.due {
		c.due = 0
		l.goFetchCatalogue()
	}
	next := never
	if c.startBy != 0 {
		next = c.startBy
	}
	if c.due != 0 {
		next = min(next, c.due)
	}
	return next
}

func (l *loop) goFetchCatalogue() {
	l.health.restRequests.Add(uint64(len(l.catalogue.urls)))
	urls, v, dir := l.catalogue.urls, l.cfg.Venue, l.cfg.CacheDir
	l.workers.Go(func() {
		all, keep, err := fetchCatalogue(l.rest, v, urls, dir)
		l.mail.post(func() { l.catalogueAnswer(all, keep, err) })
	})
}

// catalogueAnswer takes a fetched list into use, or schedules another try.
func (l *loop) catalogueAnswer(all []md.Instrument, keep, err error) {
	c := &l.catalogue
	wait := time.Duration(float64(l.cfg.Limits.CatalogueEvery) * (0.9 + 0.2*l.rng.Float64()))
	if err != nil {
		c.failed++
		wait = max(l.cfg.Backoff.delay(c.failed, l.rng), time.Duration(l.rest.quietUntil()-l.mono))
		l.health.restFailures.Add(1)
		l.health.catalogueFailed(err)
		l.log.Warn("catalogue not fetched", "error", err, "failures", c.failed, "retry", wait)
	} else {
		c.failed = 0
		l.health.catalogue("fetched", len(all), l.wall)
		l.log.Info("catalogue fetched", "instruments", len(all))
		l.engine.Catalogue(all)
		l.settle()
	}
	if keep != nil {
		l.log.Warn("catalogue not kept", "dir", l.cfg.CacheDir, "error", keep)
	}
	c.due = l.mono + int64(wait)
	l.rearm(c.due)
	l.startLines()
}

// randomOf returns the generator of a feed's jitter.
func randomOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x7469636b)) }
