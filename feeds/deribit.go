package feeds

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Deribit is the public market data of Deribit, JSON-RPC 2.0 over WebSocket:
// perpetuals, futures, options and spot. The zero value reads the channels that
// come every 100 ms; with credentials those called raw, each change by itself.
//
// The book rule (page of book.{instrument_name}.{interval}): the first message
// is a snapshot, each further one names in prev_change_id the change_id of the
// message before. Whatever else comes means a loss.
//
// Trade ids are trade_seq, which grows by one per instrument, so that a loss is
// counted; trade_id is left out. Amounts are in units of USD for inverse
// contracts, else of the base coin (page of trades.{instrument_name}.{interval}).
type Deribit struct{ key, secret string }

var (
	_ Venue        = Deribit{}
	_ Opener       = Deribit{}
	_ Credentialed = Deribit{}
)

var deribitSpec = Spec{
	Name:  "deribit",
	Venue: md.VenueDeribit,
	Doc:   "https://docs.deribit.com/articles/notifications",
	URL:   "wss://www.deribit.com/ws/api/v2",
	REST:  "https://www.deribit.com",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trades.{instrument}.100ms or .raw", "trade_seq = last + 1"},
		{md.ChannelBook, "book.{instrument}.100ms or .raw", "prev_change_id = change_id of the message before"},
		{md.ChannelBBO, "quote.{instrument}", ""},
		{md.ChannelTicker, "ticker.{instrument}.100ms or .raw", ""},
		{md.ChannelFunding, "ticker.{instrument}.100ms or .raw", ""},
		{md.ChannelOpenInterest, "ticker.{instrument}.100ms or .raw", ""},
		{md.ChannelLiquidations, "trades.{instrument}.100ms or .raw", ""},
		{md.ChannelStatus, "ticker, instrument.state.any.any, platform_state", ""},
	},
	PriceExp: -8, SizeExp: -8,
	DeadAfter:         35 * time.Second, // a heartbeat comes every 10 s
	MaxFrame:          8 << 20,
	SubsPerFrame:      100,
	SubsPerConn:       500,
	SendEvery:         300 * time.Millisecond, // 3.3 subscribe requests per second
	ConsecutiveTrades: true,
}

// deribitRawSpec is for connections that are logged in: raw changes have the
// same numbers on every connection.
var deribitRawSpec = func() Spec {
	s := deribitSpec
	s.MergeBooks, s.WaitReady = true, true
	return s
}()

// Spec implements Venue.
func (v Deribit) Spec() *Spec {
	if v.key != "" {
		return &deribitRawSpec
	}
	return &deribitSpec
}

// WithCredentials implements Credentialed.
func (Deribit) WithCredentials(c Credentials) (Venue, error) {
	if c.Key == "" || c.Secret == "" {
		return nil, errors.New("deribit: key (client id) and secret are wanted")
	}
	return Deribit{key: c.Key, secret: c.Secret}, nil
}

// CredentialsFor implements Credentialed.
func (Deribit) CredentialsFor() string {
	return "the raw channels: each change by itself, not every 100 ms"
}

// Open implements Opener: it asks for heartbeats and, with credentials, logs in
// by the signature that the page on authentication describes: the secret itself
// is never sent.
func (v Deribit) Open(dst [][]byte, rq *Requests) [][]byte {
	dst = append(dst, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"public/set_heartbeat","params":{"interval":10}}`, rq.ID))
	rq.ID++
	if v.key == "" {
		return dst
	}
	ms, nonce := rq.Now/1e6, strconv.FormatInt(rq.Now, 36)
	mac := hmac.New(sha256.New, []byte(v.secret))
	fmt.Fprintf(mac, "%d\n%s\n", ms, nonce)
	dst = append(dst, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"public/auth","params":{"grant_type":"client_signature","client_id":%s,"timestamp":%d,"nonce":"%s","data":"","signature":"%s"}}`,
		rq.ID, quoted(v.key), ms, nonce, hex.EncodeToString(mac.Sum(nil))))
	rq.ID++
	return dst
}

// Subscribe implements Venue.
func (v Deribit) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return v.request(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue. The streams of the venue as a whole stay.
func (v Deribit) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return v.request(dst, subs, "unsubscribe", rq)
}

func (v Deribit) request(dst [][]byte, subs []Sub, method string, rq *Requests) [][]byte {
	every := ".100ms"
	if v.key != "" {
		every = ".raw"
	}
	var args []string
	for _, s := range subs {
		name := s.Instrument.Native
		switch s.Channel {
		case md.ChannelTrades, md.ChannelLiquidations:
			args = append(args, quoted("trades."+name+every))
		case md.ChannelBook:
			args = append(args, quoted("book."+name+every))
		case md.ChannelBBO:
			args = append(args, quoted("quote."+name))
		case md.ChannelTicker, md.ChannelOpenInterest, md.ChannelFunding:
			args = append(args, quoted("ticker."+name+every))
		case md.ChannelStatus:
			args = append(args, quoted("ticker."+name+every))
			if method == "subscribe" {
				args = append(args, `"platform_state"`, `"instrument.state.any.any"`)
			}
		}
	}
	tail := func(id int) string { return fmt.Sprintf(`]},"id":%d}`, id) }
	return requests(dst, args, `{"jsonrpc":"2.0","method":"public/`+method+`","params":{"channels":[`, tail, rq, deribitSpec.SubsPerFrame, 32<<10)
}

