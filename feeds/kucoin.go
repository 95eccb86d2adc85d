package feeds

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Kucoin is the spot market of KuCoin. Where to connect, with which token, is
// asked by REST before each connection; subscriptions wait for its welcome.
//
// The book is level2Depth50, the 50 best levels whole every 100 ms: the
// increments of level2 need a full snapshot, which KuCoin gives to accounts
// alone (kucoin_full.go), and with the 100 levels that are public the deeper part
// would be wrong unnoticed. With credentials, and of recordings, frames of level2
// are read and held to their rule (Doc, "Level-2 Market Data"): buffer, fetch the snapshot, drop what is not
// newer, then sequenceStart = previous sequenceEnd + 1; a price of 0 is no level
// and only advances the numbers.
type Kucoin struct {
	kucoin
	key, secret, passphrase string
}

// KucoinFutures is KuCoin's market of perpetual and dated contracts. Its book is
// level2, one change per frame, joined to the full snapshot, which is public:
// sequence = previous sequence + 1. Sizes are contracts, but the volume that its
// tickers tell is in the base.
type KucoinFutures struct{ kucoin }

var (
	_ Venue        = Kucoin{}
	_ Venue        = KucoinFutures{}
	_ Bootstrapper = Kucoin{}
	_ Bootstrapper = KucoinFutures{}
)

var kucoinSpec = Spec{
	Name:  "kucoin",
	Venue: md.VenueKucoin,
	Doc:   "https://www.kucoin.com/docs-new/websocket-api/base-info/introduction",
	URL:   "wss://ws-api-spot.kucoin.com/",
	REST:  "https://api.kucoin.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "/market/match", ""},
		{md.ChannelBook, "/spotMarket/level2Depth50", "whole in each frame; recorded level2: sequenceStart = previous sequenceEnd + 1"},
		{md.ChannelBBO, "/market/ticker", ""},
		{md.ChannelTicker, "/market/snapshot", ""},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte(`{"id":"ping","type":"ping"}`), PingEvery: 15 * time.Second, // wanted every 18 s
	DeadAfter:     45 * time.Second,
	MaxFrame:      4 << 20,
	SubsPerFrame:  100,
	SubsPerConn:   300,
	SendEvery:     110 * time.Millisecond, // 100 messages in 10 s
	SnapshotEvery: 500 * time.Millisecond,
	UniqueTrades:  true,
	WaitReady:     true,
	WholeRequests: true,
}

var kucoinFuturesSpec = func() Spec {
	s := kucoinSpec
	s.Name, s.Venue = "kucoin-futures", md.VenueKucoinFutures
	s.URL, s.REST = "wss://ws-api-futures.kucoin.com/", "https://api-futures.kucoin.com"
	s.SizeExp = 0
	s.MergeBooks = true
	s.Channels = []ChannelSpec{
		{md.ChannelTrades, "/contractMarket/execution", ""},
		{md.ChannelBook, "/contractMarket/level2", "REST snapshot joined at sequence <= its sequence + 1, then sequence = previous + 1"},
		{md.ChannelBBO, "/contractMarket/tickerV2", ""},
		{md.ChannelTicker, "/contractMarket/snapshot, /contract/instrument", ""},
		{md.ChannelFunding, "/contract/instrument", ""},
	}
	return s
}()

// kucoin is what both have in common.
type kucoin struct{}

// Spec implements Venue.
func (v Kucoin) Spec() *Spec {
	if v.key != "" {
		return &kucoinFullSpec
	}
	return &kucoinSpec
}

// Spec implements Venue.
func (KucoinFutures) Spec() *Spec { return &kucoinFuturesSpec }

// Bootstrap implements Bootstrapper.
func (kucoin) Bootstrap(base string) Request {
	return Request{URL: base + "/api/v1/bullet-public", Body: []byte("{}")}
}

