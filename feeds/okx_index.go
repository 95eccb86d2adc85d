package feeds

import (
	"bytes"
	"slices"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

var _ Stateful = OKX{}

// okxConn is what one connection has subscribed to: the instruments of each index.
type okxConn struct {
	OKX
	byIndex map[string][][]byte
}

// NewConn implements Stateful.
func (v OKX) NewConn() Conn { return &okxConn{v, map[string][][]byte{}} }

// Decode implements Conn.
func (c *okxConn) Decode(frame []byte, d *Decoded) error { return okxFrame(frame, d, c) }

// okxIndexOf is the index that a swap or a dated future follows, "" for others:
// BTC-USDT of BTC-USDT-SWAP and of BTC-USDT-260327, BTC-USD of BTC-USD_UM-SWAP.
func okxIndexOf[T string | []byte](native T) (index T) {
	dashes := 0
	for i := range len(native) {
		switch c := native[i]; {
		case c == '-' && dashes == 0 && i > 0:
			dashes++
		case (c == '-' || c == '_') && dashes == 1 && len(index) == 0:
			if index = native[:i]; index[i-1] == '-' {
				return native[:0]
			}
			if c == '-' {
				dashes++
			}
		case c == '-':
			dashes++
		}
	}
	if dashes != 2 {
		return native[:0]
	}
	return index
}

// answered notes which mark prices, and so which indices, the connection has.
func (c *okxConn) answered(event, channel, native []byte) {
	if c == nil || string(channel) != "mark-price" {
		return
	}
	index := okxIndexOf(native)
	at := slices.IndexFunc(c.byIndex[string(index)], func(b []byte) bool { return bytes.Equal(b, native) })
	switch {
	case len(index) == 0:
	case at < 0 && string(event) == "subscribe":
		c.byIndex[string(index)] = append(c.byIndex[string(index)], bytes.Clone(native))
	case at >= 0 && string(event) == "unsubscribe":
		c.byIndex[string(index)] = slices.Delete(c.byIndex[string(index)], at, at+1)
	}
}

// spread makes of each event of an index one of every instrument that follows it.
// Indices are no instruments: without any, nothing is left.
func (c *okxConn) spread(d *Decoded) {
	indices, told := len(d.Events), len(d.Recs)
	for k := range indices {
		ev := d.Events[k]
		if c == nil {
			break
		}
		for _, native := range c.byIndex[string(ev.Native)] {
			from := len(d.Recs)
			d.Recs = append(d.Recs, d.Recs[ev.From:ev.To]...)
			d.event(md.ChannelTicker, native, nil, from)
		}
	}
	d.Events = append(d.Events[:0], d.Events[indices:]...)
	d.Recs = append(d.Recs[:0], d.Recs[told:]...)
	for k := range d.Events {
		d.Events[k].From, d.Events[k].To = d.Events[k].From-told, d.Events[k].To-told
	}
}

var okxIndexKeys = jsonscan.Names("instId", "idxPx", "high24h", "low24h", "open24h", "sodUtc0", "sodUtc8", "ts")

// okxIndex decodes an element of index-tickers. What it tells of the last day is
// the index's, not the instruments'.
func okxIndex(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	var ts int64
	var got once
	k, at := jsonscan.First(b, i, okxIndexKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, okxIndexKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 1:
			i = d.stat(b, at, md.StatIndex)
		case 7:
			ts, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || ts == 0 {
		return jsonscan.Bad
	}
	if len(d.Recs) > from {
		d.stamp(from, ts, 0)
		d.event(md.ChannelTicker, native, nil, from)
	}
	return at
}

var okxStatusKeys = jsonscan.Names("title", "state", "begin", "end", "href", "serviceType", "system", "scheDesc",
	"maintType", "env", "preOpenBegin", "ts")

// okxStatus decodes an element of status (Doc, "Status channel"). Maintenance of
// the WebSocket (serviceType 0) or of all trading (5) that goes on in production
// (env 1) is a pause; everything else is worth a line in the log.
func okxStatus(b []byte, i int, d *Decoded, _ []byte) int {
	var title, state, service, env []byte
	var got once
	k, at := jsonscan.First(b, i, okxStatusKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, okxStatusKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			title, i = jsonscan.Text(b, at)
		case 1:
			state, i = jsonscan.Text(b, at)
		case 5:
			service, i = jsonscan.Text(b, at)
		case 9:
			env, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || state == nil {
		return jsonscan.Bad
	}
	all := string(service) == "0" || string(service) == "5"
	switch {
	case string(state) == "ongoing" && all && string(env) != "2":
		d.Control, d.Text = ControlMaintenance, title
	case d.Control == ControlNone:
		d.Control, d.Text = ControlNotice, title
	}
	return at
}
