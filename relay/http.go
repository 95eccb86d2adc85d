package relay

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// httpServer serves what is no WebSocket: one goroutine and one request per
// connection. Connections are not kept alive: a proxy that re-used one for an upgrade
// would reach a server that cannot give it to a shard.
type httpServer struct {
	g       *Gateway
	server  *fasthttp.Server
	metrics fasthttp.RequestHandler
	web     map[string]asset
	codes   [6]atomic.Uint64 // answers by first digit of the status

	slots chan struct{}
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// Bounds of one HTTP exchange. The request head is already read when they start.
const (
	httpReadTimeout  = 10 * time.Second
	httpWriteTimeout = 30 * time.Second
	httpMaxBody      = 4 << 10
)

func newHTTPServer(g *Gateway) (*httpServer, error) {
	web, err := loadAssets()
	if err != nil {
		return nil, err
	}
	h := &httpServer{g: g, web: web, slots: make(chan struct{}, g.cfg.Limits.MaxHTTP), conns: map[net.Conn]struct{}{}}
	if err := g.cfg.Registry.Register(newCollector(g)); err != nil {
		return nil, err
	}
	h.metrics = fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(g.cfg.Registry, promhttp.HandlerOpts{
		// One collector's mistake must not hide all other metrics.
		ErrorHandling: promhttp.ContinueOnError}))
	h.server = &fasthttp.Server{
		Handler:               h.handle,
		Name:                  "tickrelay",
		ReadTimeout:           httpReadTimeout,
		WriteTimeout:          httpWriteTimeout,
		ReadBufferSize:        g.cfg.Limits.MaxHead + 512,
		MaxRequestBodySize:    httpMaxBody,
		DisableKeepalive:      true,
		NoDefaultContentType:  true,
		CloseOnShutdown:       true,
		SecureErrorLogMessage: true,
		Logger:                quietLogger{},
	}
	return h, nil
}

// quietLogger drops fasthttp's lines about clients that misbehave.
type quietLogger struct{}

// Printf does nothing.
func (quietLogger) Printf(string, ...any) {}

// enter takes one of MaxHTTP places, leave gives it back.
func (h *httpServer) enter() bool {
	select {
	case h.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (h *httpServer) leave() { <-h.slots }

// serve answers the request of c in a goroutine and closes c. The caller has entered.
func (h *httpServer) serve(c net.Conn) {
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	h.wg.Go(func() {
		defer h.leave()
		// Errors are the client's, the status counters have them.
		_ = h.server.ServeConn(c)
		c.Close()
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
	})
}

// shutdown waits for the requests in progress, then cuts them.
func (h *httpServer) shutdown(limit time.Duration) {
	cut := time.AfterFunc(limit, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for c := range h.conns {
			c.Close()
		}
	})
	h.wg.Wait()
	cut.Stop()
}

func (h *httpServer) handle(ctx *fasthttp.RequestCtx) {
	h.route(ctx)
	if d := ctx.Response.StatusCode() / 100; d < len(h.codes) {
		h.codes[d].Add(1)
	}
}

func (h *httpServer) route(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	if !ctx.IsGet() && !ctx.IsHead() {
		ctx.Response.Header.Set("Allow", "GET, HEAD")
		problem(ctx, fasthttp.StatusMethodNotAllowed, "only GET and HEAD")
		return
	}
	path := string(ctx.Path())
	switch path {
	case webSocketPath:
		ctx.Response.Header.Set("Upgrade", "websocket")
		problem(ctx, fasthttp.StatusUpgradeRequired, "this path speaks WebSocket")
	case "/healthz":
		h.healthy(ctx)
	case "/readyz":
		h.ready(ctx)
	case "/metrics":
		switch grant, ok := h.authorize(ctx); {
		case ok && grant.Metrics:
			h.metrics(ctx)
		case ok:
			forbidden(ctx, path)
		}
	default:
		if !h.api(ctx, path) && !h.page(ctx, path) {
			problem(ctx, fasthttp.StatusNotFound, "no such path")
		}
	}
}

// aliveWithin bounds the wait for the loops.
const aliveWithin = 2 * time.Second

// healthy answers whether the loops of this process turn.
func (h *httpServer) healthy(ctx *fasthttp.RequestCtx) {
	within, cancel := context.WithTimeout(context.Background(), aliveWithin)
	defer cancel()
	err := h.g.Alive(within)
	if err == nil && h.g.cfg.Alive != nil {
		err = h.g.cfg.Alive(within)
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	if err != nil {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		ctx.SetBodyString(err.Error() + "\n")
		return
	}
	ctx.SetBodyString("ok\n")
}

// problem answers with an error as JSON.
func problem(ctx *fasthttp.RequestCtx, status int, text string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(append(appendError(nil, "", "http_"+itoa(status), text), '\n'))
}