// Endpoint implements Bootstrapper.
func (kucoin) Endpoint(body []byte, ws, id string) (string, error) {
	var doc struct {
		Code, Msg string
		Data      struct {
			Token           string
			InstanceServers []struct{ Endpoint, Protocol string }
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("kucoin: token: %w", err)
	}
	if doc.Code != "200000" || doc.Data.Token == "" {
		return "", fmt.Errorf("kucoin: token refused: code %q: %.100s", doc.Code, doc.Msg)
	}
	if ws == "" {
		if len(doc.Data.InstanceServers) == 0 {
			return "", fmt.Errorf("kucoin: the answer names no server")
		}
		ws = doc.Data.InstanceServers[0].Endpoint
	}
	u, err := url.Parse(ws)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("kucoin: the answer names no usable server: %.100q", ws)
	}
	q := u.Query()
	q.Set("token", doc.Data.Token)
	q.Set("connectId", id)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Rows of kucoinTopics.
const (
	kucoinSpot = iota
	kucoinContracts
	kucoinFull // spot, of who has an account
)

// kucoinTopics are the topics of a channel.
var kucoinTopics = [...][]struct {
	topic    string
	channels [2]md.Channel
}{{
	{"/market/match", [2]md.Channel{md.ChannelTrades}},
	{"/spotMarket/level2Depth50", [2]md.Channel{md.ChannelBook}},
	{"/market/ticker", [2]md.Channel{md.ChannelBBO}},
	{"/market/snapshot", [2]md.Channel{md.ChannelTicker}},
}, {
	{"/contractMarket/execution", [2]md.Channel{md.ChannelTrades}},
	{"/contractMarket/level2", [2]md.Channel{md.ChannelBook}},
	{"/contractMarket/tickerV2", [2]md.Channel{md.ChannelBBO}},
	{"/contractMarket/snapshot", [2]md.Channel{md.ChannelTicker}},
	{"/contract/instrument", [2]md.Channel{md.ChannelTicker, md.ChannelFunding}},
}, {
	{"/market/match", [2]md.Channel{md.ChannelTrades}},
	{"/market/level2", [2]md.Channel{md.ChannelBook}},
	{"/market/ticker", [2]md.Channel{md.ChannelBBO}},
	{"/market/snapshot", [2]md.Channel{md.ChannelTicker}},
}}

// Subscribe implements Venue.
func (v Kucoin) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return kucoinRequest(dst, subs, v.topics(), "subscribe", rq)
}

// Unsubscribe implements Venue.
func (v Kucoin) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return kucoinRequest(dst, subs, v.topics(), "unsubscribe", rq)
}

// Subscribe implements Venue.
func (KucoinFutures) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return kucoinRequest(dst, subs, kucoinContracts, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (KucoinFutures) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return kucoinRequest(dst, subs, kucoinContracts, "unsubscribe", rq)
}

// kucoinRequest names one topic per frame, with all its instruments.
func kucoinRequest(dst [][]byte, subs []Sub, market int, op string, rq *Requests) [][]byte {
	for _, c := range kucoinTopics[market] {
		var args []string
		for _, s := range subs {
			if s.Channel == c.channels[0] || s.Channel == c.channels[1] && s.Channel != 0 {
				args = append(args, strings.Trim(quoted(s.Instrument.Native), `"`))
			}
		}
		tail := func(id int) string {
			return fmt.Sprintf(`","privateChannel":false,"response":true,"id":"%d"}`, id)
		}
		dst = requests(dst, args, `{"type":"`+op+`","topic":"`+c.topic+`:`, tail, rq, kucoinSpec.SubsPerFrame, 32<<10)
	}
	return dst
}

// kucoinKeys are the members of frames in the order of the document.
var kucoinKeys = jsonscan.Names("topic", "type", "subject", "sn", "data", "id", "code").
	Or("type", "topic", "subject", "data").Or("topic", "type", "subject", "data")

// kucoinPush is what surrounds the data of a pushed frame.
type kucoinPush struct{ topic, native, subject []byte }

