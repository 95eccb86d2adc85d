package feeds

import (
	"fmt"
	"time"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Hyperliquid is the market of Hyperliquid, perpetuals and spot.
//
// There are neither sequence numbers nor checksums (Doc): each l2Book message is
// the whole book, 20 levels a side, ordered by its time. Trade ids are hashes,
// the same on every connection. The first trades after a subscription are the
// recent past; they are told by their times, since live ones are of one block.
type Hyperliquid struct{}

var (
	_ Venue    = Hyperliquid{}
	_ Stateful = Hyperliquid{}
)

var hyperliquidSpec = Spec{
	Name:  "hyperliquid",
	Venue: md.VenueHyperliquid,
	Doc:   "https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions",
	URL:   "wss://api.hyperliquid.xyz/ws",
	REST:  "https://api.hyperliquid.xyz",
	Channels: []ChannelSpec{
		{md.ChannelTrades, "trades", ""},
		{md.ChannelBook, "l2Book", "whole book each time, time never goes back"},
		{md.ChannelBBO, "bbo", ""},
		{md.ChannelTicker, "activeAssetCtx", ""},
		{md.ChannelFunding, "activeAssetCtx", ""},
		{md.ChannelOpenInterest, "activeAssetCtx", ""},
	},
	PriceExp: -8, SizeExp: -8,
	Ping: []byte(`{"method":"ping"}`), PingEvery: 20 * time.Second, // closed after 60 s without
	DeadAfter:    50 * time.Second,
	MaxFrame:     4 << 20,
	SubsPerFrame: 1,
	SubsPerConn:  1000,
	SendEvery:    35 * time.Millisecond, // 2000 messages a minute
	UniqueTrades: true,
	BookTime:     time.Nanosecond,
}

// Spec implements Venue.
func (Hyperliquid) Spec() *Spec { return &hyperliquidSpec }

// Subscribe implements Venue.
func (Hyperliquid) Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return hyperliquidRequest(dst, subs, "subscribe", rq)
}

// Unsubscribe implements Venue.
func (Hyperliquid) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	return hyperliquidRequest(dst, subs, "unsubscribe", rq)
}

func hyperliquidRequest(dst [][]byte, subs []Sub, method string, rq *Requests) [][]byte {
	var args []string
	for _, s := range subs {
		kind := "activeAssetCtx"
		switch s.Channel {
		case md.ChannelTrades:
			kind = "trades"
		case md.ChannelBook:
			kind = "l2Book"
		case md.ChannelBBO:
			kind = "bbo"
		}
		args = append(args, `"type":"`+kind+`","coin":`+quoted(s.Instrument.Native))
	}
	head := `{"method":"` + method + `","subscription":{`
	return requests(dst, args, head, func(int) string { return "}}" }, rq, 1, 4096)
}

// NewConn implements Stateful.
func (Hyperliquid) NewConn() Conn { return &hyperliquidConn{seen: map[string]struct{}{}} }

// hyperliquidConn remembers which coins' trades it has seen.
type hyperliquidConn struct {
	Hyperliquid
	seen map[string]struct{}
}

// Decode implements Conn.
func (c *hyperliquidConn) Decode(frame []byte, d *Decoded) error {
	if err := c.Hyperliquid.Decode(frame, d); err != nil {
		return err
	}
	for k := range d.Events {
		ev := &d.Events[k]
		if ev.Channel != md.ChannelTrades {
			continue
		}
		if _, seen := c.seen[string(ev.Native)]; seen {
			continue
		}
		c.seen[string(ev.Native)] = struct{}{}
		if recs := d.Recs[ev.From:ev.To]; recs[0].TsEvent != recs[len(recs)-1].TsEvent {
			ev.Action = ActionReplace
		}
	}
	return nil
}

// Unsubscribe implements Conn: the next trades of these coins begin with the
// past again.
func (c *hyperliquidConn) Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte {
	for _, s := range subs {
		if s.Channel == md.ChannelTrades {
			delete(c.seen, s.Instrument.Native)
		}
	}
	return c.Hyperliquid.Unsubscribe(dst, subs, rq)
}

var hyperliquidKeys = jsonscan.Names("channel", "data")

