package raw

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// dialect is how one family of venues speaks. Its methods may be called from the Hub's
// goroutine only.
type dialect interface {
	limits() limits
	// open reads the path behind /raw/<venue> and the query: streams to begin with, and
	// whether frames are wanted as they are or without their envelope.
	open(path, query string) (keys []string, bare, ok bool)
	// request reads a client's message.
	request(text []byte, bare bool) request
	// wire makes a message that asks the venue for streams or gives them up.
	wire(subscribe bool, keys []string, id uint64) []byte
	// judge says what an upstream message is.
	judge(frame []byte) verdict
	// snapshots reports whether a stream begins with a snapshot that is sent once.
	snapshots(key string) bool
	// ack acknowledges a request of a client, or one stream of it; refuse refuses it.
	ack(r *request, key string) []byte
	refuse(r *request, key, code, text string) []byte
	// listed answers a request for the list of streams.
	listed(r *request, keys []string) []byte
}

// limits are what the venue's document allows one connection, with a margin.
type limits struct {
	every   time.Duration // between two messages to the venue
	batch   int           // streams in one message
	streams int           // on the connection
	perKey  bool          // each stream of a request is acknowledged on its own
	ping    []byte        // sent every pingEvery; nil: the venue pings
}

type op uint8

const (
	opNone op = iota // answer is all there is to do
	opSubscribe
	opUnsubscribe
	opList
	opMode // bare changes
)

// request is what a client asks.
type request struct {
	op     op
	keys   []string
	args   []string // as the client wrote them, one per key, for the answer
	id     string   // as JSON, "" if there is none
	bare   bool     // with opMode
	answer []byte   // to send at once
}

type verdictKind uint8

const (
	isOther verdictKind = iota // nothing for clients
	isData
	isAck
	isRefusal
)

// verdict is what an upstream message is.
type verdict struct {
	kind     verdictKind
	key      string // of data, and of acknowledgements without an id
	id       uint64 // of acknowledgements, 0: key says it
	snapshot bool
	bare     []byte // of data, without the envelope
	code     string // of refusals, as JSON
	text     string
}

// dialectOf finds the dialect of a venue, nil if it has none here.
func dialectOf(venue string) dialect {
	family, _, _ := strings.Cut(venue, "-")
	switch family {
	case "binance":
		return &binance{}
	case "okx":
		return &args{okx: true}
	case "bitget":
		return &args{}
	case "bybit":
		return &bybit{}
	}
	return nil
}

// Default addresses, from the venues' documents.
func defaultURL(venue string) string {
	return map[string]string{
		"binance":       "wss://stream.binance.com:9443/stream",
		"binance-usdm":  "wss://fstream.binance.com/stream",
		"binance-coinm": "wss://dstream.binance.com/stream",
		"okx":           "wss://ws.okx.com:8443/ws/v5/public",
		"bitget":        "wss://ws.bitget.com/v2/ws/public",
		"bybit":         "wss://stream.bybit.com/v5/public/spot",
		"bybit-linear":  "wss://stream.bybit.com/v5/public/linear",
		"bybit-inverse": "wss://stream.bybit.com/v5/public/inverse",
	}[venue]
}

func parse(p *fastjson.Parser, text []byte) *fastjson.Value {
	v, err := p.ParseBytes(text)
	if err != nil || v.Type() != fastjson.TypeObject {
		return nil
	}
	return v
}

// jsonOf is a field as JSON text, "" if there is none.
func jsonOf(v *fastjson.Value, key string) string {
	if x := v.Get(key); x != nil {
		return string(x.MarshalTo(nil))
	}
	return ""
}

// quoted is s as a JSON string.
func quoted(s string) string {
	var a fastjson.Arena
	return string(a.NewString(s).MarshalTo(nil))
}

// number reads an id that the Hub has given, as a number or a string.
func number(v *fastjson.Value, key string) uint64 {
	x := v.Get(key)
	if x == nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.Trim(string(x.MarshalTo(nil)), `"`), 10, 64)
	return n
}

func join(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

// isPing reports the text that OKX and Bitget take for a ping.
func isPing(text []byte) bool { return bytes.Equal(bytes.TrimSpace(text), []byte("ping")) }