// Decode implements Venue.
func (kucoin) Decode(b []byte, d *Decoded) error {
	var p kucoinPush
	var typ, text []byte
	var got once
	data, i := 0, 0
	k, at := jsonscan.First(b, jsonscan.Space(b, 0), kucoinKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinKeys, k) {
		if at < 0 || !got.add(k) {
			return scanErr(at)
		}
		switch k {
		case 0:
			p.topic, i = jsonscan.Text(b, at)
			p.topic, p.native = kucoinTopic(p.topic)
		case 1:
			typ, i = jsonscan.Text(b, at)
		case 2:
			p.subject, i = jsonscan.Text(b, at)
		case 4:
			switch {
			case at >= len(b):
				return scanErr(jsonscan.Bad)
			case got.have(1|1<<2) && b[at] == '{':
				i = p.data(b, at, d)
			case b[at] == '"': // why a request was refused
				text, i = jsonscan.Text(b, at)
			default:
				data, i = at, jsonscan.Skip(b, at)
			}
		case 5:
			d.Request, i = requestID(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return scanErr(i)
		}
	}
	if at < 0 || !jsonscan.End(b, at) {
		return scanErr(at)
	}
	if data > 0 && b[data] == '{' && p.subject != nil && p.topic != nil {
		if i = p.data(b, data, d); i < 0 {
			return scanErr(i)
		}
	}
	switch string(typ) {
	case "welcome":
		d.Control = ControlReady
	case "ack":
		d.Control = ControlAck
	case "pong":
		d.Control = ControlPong
	case "error":
		d.Control, d.Text = ControlError, text
	}
	return nil
}

// kucoinTopic splits a topic at its colon.
func kucoinTopic(topic []byte) (name, native []byte) {
	for i, c := range topic {
		if c == ':' {
			return topic[:i], topic[i+1:]
		}
	}
	return topic, nil
}

// data decodes the data object at i.
func (p *kucoinPush) data(b []byte, i int, d *Decoded) int {
	switch string(p.subject) {
	case "trade.l3match", "match":
		return p.trade(b, i, d)
	case "trade.l2update":
		return p.changes(b, i, d)
	case "level2":
		if string(p.topic) == "/contractMarket/level2" {
			return p.change(b, i, d)
		}
		return p.whole(b, i, d)
	case "trade.ticker", "tickerV2":
		return p.bbo(b, i, d)
	case "trade.snapshot":
		return p.ticker(b, i, d)
	case "snapshot.24h":
		return p.statistics(b, i, d)
	case "mark.index.price":
		return p.statistics(b, i, d)
	case "funding.rate":
		return p.funding(b, i, d)
	}
	return jsonscan.Skip(b, i)
}

// Sequence implements Venue.
func (kucoin) Sequence(b *BookState, ev *Event) Verdict { return Binance{}.Sequence(b, ev) }

// Checksum implements Venue: KuCoin sends none.
func (kucoin) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue. Without credentials it is asked for only where
// level2 is recorded.
func (v Kucoin) SnapshotURL(base string, in *md.Instrument) string {
	if v.key != "" {
		return base + "/api/v3/market/orderbook/level2?symbol=" + url.QueryEscape(in.Native)
	}
	return base + "/api/v1/market/orderbook/level2_100?symbol=" + url.QueryEscape(in.Native)
}

// SnapshotURL implements Venue.
func (KucoinFutures) SnapshotURL(base string, in *md.Instrument) string {
	return base + "/api/v1/level2/snapshot?symbol=" + url.QueryEscape(in.Native)
}

var (
	kucoinSnapshotKeys = jsonscan.Names("time", "sequence", "bids", "asks", "ts")
)

// DecodeSnapshot implements Venue.
func (kucoin) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error {
	at := -1
	if data := jsonscan.Find(body, jsonscan.Space(body, 0), "data"); len(data) > 0 {
		at = len(body) - len(data)
	}
	if at < 0 || body[at] != '{' || !jsonscan.End(body, jsonscan.Skip(body, jsonscan.Space(body, 0))) {
		return fmt.Errorf("kucoin: order book of %s: %.100q", in.Native, body)
	}
	from := len(d.Recs)
	var ts int64
	var seq uint64
	var got once
	i := 0
	k, at := jsonscan.First(body, at, kucoinSnapshotKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(body, i, kucoinSnapshotKeys, k) {
		if at < 0 || !got.add(k) {
			break
		}
		switch k {
		case 0, 4:
			ts, i = jsonscan.Time(body, at)
		case 1:
			seq, i = jsonscan.Uint(body, at)
		case 2:
			i = d.levels(body, at, md.SideBid, false)
		case 3:
			i = d.levels(body, at, md.SideAsk, false)
		default:
			i = jsonscan.Skip(body, at)
		}
		if at = i; i < 0 {
			break
		}
	}
	if at < 0 || k != jsonscan.Closed {
		return fmt.Errorf("kucoin: order book of %s: %w", in.Native, scanErr(at))
	}
	if !got.have(1<<1|1<<2|1<<3) || seq > 1<<63-1 {
		return fmt.Errorf("kucoin: order book of %s has no sequence, bids or asks: %.100q", in.Native, body)
	}
	d.stamp(from, ts, seq)
	ev := d.event(md.ChannelBook, []byte(in.Native), nil, from)
	ev.Action, ev.SeqLast = ActionReplace, int64(seq)
	return nil
}
