package feeds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"tickrelay/nettune"
)

// Limits of REST answers.
const (
	// maxRESTBody bounds an answer before and after decompression, in bytes.
	// Binance's list of instruments is the largest known, about 20 MB.
	maxRESTBody = 64 << 20
	// defaultRetryAfter is how long a venue is left alone that refused with
	// 429 or 418 and named no time; maxRetryAfter bounds what it may name.
	defaultRetryAfter = 30 * time.Second
	maxRetryAfter     = time.Hour
)

// ErrRateLimited is wrapped by the error of a REST request that the venue
// refused because there were too many (429), or banned for it (418).
var ErrRateLimited = errors.New("rate limited")

// StatusError is a REST answer other than 200.
type StatusError struct {
	URL        string
	Status     int
	RetryAfter time.Duration // that the venue asked for, 0 if it did not
	Body       string        // start of the answer
}

// Error describes the answer.
func (e *StatusError) Error() string {
	return fmt.Sprintf("feeds: %s: status %d: %s", e.URL, e.Status, e.Body)
}

// Unwrap returns ErrRateLimited for the statuses that mean it.
func (e *StatusError) Unwrap() error {
	if e.limited() {
		return ErrRateLimited
	}
	return nil
}

func (e *StatusError) limited() bool { return e.Status == 429 || e.Status == 418 }

// restClient fetches from one venue's REST base. Any goroutine may use it;
// each request has its own connection: requests are rare, an idle connection
// is one that the venue cuts, and none is left behind at the end.
type restClient struct {
	host    fasthttp.HostClient
	header  [][2]string // of every request
	timeout time.Duration
	clock   Clock
	ctx     context.Context // ends every request when it ends

	mu    sync.Mutex
	conns map[net.Conn]struct{} // open ones, closed when ctx ends
	quiet int64                 // mono ns before which no request is made: the venue's Retry-After
}

func newRESTClient(ctx context.Context, base string, cfg *Config) (*restClient, error) {
	u, err := parseURL(base, "http", "https")
	if err != nil {
		return nil, err
	}
	secure := u.Scheme == "https"
	port, err := portOf(u, secure)
	if err != nil {
		return nil, err
	}
	r := &restClient{ctx: ctx, header: cfg.Venue.Spec().Header, timeout: cfg.Limits.REST, clock: cfg.Clock, conns: map[net.Conn]struct{}{}}
	dial := cfg.DialREST
	if dial == nil {
		dial = (&nettune.Dialer{Dialer: net.Dialer{Timeout: cfg.Limits.Dial}, Options: cfg.Options}).DialContext
	}
	var conf *tls.Config
	if cfg.TLS != nil {
		conf = cfg.TLS.Clone()
	}
	r.host = fasthttp.HostClient{
		Addr:                      net.JoinHostPort(u.Hostname(), strconv.Itoa(int(port))),
		IsTLS:                     secure,
		TLSConfig:                 conf,
		Name:                      "tickrelay",
		Dial:                      func(addr string) (net.Conn, error) { return r.dial(dial, cfg.Limits.Dial, addr) },
		MaxConns:                  maxFetches + 1,
		MaxResponseBodySize:       maxRESTBody,
		MaxIdemponentCallAttempts: 1, // who asked decides about another try
		ReadTimeout:               cfg.Limits.REST,
		WriteTimeout:              cfg.Limits.REST,
	}
	context.AfterFunc(ctx, r.closeAll)
	return r, nil
}

// dial opens a connection that ends with the client's context.
func (r *restClient) dial(dial func(context.Context, string, string) (net.Conn, error), limit time.Duration, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	c, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	t := &trackedConn{Conn: c, owner: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		c.Close()
		return nil, r.ctx.Err()
	}
	r.conns[t] = struct{}{}
	return t, nil
}

func (r *restClient) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.(*trackedConn).Conn.Close()
	}
	clear(r.conns)
}

// trackedConn leaves its owner's list when it is closed.
type trackedConn struct {
	net.Conn
	owner *restClient
}

func (t *trackedConn) Close() error {
	t.owner.mu.Lock()
	delete(t.owner.conns, t)
	t.owner.mu.Unlock()
	return t.Conn.Close()
}

// quietUntil is the mono time before which the venue wants no request.
func (r *restClient) quietUntil() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.quiet
}

// get is do of a GET request.
func (r *restClient) get(address string) ([]byte, error) { return r.do(Request{URL: address}) }

// do returns the body of the answer to a request, decompressed and the
// caller's to keep. It fails at once while the venue wants no request.
func (r *restClient) do(want Request) ([]byte, error) {
	address := want.URL
	if _, now := r.clock(); now < r.quietUntil() {
		left := time.Duration(r.quietUntil() - now).Round(time.Second)
		return nil, fmt.Errorf("feeds: %s: %w for another %s", address, ErrRateLimited, left)
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(address)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Accept", "application/json")
	for _, list := range [...][][2]string{r.header, want.Header} {
		for _, h := range list {
			req.Header.Set(h[0], h[1])
		}
	}
	if want.Body != nil {
		req.Header.SetMethod(fasthttp.MethodPost)
		req.Header.SetContentType("application/json")
		req.SetBody(want.Body)
	}
	req.SetConnectionClose()
	if err := r.host.DoTimeout(req, resp, r.timeout); err != nil {
		if r.ctx.Err() != nil {
			err = r.ctx.Err()
		}
		return nil, fmt.Errorf("feeds: %s: %w", address, err)
	}
	return r.answer(address, resp)
}

func (r *restClient) answer(address string, resp *fasthttp.Response) ([]byte, error) {
	body, err := resp.BodyUncompressedWithLimit(maxRESTBody)
	if status := resp.StatusCode(); status != fasthttp.StatusOK {
		e := &StatusError{URL: address, Status: status, Body: string(body[:min(len(body), 200)])}
		wall, _ := r.clock()
		e.RetryAfter = retryAfter(string(resp.Header.Peek("Retry-After")), time.Unix(0, wall))
		r.refused(e)
		return nil, e
	}
	if err != nil {
		return nil, fmt.Errorf("feeds: %s: body: %w", address, err)
	}
	return append([]byte(nil), body...), nil
}

// refused keeps the client quiet for as long as the venue asked.
func (r *restClient) refused(e *StatusError) {
	wait := e.RetryAfter
	if e.limited() && wait == 0 {
		wait = defaultRetryAfter
	}
	if wait <= 0 {
		return
	}
	_, now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet = max(r.quiet, now+int64(wait))
}

// retryAfter reads the header of RFC 9110 section 10.2.3: seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil || !at.After(now) {
		return 0
	}
	return min(at.Sub(now), maxRetryAfter)
}
