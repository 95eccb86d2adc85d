package md

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestValid(t *testing.T) {
	good := func(r Record) {
		t.Helper()
		if err := r.Valid(); err != nil {
			t.Error(err)
		}
	}
	bad := func(base Record, what string, change func(r *Record)) {
		t.Helper()
		r := base
		change(&r)
		if err := r.Valid(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s with %s: %v", base.Kind, what, err)
		}
	}
	byKind := map[Kind]Record{}
	for _, r := range oneOfEach() {
		good(r)
		byKind[r.Kind] = r
		if r.Kind != KindCandle {
			bad(r, "flag 64", func(r *Record) { r.Flags |= 64 })
		}
		bad(r, "venue 999", func(r *Record) { r.Venue = 999 })
		bad(r, "negative event time", func(r *Record) { r.TsEvent = -1 })
		bad(r, "negative receive time", func(r *Record) { r.TsRecv = -1 })
		bad(r, "side 200", func(r *Record) { r.Side = 200 })
		bad(r, "level 200", func(r *Record) { r.Level = 200 })
		bad(r, "kind 0", func(r *Record) { r.Kind = 0 })
		bad(r, "kind 14", func(r *Record) { r.Kind = 14 })
	}
	trade, book, bbo := byKind[KindTrade], byKind[KindBook], byKind[KindBBO]
	bad(trade, "no price", func(r *Record) { r.Price = Absent })
	bad(trade, "no size", func(r *Record) { r.Size = Absent })
	bad(trade, "negative size", func(r *Record) { r.Size = -1 })
	bad(trade, "side 3", func(r *Record) { r.Side = 3 })
	bad(book, "live clear", func(r *Record) { r.Side = SideClear })
	bad(book, "live end", func(r *Record) { r.Side = SideEnd })
	bad(book, "no size", func(r *Record) { r.Size = Absent })
	bad(book, "hashed id", func(r *Record) { r.Flags |= FlagIDHash })
	good(Record{Kind: KindBook, Side: SideClear, Flags: FlagSnapshot | FlagFirst})
	good(Record{Kind: KindBook, Side: SideEnd, Flags: FlagSnapshot | FlagLast, Price: Absent, Size: Absent})
	bad(bbo, "no side", func(r *Record) { r.Side = 0 })
	bad(bbo, "no price", func(r *Record) { r.Price = Absent })
	good(Record{Kind: KindBBO, Side: SideAsk, Price: Absent})
	bad(byKind[KindTicker], "no volume", func(r *Record) { r.Size = Absent })
	bad(Record{Kind: KindTicker, Level: StatLast, Price: 1}, "no last", func(r *Record) { r.Price = Absent })
	bad(byKind[KindFunding], "no rate", func(r *Record) { r.Price = Absent })
	bad(byKind[KindFunding], "level 0", func(r *Record) { r.Level = 0 })
	bad(byKind[KindOpenInterest], "nothing", func(r *Record) { r.Price, r.Size = Absent, Absent })
	bad(byKind[KindOpenInterest], "negative size", func(r *Record) { r.Size = -1 })
	bad(byKind[KindLiquidation], "no side", func(r *Record) { r.Side = 0 })
	bad(byKind[KindStatus], "status 0", func(r *Record) { r.Level = 0 })
	bad(byKind[KindSignal], "another exponent", func(r *Record) { r.PriceExp = -8 })
	bad(byKind[KindInstrument], "negative tick", func(r *Record) { r.Price = -1 })
	candle := byKind[KindCandle]
	bad(candle, "channel of trades", func(r *Record) { r.Side = uint8(ChannelTrades) })
	bad(candle, "value 6", func(r *Record) { r.Level = NumCandle })
	bad(candle, "no trades", func(r *Record) { r.Count = 0 })
	bad(candle, "no open", func(r *Record) { r.Level = CandleOpen })
	bad(byKind[KindStatus], "closed", func(r *Record) { r.Flags |= FlagClosed })
	gap := byKind[KindGap]
	bad(gap, "no channel", func(r *Record) { r.Side = 0 })
	bad(gap, "no reason", func(r *Record) { r.Level = 0 })
	bad(gap, "empty interval", func(r *Record) { r.ID = r.Seq + 1 })
	bad(gap, "interval from 0", func(r *Record) { r.ID = 0 })
}

// FuzzValid: any 64 bytes may be judged, printed and encoded.
func FuzzValid(f *testing.F) {
	recs := oneOfEach()
	for i := range recs {
		f.Add(append([]byte(nil), AsBytes(recs[i:i+1])...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := make([]Record, 1)
		copy(AsBytes(r), b)
		text, msg := AppendText(nil, "t", &r[0]), AppendJSON(nil, "t", 0, r)
		if len(text) == 0 || !json.Valid(msg) {
			t.Fatalf("%+v prints as %q, %q", r[0], text, msg)
		}
		if err := r[0].Valid(); err == nil && r[0].Kind.String() == "unknown" {
			t.Fatalf("%+v is valid", r[0])
		}
	})
}
