package decodebench

import (
	"bytes"
	"errors"
	"slices"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

var errShape = errors.New("not the expected shape")

// fast fills records by way of valyala/fastjson, with one parser and its
// memory reused from frame to frame.
type fast struct {
	p     fastjson.Parser
	venue string
	dst   []md.Record
	bad   bool

	digits []byte // of the number being read

	isoText []byte // the last time that was written out, and its value in ns
	isoTime int64
}

func newFast(venue string, ch md.Channel) contender {
	f := &fast{venue: venue}
	b, _ := benchOf(venue)
	return func(frame []byte, dst []md.Record) ([]md.Record, error) {
		v, err := f.p.ParseBytes(frame)
		if err != nil {
			return dst, err
		}
		f.dst, f.bad = dst, false
		b.fast(f, v, ch)
		if f.bad {
			return f.dst, errShape
		}
		return f.dst, nil
	}
}

// commonBench is that of the first three venues, whose frames are alike.
// more are the channels that some have beyond the common ones.
func commonBench(frame func(g *generator, ch md.Channel, ms uint64) string, more ...md.Channel) venueBench {
	return venueBench{
		channels: append(common[:4:4], more...),
		frame:    func(g *generator, ch md.Channel) string { return frame(g, ch, g.next()) },
		fast: func(f *fast, v *fastjson.Value, ch md.Channel) {
			switch ch {
			case md.ChannelTrades:
				f.trades(v)
			case md.ChannelBook:
				f.book(v)
			case md.ChannelBBO:
				f.bbo(v)
			case md.ChannelTicker:
				f.ticker(v)
			default:
				f.contract(v, ch)
			}
		},
	}
}

// data is the event's object.
func (f *fast) data(v *fastjson.Value) *fastjson.Value {
	if f.venue != "binance" {
		return v.Get("data", "0")
	}
	if d := v.Get("data"); d != nil {
		return d
	}
	return v
}

// number reads a decimal given as a text or as a number, false where there is
// none.
func (f *fast) number(v *fastjson.Value) (md.Decimal, bool) {
	if v == nil {
		return md.Decimal{}, false
	}
	var b []byte
	switch v.Type() {
	case fastjson.TypeString:
		b, _ = v.StringBytes()
	case fastjson.TypeNumber:
		// The only way to the digits: GetFloat64 would not be exact.
		f.digits = v.MarshalTo(f.digits[:0])
		b = f.digits
	}
	if len(b) == 0 {
		return md.Decimal{}, false
	}
	d, err := md.ParseDecimal(b)
	f.bad = f.bad || err != nil
	return d, true
}

// integer reads an integer given as a number or as text.
func (f *fast) integer(v *fastjson.Value) int64 {
	if v == nil {
		return 0
	}
	if b, err := v.StringBytes(); err == nil {
		return digits(b)
	}
	return v.GetInt64()
}

func digits(b []byte) (n int64) {
	for _, c := range b {
		n = n*10 + int64(c-'0')
	}
	return n
}

func (f *fast) book(v *fastjson.Value) {
	d := f.data(v)
	from := len(f.dst)
	if f.venue == "binance" {
		f.levels(d.Get("b"), md.SideBid)
		f.levels(d.Get("a"), md.SideAsk)
		f.stamp(from, f.integer(d.Get("E")), d.GetUint64("u"))
		return
	}
	f.levels(d.Get("asks"), md.SideAsk)
	f.levels(d.Get("bids"), md.SideBid)
	seq := "seq"
	if f.venue == "okx" {
		seq = "seqId"
	}
	_ = d.GetInt("checksum")
	f.stamp(from, f.integer(d.Get("ts")), d.GetUint64(seq))
}

func (f *fast) levels(v *fastjson.Value, side uint8) {
	for _, l := range v.GetArray() {
		x := l.GetArray()
		if len(x) < 2 {
			f.bad = true
			return
		}
		p, _ := f.number(x[0])
		s, _ := f.number(x[1])
		r := md.Record{Kind: md.KindBook, Side: side, Price: p.Mant, PriceExp: p.Exp, Size: s.Mant, SizeExp: s.Exp}
		if len(x) > 3 {
			r.Count = uint32(f.integer(x[3]))
		}
		f.dst = append(f.dst, r)
	}
}

func (f *fast) stamp(from int, ms int64, id uint64) { stamp(f.dst[from:], ms, id) }

func stamp(recs []md.Record, ms int64, id uint64) {
	for k := range recs {
		recs[k].TsEvent, recs[k].ID = ms*1e6, id
	}
}

func (f *fast) trades(v *fastjson.Value) {
	if f.venue == "binance" {
		d := f.data(v)
		side := md.SideBuy
		if d.GetBool("m") {
			side = md.SideSell
		}
		f.trade(d.Get("T"), d.Get("p"), d.Get("q"), d.Get("t"), nil, side)
		return
	}
	from := len(f.dst)
	for _, d := range v.GetArray("data") {
		if x := d.GetArray(); len(x) >= 4 { // Bitget v1
			f.trade(x[0], x[1], x[2], nil, nil, sideOf(x[3].GetStringBytes()))
			continue
		}
		price, size, id := "price", "size", "tradeId"
		if f.venue == "okx" {
			price, size = "px", "sz"
		}
		f.trade(d.Get("ts"), d.Get(price), d.Get(size), d.Get(id), d.Get("count"), sideOf(d.GetStringBytes("side")))
	}
	if f.venue == "bitget" { // sends the newest first
		slices.Reverse(f.dst[from:])
	}
}

func (f *fast) trade(ts, price, size, id, count *fastjson.Value, side uint8) {
	p, _ := f.number(price)
	s, _ := f.number(size)
	r := md.Record{Kind: md.KindTrade, Side: side, Price: p.Mant, PriceExp: p.Exp, Size: s.Mant, SizeExp: s.Exp,
		TsEvent: f.integer(ts) * 1e6, ID: uint64(f.integer(id)), Count: 1}
	if count != nil {
		r.Count = uint32(f.integer(count))
	}
	f.dst = append(f.dst, r)
}

func sideOf(b []byte) uint8 {
	if bytes.EqualFold(b, []byte("buy")) {
		return md.SideBuy
	}
	return md.SideSell
}

func (f *fast) bbo(v *fastjson.Value) {
	d := f.data(v)
	from := len(f.dst)
	if f.venue == "binance" {
		for side, k := range [...][2]string{md.SideBid: {"b", "B"}, md.SideAsk: {"a", "A"}} {
			if side == 0 {
				continue
			}
			p, _ := f.number(d.Get(k[0]))
			s, _ := f.number(d.Get(k[1]))
			f.dst = append(f.dst, md.Record{Kind: md.KindBBO, Side: uint8(side), Price: p.Mant, PriceExp: p.Exp, Size: s.Mant, SizeExp: s.Exp})
		}
		f.stamp(from, 0, d.GetUint64("u"))
		return
	}
	f.levels(d.Get("bids"), md.SideBid)
	f.levels(d.Get("asks"), md.SideAsk)
	for k := range f.dst[from:] {
		f.dst[from+k].Kind = md.KindBBO
	}
	seq := "seq"
	if f.venue == "okx" {
		seq = "seqId"
	}
	f.stamp(from, f.integer(d.Get("ts")), d.GetUint64(seq))
}

func (f *fast) ticker(v *fastjson.Value) {
	d := f.data(v)
	from := len(f.dst)
	for stat, key := range tickerKeys[f.venue] {
		x := d.Get(key)
		if key == "lastPr" && x == nil {
			x = d.Get("last") // v1
		}
		if n, ok := f.number(x); ok {
			f.dst = append(f.dst, statistic(uint8(stat), n))
		}
	}
	ts := "ts"
	if f.venue == "binance" {
		ts = "E"
	}
	stamp(f.dst[from:], f.integer(d.Get(ts)), 0)
}

// statKey is a member of a ticker and the statistic that it holds.
type statKey struct {
	key  string
	stat uint8
}

// stats reads the statistics of an object that has them as members.
func (f *fast) stats(d *fastjson.Value, keys []statKey, ns int64) {
	for _, k := range keys {
		if n, ok := f.number(d.Get(k.key)); ok {
			r := statistic(k.stat, n)
			r.TsEvent = ns
			f.dst = append(f.dst, r)
		}
	}
}

// quote adds a side of a bbo pair; one without a size is empty.
func (f *fast) quote(side uint8, price, size *fastjson.Value, ns int64, id uint64) {
	p, _ := f.number(price)
	s, _ := f.number(size)
	r := md.Record{Kind: md.KindBBO, Side: side, Price: p.Mant, PriceExp: p.Exp, Size: s.Mant, SizeExp: s.Exp, TsEvent: ns, ID: id}
	if s.Mant == 0 {
		r.Price, r.PriceExp, r.SizeExp = md.Absent, 0, 0
	}
	f.dst = append(f.dst, r)
}

// time reads a time in milliseconds or, if it has more digits, in nanoseconds.
func (f *fast) time(v *fastjson.Value) (ns int64) {
	n := f.integer(v)
	if n < 1e14 {
		n *= 1e6
	}
	return n
}

// id reads a trade id: a number, or the hash of a text.
func (f *fast) id(v *fastjson.Value) (id uint64, flags md.Flags) {
	b, err := v.StringBytes()
	if err != nil {
		return v.GetUint64(), 0
	}
	id = 14695981039346656037 // FNV-1a
	for _, c := range b {
		id = (id ^ uint64(c)) * 1099511628211
		if c-'0' > 9 {
			flags = md.FlagIDHash
		}
	}
	if flags == 0 {
		id = uint64(digits(b))
	}
	return id, flags
}

// level adds a level of a book.
func (f *fast) level(side uint8, price, size *fastjson.Value, ns int64, id uint64) {
	f.event(md.Record{Kind: md.KindBook, Side: side, TsEvent: ns, ID: id}, price, size)
}

// event adds a record of a price and a size, either of which may be missing
// from the kind.
func (f *fast) event(r md.Record, price, size *fastjson.Value) {
	if price != nil {
		p, _ := f.number(price)
		r.Price, r.PriceExp = p.Mant, p.Exp
	}
	if size != nil {
		s, _ := f.number(size)
		r.Size, r.SizeExp = s.Mant, s.Exp
	}
	f.dst = append(f.dst, r)
}

// tickerKeys are the names of the statistics from StatLast to StatTurnover.
var tickerKeys = map[string][6]string{
	"binance": {"c", "o", "h", "l", "v", "q"},
	"bitget":  {"lastPr", "open24h", "high24h", "low24h", "baseVolume", "quoteVolume"},
	"okx":     {"last", "open24h", "high24h", "low24h", "vol24h", "volCcy24h"},
}

func statistic(stat uint8, n md.Decimal) md.Record {
	r := md.Record{Kind: md.KindTicker, Level: stat, Price: n.Mant, PriceExp: n.Exp, Size: md.Absent}
	if stat == md.StatVolume || stat == md.StatTurnover {
		r.Price, r.PriceExp, r.Size, r.SizeExp = md.Absent, 0, n.Mant, n.Exp
	}
	return r
}
