package feeds

import (
	"crypto/sha1"
	"encoding/base64"
	"time"

	"tickrelay/ring/md"
)

// acceptOf is RFC 6455 section 4.2.2 step 5.4.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// toyVenue is a venue whose frames are one word, for tests of sessions: what
// connections do must not depend on a dialect.
type toyVenue struct {
	spec   Spec
	native []byte
}

func newToyVenue() *toyVenue {
	return &toyVenue{native: []byte("BTCUSDT"), spec: Spec{
		Name: "binance", Venue: md.VenueBinance, URL: "ws://192.0.2.1/ws",
		Channels: []ChannelSpec{{Channel: md.ChannelTrades, Native: "trade"}},
		PriceExp: -8, SizeExp: -8, MaxFrame: 1 << 20, SubsPerFrame: 1,
	}}
}

func (v *toyVenue) Spec() *Spec { return &v.spec }

func (v *toyVenue) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	for _, s := range subs {
		dst = append(dst, []byte("subscribe "+s.Instrument.Native))
		rq.ID++
	}
	return dst
}

func (v *toyVenue) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte { return dst }

// Decode knows "trade", "ack", "ping", "leaving" and "pong".
func (v *toyVenue) Decode(frame []byte, d *Decoded) error {
	switch string(frame) {
	case "trade":
		d.Recs = append(d.Recs, md.Record{Kind: md.KindTrade, Price: 1, Size: 1, TsEvent: int64(time.Second)})
		d.Events = append(d.Events, Event{Channel: md.ChannelTrades, Native: v.native, To: len(d.Recs), From: len(d.Recs) - 1})
	case "ping":
		d.Control, d.Text = ControlReply, []byte("pong of the feed")
	case "leaving":
		d.Control = ControlReconnect
	case "pong":
		d.Control = ControlPong
	case "ack":
		d.Control = ControlAck
	default:
		return ErrUnsupported
	}
	return nil
}

func (v *toyVenue) Sequence(b *BookState, ev *Event) Verdict              { return VerdictApply }
func (v *toyVenue) Checksum(b *Book) int64                                { return 0 }
func (v *toyVenue) SnapshotURL(base string, in *md.Instrument) string     { return "" }
func (v *toyVenue) Catalogue(base string) []Request                       { return gets(base + "/list") }
func (v *toyVenue) Native(symbol string) (string, bool)                   { return "BTCUSDT", symbol == "BTC-USDT" }
func (v *toyVenue) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error { return ErrUnsupported }

func (v *toyVenue) DecodeCatalogue(body []byte, each func(md.Instrument)) (string, error) {
	if string(body) != "BTCUSDT" {
		return "", ErrUnsupported
	}
	each(md.Instrument{Venue: md.VenueBinance, Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT", PriceExp: -2, SizeExp: -5})
	return "", nil
}

func (v *toyVenue) Symbol(native, class string) (string, md.InstrumentKind, bool) {
	return "BTC-USDT", md.InstrumentSpot, native == "BTCUSDT"
}
