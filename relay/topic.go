package relay

import (
	"encoding/json"
	"strconv"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// topic is what the hub knows about one topic: its number, its book or last
// values, and the streams that are made of it. The hub's goroutine alone uses it.
type topic struct {
	name       string
	quoted     []byte // name as a JSON string
	venue      md.Venue
	instrument uint32
	channel    md.Channel

	epoch  int64
	seq    uint64 // number of the last record seen
	lostAt uint64 // seq when the last gap came
	ended  uint64 // last number of the epoch before
	turned bool   // an epoch began that was not announced yet
	down   bool   // the ring it came from ended
	live   bool   // a heartbeat or record of the present epoch was seen

	book *book.Reader // of book topics
	last []md.Record  // of the other state topics: the last value, one record per statistic or side

	// gap is the last gap while the state is not known; Kind 0 once it is.
	gap md.Record

	candles [len(candleIntervals)]*series // of a topic of trades: what is made of them
	series  *series                       // of a topic of candles
	source  *input                        // the ring that told of it last
	history history                       // of the plain stream
	streams []*stream                     // the first is the plain one: no depth, no conflation
}

// holdsState reports whether the newest value replaces the ones before it, so that
// a slow reader may be given only the newest. Of trades, liquidations and signals
// every one counts.
func holdsState(c md.Channel) bool {
	switch c {
	case md.ChannelBook, md.ChannelBBO, md.ChannelTicker, md.ChannelFunding,
		md.ChannelOpenInterest, md.ChannelStatus, md.ChannelCandles1s, md.ChannelCandles1m:
		return true
	}
	return false
}

func newTopic(in md.Instrument, c md.Channel) *topic {
	name := md.Topic{Venue: in.Venue, Channel: c, Symbol: in.Symbol}.String()
	quoted, err := json.Marshal(name)
	if err != nil {
		quoted = strconv.AppendQuote(nil, name)
	}
	t := &topic{name: name, quoted: quoted, venue: in.Venue, instrument: in.ID, channel: c}
	if c == md.ChannelBook {
		t.book = &book.Reader{}
	}
	return t
}

// apply takes an event, live or snapshot, into the state.
func (t *topic) apply(ev []md.Record) {
	if t.book != nil {
		for i := range ev {
			t.book.Apply(&ev[i])
		}
		return
	}
	if !holdsState(t.channel) {
		return
	}
	t.gap = md.Record{}
	for i := range ev {
		t.keep(&ev[i])
	}
}

// keep replaces the last value of the record's statistic or side.
func (t *topic) keep(r *md.Record) {
	for i := range t.last {
		if l := &t.last[i]; l.Level == r.Level && l.Side == r.Side {
			*l = *r
			return
		}
	}
	at := len(t.last)
	for at > 0 && statOrder(&t.last[at-1]) > statOrder(r) {
		at--
	}
	t.last = append(t.last, md.Record{})
	copy(t.last[at+1:], t.last[at:])
	t.last[at] = *r
}

// statOrder puts a bid before its ask and statistics by their code, so that the
// same state gives the same bytes.
func statOrder(r *md.Record) int { return int(r.Side)<<8 | int(r.Level) }

// lost takes a gap: what is held may be wrong from here on.
func (t *topic) lost(r *md.Record) {
	if t.book != nil {
		t.book.Apply(r)
	}
	t.last = t.last[:0]
	if holdsState(t.channel) {
		t.gap = *r
	}
	t.seq = max(t.seq, r.Seq)
	t.lostAt = t.seq
}

// complete reports whether a snapshot can be given now.
func (t *topic) complete() bool {
	if t.book != nil {
		return t.book.State == book.Live
	}
	if t.series != nil {
		return len(t.series.bars) > t.series.first
	}
	return len(t.last) > 0
}

// appendSnapshot appends the present state as one snapshot event; depth 0 is the
// whole book. Nothing is appended while the state is not known.
func (t *topic) appendSnapshot(dst []md.Record, depth int) []md.Record {
	if !t.complete() {
		return dst
	}
	from := len(dst)
	if t.book != nil {
		dst = appendBook(dst, t.book, depth)
	} else if t.series != nil {
		dst = t.series.appendSnapshot(dst)
	} else {
		dst = append(dst, t.last...)
	}
	t.stamp(dst[from:], md.FlagSnapshot)
	return dst
}

// stamp makes recs one event of the topic at its present number.
func (t *topic) stamp(recs []md.Record, flags md.Flags) {
	for i := range recs {
		r := &recs[i]
		r.Venue, r.Instrument, r.Seq = t.venue, t.instrument, t.seq
		r.Flags = r.Flags&(md.FlagIDHash|md.FlagRecovered|md.FlagClosed|md.FlagPartial) | flags&^md.FlagConflated
	}
	if n := len(recs); n > 0 {
		recs[0].Flags |= md.FlagFirst | flags&md.FlagConflated
		recs[n-1].Flags |= md.FlagLast
	}
}

// appendBook appends clear, the levels from the touch outwards, and end.
func appendBook(dst []md.Record, r *book.Reader, depth int) []md.Record {
	b := &r.Book
	mark := md.Record{Kind: md.KindBook, Side: md.SideClear, TsEvent: r.TsEvent, TsRecv: r.TsRecv,
		Price: md.Absent, Size: md.Absent, PriceExp: b.PriceExp, SizeExp: b.SizeExp}
	dst = append(dst, mark)
	nb, na := b.Bids.Len(), b.Asks.Len()
	if depth > 0 {
		nb, na = min(nb, depth), min(na, depth)
	}
	for i := range max(nb, na) {
		if i < nb {
			dst = append(dst, levelRecord(&mark, md.SideBid, b.Bids.At(i)))
		}
		if i < na {
			dst = append(dst, levelRecord(&mark, md.SideAsk, b.Asks.At(i)))
		}
	}
	mark.Side = md.SideEnd
	return append(dst, mark)
}

// levelRecord is like with a level's values.
func levelRecord(like *md.Record, side uint8, l *book.Level) md.Record {
	r := *like
	r.Side, r.Price, r.Size, r.Count = side, l.Price, l.Size, l.Count
	return r
}

// appendPosition appends `"name":{"epoch":"…","seq":N}` for the answers that name
// topics.
func (t *topic) appendPosition(dst []byte, seq uint64) []byte {
	dst = append(dst, t.quoted...)
	dst = append(dst, `:{"epoch":"`...)
	dst = strconv.AppendInt(dst, t.epoch, 10)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	return append(dst, '}')
}
