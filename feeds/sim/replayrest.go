package sim

import (
	"fmt"
	"net/url"
	"strings"

	"tickrelay/feeds/capture"
)

// recordedREST holds the REST answers of captures. Callers hold the server's lock.
type recordedREST struct {
	list []restAnswer
}

// restAnswer is one request and the answers that it got, in their order.
type restAnswer struct {
	path   string // "" where the address was not recorded: any book snapshot
	query  url.Values
	bodies [][]byte
	next   int
}

// identity are the query parameters that tell one answer from another; limits
// and the like do not.
func identity() []string {
	return []string{"symbol", "instId", "instType", "productType", "uly", "instFamily"}
}

// openRecordedREST reads the answers beside the captures.
func openRecordedREST(captures []string) (*recordedREST, error) {
	r := &recordedREST{}
	for _, path := range captures {
		file := capture.RESTFile(path)
		if file == "" {
			continue
		}
		answers, err := capture.ReadREST(file)
		if err != nil {
			return nil, fmt.Errorf("sim: replay: %w", err)
		}
		for _, a := range answers {
			u, err := url.Parse(a.URL)
			if err != nil {
				return nil, fmt.Errorf("sim: replay: %s:%d: url: %w", file, a.LineNo, err)
			}
			r.add(u.Path, u.Query(), a.Body)
		}
	}
	return r, nil
}

func (r *recordedREST) add(path string, query url.Values, body []byte) {
	key := url.Values{}
	for _, name := range identity() {
		if v := query.Get(name); v != "" {
			key.Set(name, v)
		}
	}
	for i := range r.list {
		if a := &r.list[i]; a.path == path && a.query.Encode() == key.Encode() {
			a.bodies = append(a.bodies, body)
			return
		}
	}
	r.list = append(r.list, restAnswer{path: path, query: key, bodies: [][]byte{body}})
}

// rewind starts again with the first answer to every request.
func (r *recordedREST) rewind() {
	for i := range r.list {
		r.list[i].next = 0
	}
}

// answer returns the next answer to a request, the last one again and again;
// nil if there is none.
func (r *recordedREST) answer(path string, query url.Values) []byte {
	for i := range r.list {
		a := &r.list[i]
		if !a.matches(path, query) {
			continue
		}
		body := a.bodies[a.next]
		if a.next < len(a.bodies)-1 {
			a.next++
		}
		return body
	}
	return nil
}

// matches compares the path and every identifying parameter of the recorded
// address.
func (a *restAnswer) matches(path string, query url.Values) bool {
	if a.path == "" {
		return strings.Contains(path, "depth") || strings.Contains(path, "orderbook") || strings.HasSuffix(path, "/books")
	}
	if a.path != path {
		return false
	}
	for name := range a.query {
		if !strings.EqualFold(a.query.Get(name), query.Get(name)) {
			return false
		}
	}
	return true
}