// deribitPush is how every notification begins.
const deribitPush = `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"`

var (
	deribitKeys   = jsonscan.Names("jsonrpc", "method", "params", "id", "error", "result")
	deribitParams = jsonscan.Names("channel", "data", "type")
)

// Decode implements Venue.
func (Deribit) Decode(frame []byte, d *Decoded) error {
	i := jsonscan.Bad
	if len(frame) > len(deribitPush) && string(frame[:len(deribitPush)]) == deribitPush {
		var channel []byte
		channel, i = jsonscan.Text(frame, len(deribitPush)-1)
		if i = deribitParams[1].After(frame, i); i >= 0 {
			if i = deribitData(frame, i, d, channel); i < 0 {
				return scanErr(i)
			}
			i = jsonscan.Literal(frame, i, "}}")
			if i < 0 {
				d.Reset()
			}
		}
	}
	if i < 0 {
		i = deribitMessage(frame, d)
	}
	if i < 0 || !jsonscan.End(frame, i) {
		return scanErr(i)
	}
	return nil
}

// deribitMessage decodes an answer, a heartbeat or a push in any order.
func deribitMessage(b []byte, d *Decoded) int {
	var method []byte
	var got uint
	i, params, fault, result := 0, 0, 0, 0
	k, at := jsonscan.First(b, jsonscan.Space(b, 0), deribitKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 1:
			method, i = jsonscan.Text(b, at)
		case 2:
			params, i = at, jsonscan.Skip(b, at)
		case 4:
			fault, i = at, jsonscan.Skip(b, at)
		case 5:
			result, i = at, jsonscan.Skip(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, deribitKeys, k)
	}
	if at < 0 {
		return at
	}
	switch {
	case fault > 0:
		d.Control = ControlError
		if text := jsonscan.Find(b, fault, "message"); text != nil {
			d.Text, _ = jsonscan.Text(text, 0)
		}
	case result > 0:
		deribitResult(b, result, d)
	case params > 0:
		if i = deribitNotice(b, params, d, string(method)); i < 0 {
			return i
		}
	}
	return at
}

// deribitResult reads what a request brought: a list of channels answers
// subscriptions, a token the log-in.
func deribitResult(b []byte, i int, d *Decoded) {
	switch b[i] {
	case '[':
		d.Control = ControlAck
		if _, some := jsonscan.Open(b, i, '['); !some {
			d.Control, d.Text = ControlNotice, deribitUnknown
		}
	case '{':
		if jsonscan.Find(b, i, "access_token") != nil {
			d.Control = ControlReady
		}
	}
}

// deribitNotice decodes the params of a notification: a push or a heartbeat.
func deribitNotice(b []byte, i int, d *Decoded, method string) int {
	var channel, kind []byte
	var got uint
	data := 0
	k, at := jsonscan.First(b, i, deribitParams)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			channel, i = jsonscan.Text(b, at)
		case 1:
			data, i = at, jsonscan.Skip(b, at)
		case 2:
			kind, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, deribitParams, k)
	}
	switch {
	case at < 0:
	case method == "heartbeat" && string(kind) == "test_request":
		d.Control, d.Text = ControlReply, deribitAnswer
	case method == "subscription":
		if channel == nil || data == 0 {
			return jsonscan.Bad
		}
		if i = deribitData(b, data, d, channel); i < 0 {
			return i
		}
	}
	return at
}

var (
	// deribitAnswer is what a test_request wants.
	deribitAnswer = []byte(`{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}`)
	// deribitUnknown is said of a request that subscribed to nothing.
	deribitUnknown = []byte("the venue knows none of the channels of a request")
)

// deribitData decodes the data of a push.
func deribitData(b []byte, i int, d *Decoded, channel []byte) int {
	switch {
	case len(channel) < 6:
	case string(channel[:5]) == "book.":
		return deribitBook(b, i, d)
	case string(channel[:6]) == "quote.":
		return deribitQuote(b, i, d)
	case len(channel) < 8:
	case string(channel[:7]) == "trades.":
		return deribitTrades(b, i, d)
	case string(channel[:7]) == "ticker.":
		return deribitTicker(b, i, d)
	case string(channel) == "platform_state":
		return deribitPlatform(b, i, d)
	case len(channel) > 17 && string(channel[:17]) == "instrument.state.":
		return deribitState(b, i, d)
	}
	return jsonscan.Skip(b, i)
}

// Sequence implements Venue: see the type.
func (Deribit) Sequence(b *BookState, ev *Event) Verdict {
	switch {
	case ev.Action == ActionReplace:
		return VerdictApply
	case b.Empty, ev.SeqLast <= b.Seq: // in flight from before a resubscription, or repeated
		return VerdictIgnore
	case ev.SeqPrev != b.Seq:
		return VerdictGap
	}
	return VerdictApply
}

// Checksum implements Venue: there is none.
func (Deribit) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue: snapshots come in band.
func (Deribit) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Deribit) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("deribit: no REST snapshots: %w", ErrUnsupported)
}
