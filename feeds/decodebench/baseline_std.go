package decodebench

import (
	"encoding/json"
	"slices"

	"tickrelay/ring/md"
)

// std fills records by way of encoding/json into structs, the way that most
// clients do it, except that decimals stay exact.
type std struct {
	venue string
	dst   []md.Record
	bad   bool
}

func newStd(venue string, ch md.Channel) contender {
	s := &std{venue: venue}
	return func(frame []byte, dst []md.Record) ([]md.Record, error) {
		s.dst, s.bad = dst, false
		var err error
		if venue == "binance" {
			err = s.binance(frame, ch)
		} else {
			err = s.pushed(frame, ch)
		}
		if err == nil && s.bad {
			err = errShape
		}
		return s.dst, err
	}
}

type binanceEvent struct {
	Event string `json:"e"`
	Time  int64  `json:"E"`
	Trade int64  `json:"T"`
	ID    uint64 `json:"t"`
	Last  uint64 `json:"u"`
	First uint64 `json:"U"`
	Sym   string `json:"s"`
	Price string `json:"p"`
	Pct   string `json:"P"`
	Qty   string `json:"q"`
	LastQ string `json:"Q"`
	Maker bool   `json:"m"`
	Best  bool   `json:"M"`

	Bid    json.RawMessage `json:"b"`
	Ask    json.RawMessage `json:"a"`
	BidQty string          `json:"B"`
	AskQty string          `json:"A"`

	Close string `json:"c"`
	CloTS int64  `json:"C"`
	Open  string `json:"o"`
	OpeTS int64  `json:"O"`
	High  string `json:"h"`
	Low   string `json:"l"`
	LasID int64  `json:"L"`
	Vol   string `json:"v"`
}

func (s *std) binance(frame []byte, ch md.Channel) error {
	var wrapped struct {
		Stream string
		Data   *binanceEvent
	}
	ev := new(binanceEvent)
	if len(frame) > 8 && string(frame[2:8]) == "stream" {
		if err := json.Unmarshal(frame, &wrapped); err != nil {
			return err
		}
		ev = wrapped.Data
	} else if err := json.Unmarshal(frame, ev); err != nil {
		return err
	}
	from := len(s.dst)
	switch ch {
	case md.ChannelTrades:
		side := md.SideBuy
		if ev.Maker {
			side = md.SideSell
		}
		s.trade(ev.Trade, ev.ID, 1, ev.Price, ev.Qty, side)
	case md.ChannelBook:
		var bids, asks [][]string
		if err := json.Unmarshal(ev.Bid, &bids); err != nil {
			return err
		}
		if err := json.Unmarshal(ev.Ask, &asks); err != nil {
			return err
		}
		s.levels(md.KindBook, md.SideBid, bids)
		s.levels(md.KindBook, md.SideAsk, asks)
		stamp(s.dst[from:], ev.Time, ev.Last)
	case md.ChannelBBO:
		var bid, ask string
		if err := json.Unmarshal(ev.Bid, &bid); err != nil {
			return err
		}
		if err := json.Unmarshal(ev.Ask, &ask); err != nil {
			return err
		}
		s.levels(md.KindBBO, md.SideBid, [][]string{{bid, ev.BidQty}})
		s.levels(md.KindBBO, md.SideAsk, [][]string{{ask, ev.AskQty}})
		stamp(s.dst[from:], 0, ev.Last)
	case md.ChannelTicker:
		for stat, text := range [...]string{md.StatLast: ev.Close, md.StatOpen: ev.Open, md.StatHigh: ev.High,
			md.StatLow: ev.Low, md.StatVolume: ev.Vol, md.StatTurnover: ev.Qty} {
			s.stat(uint8(stat), text)
		}
		stamp(s.dst[from:], ev.Time, 0)
	}
	return nil
}

