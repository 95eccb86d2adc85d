package relay

import (
	"math"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

// maxCandleAnswer is how many bars one HTTP answer holds at most: a day of minutes.
const maxCandleAnswer = 1440

// candleQuery is what /api/v1/candles asks for.
type candleQuery struct {
	channel  md.Channel
	from, to int64 // ns, start of the first bar and before which the last one starts
	limit    int
}

// parseCandleQuery reads interval, from, to (ns) and limit; its text says what is
// wrong.
func parseCandleQuery(args *fasthttp.Args) (q candleQuery, wrong string) {
	q = candleQuery{to: math.MaxInt64, limit: candleSnapshot}
	switch interval := string(args.Peek("interval")); interval {
	case "1s":
		q.channel = md.ChannelCandles1s
	case "1m", "":
		q.channel = md.ChannelCandles1m
	default:
		return q, "interval must be 1s or 1m"
	}
	for _, f := range []struct {
		name string
		into *int64
	}{{"from", &q.from}, {"to", &q.to}} {
		if !args.Has(f.name) {
			continue
		}
		v, err := strconv.ParseInt(string(args.Peek(f.name)), 10, 64)
		if err != nil || v < 0 {
			return q, f.name + " must be a time in ns since 1970"
		}
		*f.into = v
	}
	if args.Has("limit") {
		v, err := strconv.Atoi(string(args.Peek("limit")))
		if err != nil || v < 1 || v > maxCandleAnswer {
			return q, "limit must be a whole number from 1 to " + itoa(maxCandleAnswer)
		}
		q.limit = v
	}
	return q, ""
}

// candles answers with the bars of an instrument: the newest limit ones, or with
// from the oldest limit ones that start there or later.
func (h *httpServer) candles(ctx *fasthttp.RequestCtx, grant *auth.Grant, rest string) {
	venue, symbol, _ := strings.Cut(rest, "/")
	if s, err := url.PathUnescape(symbol); err == nil {
		symbol = s
	}
	q, wrong := parseCandleQuery(ctx.QueryArgs())
	if wrong != "" {
		problem(ctx, fasthttp.StatusBadRequest, wrong)
		return
	}
	name := venue + "." + q.channel.String() + "." + symbol
	if _, err := md.ParseTopic(name); err != nil {
		problem(ctx, fasthttp.StatusBadRequest, err.Error())
		return
	}
	if !grant.Topic(name) {
		forbidden(ctx, name)
		return
	}
	var recs []md.Record
	var seq uint64
	found := false
	if !h.inHub(func(hub *hub) {
		if t := hub.byName[name]; t != nil && t.series != nil {
			found, seq = true, t.seq
			recs = t.series.between(q)
			t.stamp(recs, md.FlagSnapshot)
		}
	}) {
		problem(ctx, fasthttp.StatusServiceUnavailable, "the hub does not answer")
		return
	}
	if !found {
		problem(ctx, fasthttp.StatusNotFound, "no such candles; they begin with the first trade that the gateway sees")
		return
	}
	body := append([]byte(`{"topic":`), strconv.AppendQuote(nil, name)...)
	body = append(body, `,"candles":[`...)
	for first := true; len(recs) > 0; first = false {
		n := md.MessageLen(recs)
		if !first {
			body = append(body, ',')
		}
		body = md.AppendJSON(body, name, seq, recs[:n])
		recs = recs[n:]
	}
	reply(ctx, append(body, "]}"...))
}

// between copies the records of the bars that q asks for.
func (s *series) between(q candleQuery) []md.Record {
	bars := s.bars[s.first:]
	low := sort.Search(len(bars), func(i int) bool { return bars[i].start >= q.from })
	high := max(low, sort.Search(len(bars), func(i int) bool { return bars[i].start >= q.to }))
	if high-low > q.limit {
		if q.from > 0 {
			high = low + q.limit
		} else {
			low = high - q.limit
		}
	}
	like := md.Record{TsEvent: s.tsEvent, TsRecv: s.tsRecv, Side: uint8(s.t.channel)}
	var recs []md.Record
	for i := low; i < high; i++ {
		recs = bars[i].records(recs, &like)
	}
	return recs
}
