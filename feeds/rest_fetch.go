package feeds

import (
	"errors"
	"slices"
	"time"

	"tickrelay/feeds/capture"
)

// maxFetches bounds snapshot requests under way at once; the others wait in
// the loop, where the engine's own limits keep their number small.
const maxFetches = 2

var errNoREST = errors.New("feeds: no REST base is configured")

// fetch is a REST request that the engine wants.
type fetch struct {
	req int
	url string
	at  int64 // mono ns before which it is not made
}

// wantFetch queues a request for at (wall ns).
func (l *loop) wantFetch(req int, url string, at int64) {
	due := l.mono + max(0, at-l.wall)
	l.note(capture.Fetch, capture.FetchNote{Req: req, URL: url})
	l.fetches = append(l.fetches, fetch{req: req, url: url, at: due})
	l.rearm(due)
}

// fetchTimer makes the requests that are due, oldest first, and returns when
// it is to be called again.
func (l *loop) fetchTimer() int64 {
	if l.fetching >= maxFetches || len(l.fetches) == 0 {
		return never // an answer calls again
	}
	quiet := l.mono + int64(l.quietFor())
	for l.fetching < maxFetches && len(l.fetches) > 0 {
		i := 0
		for k := range l.fetches {
			if l.fetches[k].at < l.fetches[i].at {
				i = k
			}
		}
		if at := max(l.fetches[i].at, quiet); at > l.mono {
			return at
		}
		f := l.fetches[i]
		l.fetches = slices.Delete(l.fetches, i, i+1)
		l.goFetch(f)
	}
	return never
}

func (l *loop) goFetch(f fetch) {
	l.fetching++
	l.health.restRequests.Add(1)
	l.workers.Go(func() {
		var body []byte
		err := errNoREST
		if l.rest != nil {
			rq := Request{URL: f.url}
			if s, ok := l.cfg.Venue.(Signer); ok {
				wall, _ := l.rest.clock()
				s.Sign(&rq, wall)
			}
			body, err = l.rest.do(rq)
		}
		l.mail.post(func() {
			l.fetching--
			if err != nil {
				l.health.restFailures.Add(1) // the engine logs it
			}
			l.noteREST(capture.RESTNote{Req: f.req, URL: f.url}, body, err)
			l.engine.Snapshot(f.req, body, err, l.wall)
			l.settle()
			l.rearm(l.mono)
		})
	})
}

// quietFor is how long the venue still wants no REST request.
func (l *loop) quietFor() time.Duration {
	if l.rest == nil {
		return 0
	}
	return max(0, time.Duration(l.rest.quietUntil()-l.mono))
}