// Decode implements Venue.
func (Hyperliquid) Decode(frame []byte, d *Decoded) error {
	var channel []byte
	var got uint
	i, data := 0, 0
	k, at := jsonscan.First(frame, jsonscan.Space(frame, 0), hyperliquidKeys)
	for k != jsonscan.Closed && at >= 0 {
		switch {
		case k == 0:
			channel, i = jsonscan.Text(frame, at)
		case k == 1 && channel != nil:
			i = hyperliquidData(frame, at, d, channel)
		case k == 1:
			data, i = at, jsonscan.Skip(frame, at)
		default:
			i = jsonscan.Skip(frame, at)
		}
		if i < 0 {
			return scanErr(i)
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.ErrSyntax
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(frame, i, hyperliquidKeys, k)
	}
	if at < 0 || !jsonscan.End(frame, at) {
		return scanErr(min(at, jsonscan.Bad))
	}
	if data > 0 && channel != nil {
		if i = hyperliquidData(frame, data, d, channel); i < 0 {
			return scanErr(i)
		}
	}
	if string(channel) == "pong" { // with or without data
		d.Control = ControlPong
	}
	return nil
}

// hyperliquidData decodes the data of a message.
func hyperliquidData(b []byte, i int, d *Decoded, channel []byte) int {
	switch string(channel) {
	case "l2Book":
		return hyperliquidBook(b, i, d)
	case "trades":
		return hyperliquidTrades(b, i, d)
	case "bbo":
		return hyperliquidBBO(b, i, d)
	case "activeAssetCtx", "activeSpotAssetCtx":
		return hyperliquidContext(b, i, d)
	case "subscriptionResponse":
		d.Control = ControlAck
	case "error":
		d.Control = ControlError
		var next int
		if d.Text, next = jsonscan.Text(b, i); next >= 0 {
			return next
		}
		d.Text = nil
	}
	return jsonscan.Skip(b, i)
}

var (
	hyperliquidBookKeys  = jsonscan.Names("coin", "time", "levels", "bbo").Or("coin", "time", "bbo")
	hyperliquidLevelKeys = jsonscan.Names("px", "sz", "n")
)

func hyperliquidBook(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native []byte
	var ts int64
	var got uint
	k, at := jsonscan.First(b, i, hyperliquidBookKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			native, i = jsonscan.Text(b, at)
		case 1:
			ts, i = jsonscan.Time(b, at)
		case 2:
			i = hyperliquidSides(b, at, d)
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
		k, at = jsonscan.Member(b, i, hyperliquidBookKeys, k)
	}
	if at < 0 || got&7 != 7 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	ev := d.event(md.ChannelBook, native, nil, from)
	ev.Action, ev.SeqLast = ActionReplace, ts
	return at
}

// hyperliquidSides reads [bids, asks].
func hyperliquidSides(b []byte, i int, d *Decoded) int {
	i, more := jsonscan.Open(b, i, '[')
	if !more {
		return jsonscan.Bad
	}
	if i = d.levelObjects(b, i, md.SideBid, hyperliquidLevelKeys); i < 0 {
		return i
	}
	if i, more = jsonscan.Next(b, i, '['); !more {
		return jsonscan.Bad
	}
	if i = d.levelObjects(b, i, md.SideAsk, hyperliquidLevelKeys); i < 0 {
		return i
	}
	if i, more = jsonscan.Next(b, i, '['); more {
		return jsonscan.Bad
	}
	return i
}

func hyperliquidBBO(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native []byte
	var ts int64
	var got uint
	d.quotes()
	k, at := jsonscan.First(b, i, hyperliquidBookKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			native, i = jsonscan.Text(b, at)
		case 1:
			ts, i = jsonscan.Time(b, at)
		case 3:
			i = hyperliquidQuotes(b, at, d.Recs[from:from+2])
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
		k, at = jsonscan.Member(b, i, hyperliquidBookKeys, k)
	}
	if at < 0 || got&11 != 11 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	d.event(md.ChannelBBO, native, nil, from)
	return at
}

// hyperliquidQuotes reads [bid, ask]; null is an empty side.
func hyperliquidQuotes(b []byte, i int, quotes []md.Record) int {
	i, more := jsonscan.Open(b, i, '[')
	for k := range quotes {
		r := &quotes[k]
		if !more {
			return jsonscan.Bad
		}
		if jsonscan.IsNull(b, i) {
			i = jsonscan.Skip(b, i)
			r.Price, r.Size = md.Absent, 0
		} else if i = levelObject(b, i, hyperliquidLevelKeys, r); i < 0 || r.Size < 0 {
			return jsonscan.Bad
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if more {
		return jsonscan.Bad
	}
	return i
}

// Sequence implements Venue.
func (Hyperliquid) Sequence(b *BookState, ev *Event) Verdict {
	if ev.Action != ActionReplace || !b.Empty && ev.SeqLast < b.Seq {
		return VerdictIgnore
	}
	return VerdictApply
}

// Checksum implements Venue: there is none.
func (Hyperliquid) Checksum(*Book) int64 { return 0 }

// SnapshotURL implements Venue: every message is one.
func (Hyperliquid) SnapshotURL(string, *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Hyperliquid) DecodeSnapshot([]byte, *md.Instrument, *Decoded) error {
	return fmt.Errorf("hyperliquid: no REST snapshots: %w", ErrUnsupported)
}
