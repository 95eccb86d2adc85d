package feeds

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tickrelay/ring/md"
)

// catalogue keeps a feed's instrument list fresh: read from disk at the start,
// fetched beside the loop, again after a failure, and every CatalogueEvery.
// Its fields belong to the loop.
type catalogue struct {
	reqs    []Request
	lists   [][]md.Instrument // as last read, one per request
	due     int64             // mono ns of the next fetch, 0 while one is under way or none is wanted
	startBy int64             // mono ns until which connections wait for the first list, 0 if they do not
	failed  int               // in a row
	told    string            // the failure logged last
	logged  bool              // a success was logged
}

// maxCatalogueRetry is the longest wait before lists that failed are fetched
// again; instruments listed meanwhile come that much later.
const maxCatalogueRetry = 5 * time.Minute

// readList decodes one list, page by page. An empty one is no error: there are
// venues without contracts of a kind.
func readList(v Venue, page func(n int, more string) ([]byte, error)) ([]md.Instrument, error) {
	list, more := []md.Instrument{}, ""
	for n := range maxPages {
		body, err := page(n, more)
		if err != nil {
			return nil, err
		}
		if more, err = v.DecodeCatalogue(body, func(in md.Instrument) { list = append(list, in) }); err != nil {
			return nil, fmt.Errorf("feeds: %s: catalogue: %w", v.Spec().Name, err)
		}
		if more == "" {
			return list, nil
		}
	}
	return nil, fmt.Errorf("feeds: %s: catalogue: more than %d pages", v.Spec().Name, maxPages)
}

// maxPages bounds the pages of one list.
const maxPages = 64

// cacheFile is where page n of list i is kept: the venue's own answer, so that the cache
// has no format of its own that could age.
func cacheFile(dir string, v Venue, i, n int) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == filepath.Separator {
			return '_'
		}
		return r
	}, v.Spec().Name)
	if n > 0 {
		return filepath.Join(dir, fmt.Sprintf("%s.catalogue.%d.%d.json", name, i, n))
	}
	return filepath.Join(dir, fmt.Sprintf("%s.catalogue.%d.json", name, i))
}

// loadList reads list i kept in dir. os.ErrNotExist if there is none.
func loadList(dir string, v Venue, i int) (f fetched) {
	if dir == "" {
		f.err = os.ErrNotExist
		return f
	}
	f.list, f.err = readList(v, func(n int, _ string) ([]byte, error) {
		body, err := os.ReadFile(cacheFile(dir, v, i, n))
		f.pages = append(f.pages, page{body: body})
		return body, err
	})
	return f
}

// leftAfter is the age at which a page that is being written belongs to a process that
// died.
const leftAfter = 10 * time.Minute

// sweepCache removes what processes that died have left of pages.
func sweepCache(dir string, now time.Time) {
	left, _ := filepath.Glob(filepath.Join(dir, ".catalogue-*")) // the pattern is well formed
	for _, f := range left {
		if st, err := os.Stat(f); err == nil && now.Sub(st.ModTime()) > leftAfter {
			os.Remove(f)
		}
	}
}

