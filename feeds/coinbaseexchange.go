package feeds

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// CoinbaseExchange is the spot market of Coinbase as Coinbase Exchange shows it.
//
// The book (Doc, "Level2 channels"): a snapshot of all levels, then absolute sizes
// with the time of the matching engine, which never goes back. There are neither
// numbers nor checksums. level2_batch, sent every 50 ms, is open to all; level2,
// sent at once, to who logs in. The side of a match is the maker's. Tickers come
// with matches, not with quotes, so their best prices are no bbo.
type CoinbaseExchange struct {
	login *exchangeLogin // nil: not logged in
}

var (
	_ Venue        = CoinbaseExchange{}
	_ Credentialed = CoinbaseExchange{}
)

var coinbaseExchangeSpec = Spec{
	Name:  "coinbase-exchange",
	Venue: md.VenueCoinbaseExchange,
	Doc:   "https://docs.cdp.coinbase.com/exchange/websocket-feed/channels",
	URL:   "wss://ws-feed.exchange.coinbase.com",
	REST:  "https://api.exchange.coinbase.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "matches, heartbeat", "trade_id = last + 1"},
		{md.ChannelBook, "level2_batch; level2 with a key", "time never goes back"},
		{md.ChannelTicker, "ticker", ""},
		{md.ChannelStatus, "status", ""},
	},
	PriceExp: -8, SizeExp: -8,
	PingEvery:         20 * time.Second,
	DeadAfter:         30 * time.Second, // heartbeats come every second
	MaxFrame:          64 << 20,
	SubsPerFrame:      100,
	SendEvery:         100 * time.Millisecond, // 100 messages/s, bursts aside
	ConsecutiveTrades: true,
	BlindRefusals:     true,
	BlindBooks:        true,
	BookTime:          time.Nanosecond,
}

// Spec implements Venue.
func (CoinbaseExchange) Spec() *Spec { return &coinbaseExchangeSpec }

// Subscribe implements Venue.
func (c CoinbaseExchange) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return c.request(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (c CoinbaseExchange) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return c.request(dst, subs, "unsubscribe", rq)
}

func (c CoinbaseExchange) request(dst [][]byte, subs []Sub, kind string, rq *Requests) [][]byte {
	book := `"level2_batch"`
	if c.login != nil {
		book = `"level2"`
	}
	for _, ch := range [...]struct {
		names   string
		channel md.Channel
	}{{`"matches","heartbeat"`, md.ChannelTrades}, {book, md.ChannelBook}, {`"ticker"`, md.ChannelTicker}, {`"status"`, md.ChannelStatus}} {
		var args []string
		for _, s := range subs {
			if s.Channel == ch.channel {
				args = append(args, quoted(s.Instrument.Native))
			}
		}
		tail := func(int) string { return `],"channels":[` + ch.names + "]" + c.login.members(rq.Now) + "}" }
		if ch.channel == md.ChannelStatus && len(args) > 0 { // one stream for all products
			args = []string{""}
		}
		dst = requestsOf(dst, args, `{"type":"`+kind+`","product_ids":[`, ch.names, tail, rq, coinbaseExchangeSpec.SubsPerFrame, 32<<10)
	}
	return dst
}

// exchangeLogin signs requests (docs.cdp.coinbase.com/exchange/websocket-feed/authentication).
type exchangeLogin struct {
	key, passphrase string
	secret          []byte
}

// CredentialsFor implements Credentialed.
func (CoinbaseExchange) CredentialsFor() string {
	return "level2: book updates at once instead of every 50 ms (key, secret in base64, passphrase)"
}

// WithCredentials implements Credentialed.
func (CoinbaseExchange) WithCredentials(c Credentials) (Venue, error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(c.Secret))
	if err != nil || len(secret) == 0 || c.Key == "" || c.Passphrase == "" {
		return nil, errors.New("coinbase-exchange: key, secret (base64) and passphrase are all needed")
	}
	return CoinbaseExchange{&exchangeLogin{c.Key, c.Passphrase, secret}}, nil
}

// members are the members of a request that is signed at now (ns).
func (l *exchangeLogin) members(now int64) string {
	if l == nil {
		return ""
	}
	at := strconv.FormatInt(now/1e9, 10)
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte(at + "GET/users/self/verify"))
	return `,"signature":"` + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + `","key":` + quoted(l.key) +
		`,"passphrase":` + quoted(l.passphrase) + `,"timestamp":"` + at + `"`
}

