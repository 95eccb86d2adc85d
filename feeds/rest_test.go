package feeds

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newTestREST returns a client of handler whose clock the test moves.
func newTestREST(t *testing.T, ctx context.Context, handler http.HandlerFunc) (r *restClient, base string, mono *atomic.Int64) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	mono = new(atomic.Int64)
	cfg := Config{Venue: newToyVenue(), CPU: -1, Limits: Deadlines{REST: 2 * time.Second},
		Clock: func() (int64, int64) { return 1_700_000_000e9 + mono.Load(), mono.Load() }}.withDefaults()
	r, err := newRESTClient(ctx, server.URL, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, server.URL, mono
}

func TestRESTBodyPlainAndCompressed(t *testing.T) {
	want := strings.Repeat("instrument ", 1000)
	r, base, _ := newTestREST(t, t.Context(), func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Accept-Encoding") != "gzip" || req.Header.Get("User-Agent") != "tickrelay" {
			t.Errorf("request headers %v", req.Header)
		}
		if req.URL.Path == "/plain" {
			io.WriteString(w, want)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, want)
		z.Close()
	})
	for _, path := range []string{"/plain", "/gzip"} {
		if got, err := r.get(base + path); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
}

func TestRESTAnswersThatAreRefused(t *testing.T) {
	r, base, _ := newTestREST(t, t.Context(), func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/500":
			http.Error(w, "broken", 500)
		case "/302":
			http.Redirect(w, req, "/elsewhere", http.StatusFound)
		case "/truncated":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "half")
		case "/long":
			w.Header().Set("Content-Length", fmt.Sprint(maxRESTBody+1))
			w.WriteHeader(200)
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipOf(maxRESTBody + 1))
		}
	})
	for _, path := range []string{"/500", "/302", "/truncated", "/long", "/bomb"} {
		body, err := r.get(base + path)
		if err == nil {
			t.Errorf("%s: accepted with %d bytes", path, len(body))
		} else if !strings.Contains(err.Error(), path) || errors.Is(err, ErrRateLimited) {
			t.Errorf("%s: error %q", path, err)
		}
	}
}

func gzipOf(zeros int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(make([]byte, zeros))
	z.Close()
	return b.Bytes()
}

func TestRESTRateLimitIsKept(t *testing.T) {
	var requests atomic.Int32
	var status atomic.Int32
	header := "7"
	r, base, mono := newTestREST(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		if s := status.Load(); s != 0 {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(int(s))
		}
	})
	for _, c := range []struct {
		status int32
		header string
		quiet  time.Duration
	}{{429, "7", 7 * time.Second}, {418, "", defaultRetryAfter}, {503, "3", 3 * time.Second}, {429, "99999999", maxRetryAfter}} {
		status.Store(c.status)
		header = c.header
		before := requests.Load()
		_, err := r.get(base)
		var e *StatusError
		if !errors.As(err, &e) || e.Status != int(c.status) || errors.Is(err, ErrRateLimited) != (c.status != 503) {
			t.Errorf("status %d: error %v", c.status, err)
		}
		mono.Add(int64(c.quiet) - 1)
		if _, err = r.get(base); !errors.Is(err, ErrRateLimited) || requests.Load() != before+1 {
			t.Errorf("status %d: asked again before %s: %v", c.status, c.quiet, err)
		}
		mono.Add(1)
		status.Store(0)
		if _, err = r.get(base); err != nil {
			t.Errorf("status %d: after %s: %v", c.status, c.quiet, err)
		}
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := func(value string, want time.Duration) {
		t.Helper()
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
	f("", 0)
	f("0", 0)
	f("120", 2*time.Minute)
	f("-1", 0)
	f("soon", 0)
	f("Fri, 02 Jan 2026 03:05:05 GMT", time.Minute)
	f("Fri, 02 Jan 2026 03:03:05 GMT", 0)
	f("Sat, 02 Jan 2027 03:04:05 GMT", maxRetryAfter)
}

func TestRESTRequestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	r, base, _ := newTestREST(t, ctx, func(w http.ResponseWriter, req *http.Request) {
		close(begun)
		<-req.Context().Done()
	})
	ended := make(chan error, 1)
	go func() { _, err := r.get(base); ended <- err }()
	<-begun
	start := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("a cancelled request took another %s", took)
	}
	if len(r.conns) != 0 {
		t.Errorf("%d connections left", len(r.conns))
	}
}

func TestRESTTimeout(t *testing.T) {
	r, base, _ := newTestREST(t, t.Context(), func(w http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	r.timeout = 50 * time.Millisecond
	start := time.Now()
	if _, err := r.get(base); err == nil || time.Since(start) > time.Second {
		t.Errorf("error %v after %s", err, time.Since(start))
	}
}

// TestRESTHeaders: what a venue wants with every request goes with each, beside what
// one request has of its own.
func TestRESTHeaders(t *testing.T) {
	r, base, _ := newTestREST(t, t.Context(), func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, req.Header.Get("X-Venue")+" "+req.Header.Get("X-Own"))
	})
	r.header = [][2]string{{"X-Venue", "1"}}
	if got, err := r.do(Request{URL: base, Header: [][2]string{{"X-Own", "2"}}}); err != nil || string(got) != "1 2" {
		t.Errorf("%q, %v", got, err)
	}
}