// storePage keeps page n of list i in dir, replaced as a whole.
func storePage(dir string, v Venue, i, n int, body []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".catalogue-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(body)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), cacheFile(dir, v, i, n))
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// fetched is the outcome of fetching one list.
type fetched struct {
	list []md.Instrument // nil with err
	err  error
	keep error // the list could not be kept on disk

	pages []page // the answers that it was read from
}

type page struct {
	url  string
	body []byte
}

// fetchList gets, reads and keeps list i. Runs beside the loop.
func fetchList(rest *restClient, v Venue, req Request, i int, dir string) (f fetched) {
	f.list, f.err = readList(v, func(_ int, more string) ([]byte, error) {
		body, err := rest.do(Request{URL: req.URL + more, Body: req.Body, Header: req.Header})
		f.pages = append(f.pages, page{req.URL + more, body})
		return body, err
	})
	for n := range f.pages {
		if f.err == nil && f.keep == nil && dir != "" {
			f.keep = storePage(dir, v, i, n, f.pages[n].body)
		}
	}
	return f
}

// openCatalogue starts with what is on disk and schedules the first fetch.
func (l *loop) openCatalogue() {
	c := &l.catalogue
	if l.cfg.REST == "" {
		return
	}
	c.reqs = l.cfg.Venue.Catalogue(l.cfg.REST)
	if len(c.reqs) == 0 {
		return
	}
	if l.cfg.CacheDir != "" {
		sweepCache(l.cfg.CacheDir, time.Unix(0, l.wall))
	}
	c.due = l.mono
	c.lists = make([][]md.Instrument, len(c.reqs))
	cached := make([]fetched, len(c.reqs))
	for i := range c.lists {
		cached[i] = loadList(l.cfg.CacheDir, l.cfg.Venue, i)
		if err := cached[i].err; err != nil && !errors.Is(err, os.ErrNotExist) {
			l.log.Warn("cached catalogue not used", "file", cacheFile(l.cfg.CacheDir, l.cfg.Venue, i, 0), "error", err)
		}
		c.lists[i] = cached[i].list
	}
	if all := c.all(); len(all) > 0 {
		l.noteCatalogue("cached", cached)
		l.useCatalogue("cached", all)
		return
	}
	c.startBy = l.mono + int64(l.cfg.Limits.CatalogueWait)
}

// all joins the lists.
func (c *catalogue) all() []md.Instrument {
	var all []md.Instrument
	for _, list := range c.lists {
		all = append(all, list...)
	}
	return all
}

// wholeLists reports whether every list was read once.
func wholeLists(lists [][]md.Instrument) bool {
	return !slices.ContainsFunc(lists, func(list []md.Instrument) bool { return list == nil })
}

func (l *loop) useCatalogue(state string, all []md.Instrument) {
	l.health.catalogue(state, len(all), l.wall)
	l.engine.takeCatalogue(all, wholeLists(l.catalogue.lists))
	l.settle()
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

// refreshCatalogue makes the next fetch due, unless one is under way.
func (l *loop) refreshCatalogue() {
	if c := &l.catalogue; c.due != 0 {
		c.due = l.mono
		l.rearm(c.due)
	}
}

func (l *loop) goFetchCatalogue() {
	reqs, v, dir := l.catalogue.reqs, l.cfg.Venue, l.cfg.CacheDir
	l.workers.Go(func() {
		results := make([]fetched, len(reqs))
		for i, req := range reqs {
			l.health.restRequests.Add(1)
			results[i] = fetchList(l.rest, v, req, i, dir)
		}
		l.mail.post(func() { l.catalogueAnswer(results) })
	})
}

// catalogueAnswer takes fetched lists into use. A list that failed keeps what it
// held before, because an instrument missing in a catalogue counts as delisted;
// it is fetched again after a back-off.
func (l *loop) catalogueAnswer(results []fetched) {
	c := &l.catalogue
	var failed, notKept error
	news := false
	for i, f := range results {
		if f.err != nil {
			failed = f.err
			l.health.restFailures.Add(1)
			continue
		}
		c.lists[i], news = f.list, true
		notKept = errors.Join(notKept, f.keep)
	}
	if news {
		l.noteCatalogue("fetched", results)
	}
	if all := c.all(); news && len(all) > 0 {
		l.useCatalogue("fetched", all)
	}
	wait := time.Duration(float64(l.cfg.Limits.CatalogueEvery) * (0.9 + 0.2*l.rng.Float64()))
	if failed != nil {
		c.failed++
		wait = l.cfg.Backoff.delay(c.failed, l.rng) << min(max(0, c.failed-6), 8) // on from the back-off's cap
		wait = max(min(wait, maxCatalogueRetry), l.quietFor())
		l.health.catalogueFailed(failed)
	} else {
		c.failed = 0
	}
	l.tellCatalogue(failed, notKept, wait)
	c.due = l.mono + int64(wait)
	l.rearm(c.due)
	l.startLines()
}

// tellCatalogue logs what changed.
func (l *loop) tellCatalogue(failed, notKept error, wait time.Duration) {
	c := &l.catalogue
	told := ""
	if failed != nil {
		if told = failed.Error(); told != c.told {
			l.log.Warn("catalogue not fetched in full", "error", failed, "retry", wait)
		}
	} else if c.told != "" || !c.logged {
		l.log.Info("catalogue fetched", "instruments", len(c.all()))
		c.logged = true
	}
	c.told = told
	if notKept != nil {
		l.log.Warn("catalogue not kept", "dir", l.cfg.CacheDir, "error", notKept)
	}
}

// randomOf returns the generator of a feed's jitter.
func randomOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x7469636b)) }