// coinbaseExchangeKeys are the members of messages, those of l2update and match
// in the order in which they come.
var coinbaseExchangeKeys = jsonscan.Names("type", "product_id", "changes", "time", "trade_id", "maker_order_id",
	"taker_order_id", "side", "size", "price", "sequence", "asks", "bids", "open_24h", "volume_24h", "low_24h", "high_24h",
	"message", "reason", "products").
	Or("type", "trade_id", "maker_order_id", "taker_order_id", "side", "size", "price", "product_id", "sequence", "time").
	Or("type", "sequence", "product_id", "price", "open_24h", "volume_24h", "low_24h", "high_24h", "volume_30d", "best_bid",
		"best_bid_size", "best_ask", "best_ask_size", "side", "time", "trade_id", "last_size")

// exchangeMessage is what a message says. Members whose meaning depends on the
// type are kept as indexes until it is known.
type exchangeMessage struct {
	kind, native, text []byte
	ts                 int64
	at                 [32]int // index of each member's value, 0 if none
}

// Decode implements Venue.
func (CoinbaseExchange) Decode(frame []byte, d *Decoded) error {
	var m exchangeMessage
	i := 0
	k, at := jsonscan.First(frame, jsonscan.Space(frame, 0), coinbaseExchangeKeys)
	for k != jsonscan.Closed && at >= 0 {
		if k >= 0 {
			if m.at[k] != 0 {
				return jsonscan.ErrSyntax
			}
			m.at[k] = at
		}
		switch k {
		case 0:
			m.kind, i = jsonscan.Text(frame, at)
		case 1:
			m.native, i = jsonscan.Text(frame, at)
		case 2:
			if string(m.kind) == "l2update" && m.native != nil { // where it always is
				i = exchangeChanges(frame, at, d)
				m.at[k] = -1
			} else {
				i = jsonscan.Skip(frame, at)
			}
		case 3:
			m.ts, i = jsonscan.ISOTime(frame, at)
		case 17, 18:
			m.text, i = jsonscan.Text(frame, at)
		default:
			i = jsonscan.Skip(frame, at)
		}
		if i < 0 {
			return scanErr(i)
		}
		k, at = jsonscan.Member(frame, i, coinbaseExchangeKeys, k)
	}
	if at < 0 || !jsonscan.End(frame, at) {
		return scanErr(min(at, jsonscan.Bad))
	}
	if i = m.events(frame, d); i < 0 {
		return scanErr(i)
	}
	return nil
}

// events makes of the message what its type says.
func (m *exchangeMessage) events(b []byte, d *Decoded) int {
	switch string(m.kind) {
	case "":
		if m.kind == nil && jsonscan.Find(b, jsonscan.Space(b, 0), "channel") != nil {
			return unsupported // Advanced Trade
		}
	case "l2update":
		return m.update(b, d)
	case "snapshot":
		return m.snapshot(b, d)
	case "match", "last_match":
		return m.match(b, d)
	case "ticker":
		return m.ticker(b, d)
	case "status":
		i, more := 0, false
		if m.at[19] > 0 {
			for i, more = jsonscan.Open(b, m.at[19], '['); more; i, more = jsonscan.Next(b, i, '[') {
				if i = coinbaseProduct(b, i, d, m.ts); i < 0 {
					return i
				}
			}
		}
		return i
	case "subscriptions":
		d.Control = ControlAck
	case "error":
		d.Control, d.Text = ControlError, m.text
	}
	return 0
}

func (m *exchangeMessage) update(b []byte, d *Decoded) int {
	if m.at[2] > 0 {
		if i := exchangeChanges(b, m.at[2], d); i < 0 {
			return i
		}
	}
	if m.native == nil || m.at[2] == 0 || m.ts == 0 {
		return jsonscan.Bad
	}
	d.stamp(0, m.ts, 0)
	d.event(md.ChannelBook, m.native, nil, 0).SeqLast = m.ts
	return 0
}