type pushedItem struct {
	Asks, Bids         [][]string
	TS                 json.RawMessage
	SeqID, PrevSeqID   int64
	Seq, Checksum      int64
	TradeID, Px, Sz    string
	Price, Size, Side  string
	Count              string
	Last, LastPr       string
	Open24h, High24h   string
	Low24h, Vol24h     string
	VolCcy24h          string
	BaseVolume         string
	QuoteVolume        string
	MarkPrice, IndexPx string
}

func (s *std) pushed(frame []byte, ch md.Channel) error {
	var f struct {
		Arg    struct{ Channel, InstID, InstType string }
		Action string
		Data   []json.RawMessage
	}
	if err := json.Unmarshal(frame, &f); err != nil {
		return err
	}
	from := len(s.dst)
	for _, raw := range f.Data {
		if raw[0] == '[' {
			var x []string
			if err := json.Unmarshal(raw, &x); err != nil {
				return err
			}
			s.trade(digits([]byte(x[0])), 0, 1, x[1], x[2], sideOf([]byte(x[3])))
			continue
		}
		var d pushedItem
		if err := json.Unmarshal(raw, &d); err != nil {
			return err
		}
		s.item(ch, &d)
	}
	if s.venue == "bitget" && ch == md.ChannelTrades { // sends the newest first
		slices.Reverse(s.dst[from:])
	}
	return nil
}

func (s *std) item(ch md.Channel, d *pushedItem) {
	from := len(s.dst)
	ts := d.TS
	if len(ts) > 0 && ts[0] == '"' {
		ts = ts[1 : len(ts)-1]
	}
	ms, seq := digits(ts), uint64(d.SeqID+d.Seq)
	switch ch {
	case md.ChannelTrades:
		count := uint32(1)
		if d.Count != "" {
			count = uint32(digits([]byte(d.Count)))
		}
		s.trade(ms, uint64(digits([]byte(d.TradeID))), count, d.Px+d.Price, d.Sz+d.Size, sideOf([]byte(d.Side)))
	case md.ChannelBook:
		s.levels(md.KindBook, md.SideAsk, d.Asks)
		s.levels(md.KindBook, md.SideBid, d.Bids)
		stamp(s.dst[from:], ms, seq)
	case md.ChannelBBO:
		s.levels(md.KindBBO, md.SideBid, d.Bids)
		s.levels(md.KindBBO, md.SideAsk, d.Asks)
		stamp(s.dst[from:], ms, seq)
	case md.ChannelTicker:
		for stat, text := range [...]string{md.StatLast: d.Last + d.LastPr, md.StatOpen: d.Open24h, md.StatHigh: d.High24h,
			md.StatLow: d.Low24h, md.StatVolume: d.Vol24h + d.BaseVolume, md.StatTurnover: d.VolCcy24h + d.QuoteVolume} {
			s.stat(uint8(stat), text)
		}
		stamp(s.dst[from:], ms, 0)
	}
}

func (s *std) number(text string) md.Decimal {
	d, err := md.ParseDecimal([]byte(text))
	s.bad = s.bad || err != nil
	return d
}

func (s *std) stat(stat uint8, text string) {
	if text != "" {
		s.dst = append(s.dst, statistic(stat, s.number(text)))
	}
}

func (s *std) trade(ms int64, id uint64, count uint32, price, size string, side uint8) {
	p, q := s.number(price), s.number(size)
	s.dst = append(s.dst, md.Record{Kind: md.KindTrade, Side: side, Price: p.Mant, PriceExp: p.Exp,
		Size: q.Mant, SizeExp: q.Exp, TsEvent: ms * 1e6, ID: id, Count: count})
}

func (s *std) levels(kind md.Kind, side uint8, levels [][]string) {
	for _, l := range levels {
		p, q := s.number(l[0]), s.number(l[1])
		r := md.Record{Kind: kind, Side: side, Price: p.Mant, PriceExp: p.Exp, Size: q.Mant, SizeExp: q.Exp}
		if len(l) > 3 {
			r.Count = uint32(digits([]byte(l[3])))
		}
		s.dst = append(s.dst, r)
	}
}
