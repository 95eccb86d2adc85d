package feeds

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Upbit is the public spot market of Upbit. Messages are JSON in binary frames, in
// the format SIMPLE, whose names are short; DEFAULT is read too.
//
// Each orderbook message is the whole book of up to 30 levels a side, without a
// number or a checksum (page "WebSocket orderbook"): what is published are the
// differences, and its first level is the bbo. A request replaces the one before
// (page "WebSocket usage"). The side of a trade is the taker's: ASK sold.
type Upbit struct{}

var _ Venue = Upbit{}

var upbitSpec = Spec{
	Name:  "upbit",
	Venue: md.VenueUpbit,
	Doc:   "https://global-docs.upbit.com/reference/websocket-guide",
	URL:   "wss://api.upbit.com/websocket/v1",
	REST:  "https://api.upbit.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trade", "sequential_id told once"},
		{md.ChannelBook, "orderbook", "whole book of 30 levels in each message; not crossed"},
		{md.ChannelBBO, "orderbook (first level)", ""},
		{md.ChannelTicker, "ticker", ""},
		{md.ChannelStatus, "ticker (market_state)", ""},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte("PING"), PingEvery: 30 * time.Second, // cut after 120 s without a word
	DeadAfter:    75 * time.Second,
	MaxFrame:     1 << 20,
	SendEvery:    700 * time.Millisecond, // 100 messages per minute
	UniqueTrades: true,
	ReplacesSubs: true,
}

// Spec implements Venue.
func (Upbit) Spec() *Spec { return &upbitSpec }

// Subscribe implements Venue: one frame for all.
func (Upbit) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	var trades, books, tickers []string
	for _, s := range subs {
		code := s.Instrument.Native
		switch s.Channel {
		case md.ChannelTrades:
			trades = append(trades, quoted(code))
		case md.ChannelBook, md.ChannelBBO: // one level alone would pass for a whole book once that is selected too
			books = append(books, quoted(code+".30"))
		case md.ChannelTicker, md.ChannelStatus:
			tickers = append(tickers, quoted(code))
		}
	}
	var types string
	for _, t := range [...]struct {
		head  string
		codes []string
	}{{`{"type":"trade","codes":[`, trades}, {`{"type":"orderbook","codes":[`, books}, {`{"type":"ticker","codes":[`, tickers}} {
		if len(t.codes) > 0 {
			types += t.head + strings.Join(unique(t.codes), ",") + `]},`
		}
	}
	if types == "" {
		return dst
	}
	dst = append(dst, fmt.Appendf(nil, `[{"ticket":"tickrelay-%d"},%s{"format":"SIMPLE"}]`, rq.ID, types))
	rq.ID++
	return dst
}

// Unsubscribe implements Venue: subscribing to what is left does it.
func (Upbit) Unsubscribe(dst [][]byte, _ []Sub, _ *Requests) [][]byte { return dst }

// upbitHead are the members that tell what a message is.
var upbitHead = jsonscan.Names("ty", "type", "status", "error")

// Decode implements Venue.
func (Upbit) Decode(frame []byte, d *Decoded) error {
	root := jsonscan.Space(frame, 0)
	if root < len(frame) && frame[root] == '[' { // the formats that end in LIST
		return ErrUnsupported
	}
	i := upbitMessage(frame, root, d)
	if i < 0 || !jsonscan.End(frame, i) {
		return scanErr(i)
	}
	return nil
}

func upbitMessage(b []byte, root int, d *Decoded) int {
	k, at := jsonscan.First(b, root, upbitHead)
	for k == -1 && at >= 0 { // the type comes first but for a stranger's order
		i := jsonscan.Skip(b, at)
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, upbitHead, k)
	}
	if at < 0 {
		return at
	}
	switch k {
	case 0, 1:
		kind, n := jsonscan.Text(b, at)
		if n < 0 {
			return n
		}
		switch string(kind) {
		case "trade":
			return upbitTrade(b, root, d)
		case "orderbook":
			return upbitBook(b, root, d)
		case "ticker":
			return upbitTicker(b, root, d)
		}
	case 2:
		d.Control = ControlPong
	case 3:
		d.Control, d.Text = ControlError, upbitRefused
		if text := jsonscan.Find(b, at, "message"); text != nil {
			d.Text, _ = jsonscan.Text(text, 0)
		}
	}
	return jsonscan.Skip(b, root)
}

var upbitRefused = []byte("refused without a reason")

// Sequence implements Venue: every message is the whole book.
func (Upbit) Sequence(*BookState, *Event) Verdict { return VerdictApply }

// Checksum implements Venue: there is none.
func (Upbit) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue: snapshots come in band.
func (Upbit) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Upbit) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("upbit: no REST snapshots: %w", ErrUnsupported)
}

// Catalogue implements Venue.
func (Upbit) Catalogue(base string) []Request { return gets(base + "/v1/market/all") }

// DecodeCatalogue implements Venue: names alone. Ticks depend on the price.
func (Upbit) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	var list []struct{ Market string }
	if err := json.Unmarshal(body, &list); err != nil {
		return "", fmt.Errorf("upbit: list of markets: %w", err)
	}
	if len(list) == 0 {
		return "", fmt.Errorf("upbit: list of markets: none in %.100q", body)
	}
	for _, m := range list {
		if symbol, kind, ok := (Upbit{}).Symbol(m.Market, ""); ok {
			each(md.Instrument{Venue: md.VenueUpbit, Kind: kind, Symbol: symbol, Native: m.Market,
				PriceExp: upbitSpec.PriceExp, SizeExp: upbitSpec.SizeExp, Lot: places(8)})
		}
	}
	return "", nil
}

// Native implements Venue: codes are QUOTE-BASE.
func (Upbit) Native(symbol string) (string, bool) {
	base, quote, ok := strings.Cut(symbol, "-")
	return quote + "-" + base, ok && base != "" && quote != "" && !strings.Contains(quote, "-")
}

// Symbol implements Venue.
func (Upbit) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	quote, base, ok := strings.Cut(native, "-")
	if !ok || base == "" || quote == "" || strings.Contains(base, "-") {
		return "", 0, false
	}
	return token(base) + "-" + token(quote), md.InstrumentSpot, true
}