// exchangeChanges reads ["buy","price","size"] and the like: "buy" is a bid.
func exchangeChanges(b []byte, i int, d *Decoded) int {
	i, more := jsonscan.Open(b, i, '[')
	for more {
		r := d.slot(md.KindBook)
		if next := usualChange(b, i, r); next >= 0 {
			if i, more = jsonscan.Next(b, next, '['); i < 0 {
				return i
			}
			continue
		}
		*r = md.Record{Kind: md.KindBook}
		next, first := jsonscan.Open(b, i, '[')
		if !first {
			return jsonscan.Bad
		}
		r.Side, next = aggressor(b, next)
		next, first = jsonscan.Next(b, next, '[')
		if !first || r.Side == md.SideUnknown {
			return jsonscan.Bad
		}
		r.Price, r.PriceExp, next = jsonscan.Number(b, next)
		if next, first = jsonscan.Next(b, next, '['); !first {
			return jsonscan.Bad
		}
		r.Size, r.SizeExp, next = jsonscan.Number(b, next)
		if next = jsonscan.Literal(b, jsonscan.Space(b, max(next, 0)), "]"); next < 0 || r.Size < 0 {
			return jsonscan.Bad
		}
		i, more = jsonscan.Next(b, next, '[')
	}
	return i
}

// usualChange reads a change that has no white space; a negative index says that
// it is otherwise.
func usualChange(b []byte, i int, r *md.Record) int {
	if i < 0 || len(b)-i < len(`["sell",`) {
		return jsonscan.Bad
	}
	switch {
	case string(b[i:i+7]) == `["buy",`:
		r.Side, i = md.SideBid, i+7
	case string(b[i:i+8]) == `["sell",`:
		r.Side, i = md.SideAsk, i+8
	default:
		return jsonscan.Bad
	}
	r.Price, r.PriceExp, i = jsonscan.Number(b, i)
	if uint(i) >= uint(len(b)) || b[i] != ',' {
		return jsonscan.Bad
	}
	r.Size, r.SizeExp, i = jsonscan.Number(b, i+1)
	if uint(i) >= uint(len(b)) || b[i] != ']' || r.Size < 0 {
		return jsonscan.Bad
	}
	return i + 1
}

func (m *exchangeMessage) snapshot(b []byte, d *Decoded) int {
	if m.native == nil || m.at[11] == 0 || m.at[12] == 0 {
		return jsonscan.Bad
	}
	if n := d.levels(b, m.at[11], md.SideAsk, false); n < 0 {
		return n
	}
	if n := d.levels(b, m.at[12], md.SideBid, false); n < 0 {
		return n
	}
	d.stamp(0, m.ts, 0)
	ev := d.event(md.ChannelBook, m.native, nil, 0)
	ev.Action, ev.SeqLast = ActionReplace, m.ts
	return 0
}

// match is a trade; that of before the subscription is history.
func (m *exchangeMessage) match(b []byte, d *Decoded) int {
	if m.native == nil || m.ts == 0 || m.at[4] == 0 || m.at[7] == 0 || m.at[8] == 0 || m.at[9] == 0 {
		return jsonscan.Bad
	}
	r := d.slot(md.KindTrade)
	var i1, i2, i3, i4 int
	r.ID, i1 = jsonscan.Uint(b, m.at[4])
	r.Side, i2 = taker(b, m.at[7])
	r.Size, r.SizeExp, i3 = jsonscan.Number(b, m.at[8])
	r.Price, r.PriceExp, i4 = jsonscan.Number(b, m.at[9])
	if i := min(i1, i2, i3, i4); i < 0 {
		return i
	}
	if r.Size < 0 {
		return jsonscan.Bad
	}
	r.TsEvent, r.Count = m.ts, 1
	ev := d.event(md.ChannelTrades, m.native, nil, len(d.Recs)-1)
	if string(m.kind) == "last_match" {
		ev.Action = ActionReplace
	}
	return 0
}

func (m *exchangeMessage) ticker(b []byte, d *Decoded) int {
	if m.native == nil {
		return jsonscan.Bad
	}
	for k, stat := range [...]uint8{9: md.StatLast, 13: md.StatOpen, 14: md.StatVolume, 15: md.StatLow, 16: md.StatHigh} {
		if m.at[k] > 0 && (k == 9 || k >= 13) {
			if n := d.stat(b, m.at[k], stat); n < 0 {
				return n
			}
		}
	}
	if len(d.Recs) > 0 {
		d.stamp(0, m.ts, 0)
		d.event(md.ChannelTicker, m.native, nil, 0)
	}
	return 0
}

// Sequence implements Venue.
func (CoinbaseExchange) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty: // in flight from before a resubscription
		return VerdictIgnore
	case ev.SeqLast < b.Seq:
		return VerdictGap
	}
	return VerdictApply
}

// Checksum implements Venue: there is none.
func (CoinbaseExchange) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue: snapshots come in band.
func (CoinbaseExchange) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (CoinbaseExchange) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("coinbase-exchange: no REST snapshots: %w", ErrUnsupported)
}
