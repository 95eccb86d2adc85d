package relay

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

// hubTimeout bounds how long an HTTP request waits for the hub.
const hubTimeout = 2 * time.Second

// flowing is how recent the newest record must be for /readyz.
const flowing = 30 * time.Second

func itoa(n int) string { return strconv.Itoa(n) }

// inHub runs f in the hub's goroutine and waits for it; false if the hub is busy or
// gone.
func (h *httpServer) inHub(f func(*hub)) bool {
	done := make(chan struct{})
	h.g.hub.inbox.put(request{op: requestCall, call: func(hub *hub) {
		f(hub)
		close(done)
	}})
	timer := time.NewTimer(hubTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// api answers below /api/v1/.
func (h *httpServer) api(ctx *fasthttp.RequestCtx, path string) bool {
	rest, ok := strings.CutPrefix(path, "/api/v1/")
	if !ok {
		return false
	}
	ctx.Response.Header.Set("Cache-Control", "no-store")
	grant, ok := h.authorize(ctx)
	if !ok {
		return true
	}
	switch {
	case rest == "instruments":
		h.instruments(ctx)
	case rest == "topics":
		h.topics(ctx, grant)
	case rest == "feeds":
		h.feeds(ctx)
	case rest == "overview" && grant.Metrics:
		h.overview(ctx)
	case rest == "overview":
		forbidden(ctx, path)
	case strings.HasPrefix(rest, "candles/"):
		h.candles(ctx, grant, rest[len("candles/"):])
	case strings.HasPrefix(rest, "book/"):
		h.book(ctx, grant, rest[len("book/"):])
	default:
		return false
	}
	return true
}

func reply(ctx *fasthttp.RequestCtx, body []byte) {
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}

func (h *httpServer) instruments(ctx *fasthttp.RequestCtx) {
	out := []byte(`{"instruments":[`)
	table := h.g.hub.shown.Load()
	for i := range table.Len() {
		in, ok := table.Get(uint32(i))
		if !ok {
			continue
		}
		if out[len(out)-1] != '[' {
			out = append(out, ',')
		}
		out = appendInstrument(out, &in)
	}
	reply(ctx, append(out, "]}"...))
}

func (h *httpServer) topics(ctx *fasthttp.RequestCtx, grant *auth.Grant) {
	out := []byte(`{"topics":`)
	var made []byte
	if !h.inHub(func(hub *hub) { made = hub.appendTopics(nil, grant) }) {
		problem(ctx, fasthttp.StatusServiceUnavailable, "the hub does not answer")
		return
	}
	reply(ctx, append(append(out, made...), '}'))
}

func (h *httpServer) feeds(ctx *fasthttp.RequestCtx) {
	list := h.g.feeds()
	body, err := json.Marshal(struct {
		Now   int64        `json:"now,string"`
		Feeds []FeedStatus `json:"feeds"`
	}{time.Now().UnixNano(), list})
	if err != nil {
		problem(ctx, fasthttp.StatusInternalServerError, err.Error())
		return
	}
	reply(ctx, body)
}

func (g *Gateway) feeds() []FeedStatus {
	list := []FeedStatus{}
	if g.cfg.Feeds != nil {
		list = append(list, g.cfg.Feeds()...)
	}
	for i := range list {
		if list[i].Lines == nil {
			list[i].Lines = []LineStatus{}
		}
		if list[i].Stages == nil {
			list[i].Stages = []StageStatus{}
		}
	}
	return list
}

// book answers with the book as the JSON snapshot message of its topic.
func (h *httpServer) book(ctx *fasthttp.RequestCtx, grant *auth.Grant, rest string) {
	venue, symbol, _ := strings.Cut(rest, "/")
	if s, err := url.PathUnescape(symbol); err == nil {
		symbol = s
	}
	depth, err := strconv.Atoi(string(ctx.QueryArgs().Peek("depth")))
	if err != nil && ctx.QueryArgs().Has("depth") || depth < 0 || depth > MaxDepth {
		problem(ctx, fasthttp.StatusBadRequest, "depth must be a whole number from 0 (all) to "+itoa(MaxDepth))
		return
	}
	name := venue + "." + md.ChannelBook.String() + "." + symbol
	if _, err := md.ParseTopic(name); err != nil {
		problem(ctx, fasthttp.StatusBadRequest, err.Error())
		return
	}
	if !grant.Topic(name) {
		forbidden(ctx, name)
		return
	}
	status, text := fasthttp.StatusOK, ""
	var body []byte
	ok := h.inHub(func(hub *hub) {
		t := hub.byName[name]
		switch {
		case t == nil:
			status, text = fasthttp.StatusNotFound, "no such book"
		case !t.complete():
			status, text = fasthttp.StatusServiceUnavailable, "the book is "+t.book.State.String()
		default:
			body = md.AppendJSON(nil, t.name, t.seq, t.appendSnapshot(nil, depth))
		}
	})
	switch {
	case !ok:
		problem(ctx, fasthttp.StatusServiceUnavailable, "the hub does not answer")
	case text != "":
		problem(ctx, status, text)
	default:
		reply(ctx, body)
	}
}

// ready says whether clients would be served with live data: every feed is live and
// records flow. Where tokens are asked for, why not is told to who has one.
func (h *httpServer) ready(ctx *fasthttp.RequestCtx) {
	problems := h.g.NotReady(time.Now())
	ready := len(problems) == 0
	if h.g.auth.Load() != nil {
		if _, ok := h.authorize(ctx); !ok {
			ctx.Response.Reset()
			problems = []string{}
		}
	}
	body, err := json.Marshal(struct {
		Ready    bool     `json:"ready"`
		Problems []string `json:"problems"`
	}{ready, problems})
	if err != nil {
		problem(ctx, fasthttp.StatusInternalServerError, err.Error())
		return
	}
	if !ready {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	}
	reply(ctx, body)
}

// NotReady says why clients would not be served with live data at the time now, as
// /readyz does; nothing if they would. Any goroutine.
func (g *Gateway) NotReady(now time.Time) []string {
	problems := []string{}
	for _, f := range g.feeds() {
		if f.State != "live" {
			problems = append(problems, "feed "+f.Name+" is "+f.State)
		}
	}
	stats := &g.hubStats
	if n := stats.ringsDown.Load(); n > 0 {
		problems = append(problems, itoa(int(n))+" rings are not there")
	}
	if stats.rings.Load() == 0 {
		problems = append(problems, "no ring is read")
	}
	if stats.topics.Load() == 0 {
		problems = append(problems, "no topic yet")
	}
	if last := g.hub.lastRec.Load(); last == 0 || now.UnixNano()-last > int64(flowing) {
		problems = append(problems, "no record for "+flowing.String())
	}
	return problems
}
