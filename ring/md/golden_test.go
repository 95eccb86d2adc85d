package md

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// oneOfEach is one record per kind, every field that the kind uses with a value
// of its own so that swapped fields show.
func oneOfEach() []Record {
	base := Record{Flags: FlagFirst | FlagLast, Venue: VenueOKX, Instrument: 0x01020304, Seq: 0x1122334455667788,
		TsEvent: 1763842100123000000, TsRecv: 1763842100123456789}
	f := func(r Record) Record {
		r.Flags |= base.Flags
		r.Venue, r.Instrument, r.TsEvent, r.TsRecv = base.Venue, base.Instrument, base.TsEvent, base.TsRecv
		if !r.Kind.Control() {
			r.Seq = base.Seq
		}
		return r
	}
	return []Record{
		f(Record{Kind: KindTrade, Flags: FlagIDHash, Price: 6412345, Size: 123, ID: 0xfedcba9876543210, Side: SideSell,
			PriceExp: -2, SizeExp: -5, Count: 3}),
		f(Record{Kind: KindBook, Price: 6412345, Size: 0, ID: 99, Side: SideAsk, PriceExp: -2, SizeExp: -5, Count: 7}),
		f(Record{Kind: KindBBO, Flags: FlagRecovered, Price: -6412345, Size: 12, ID: 100, Side: SideBid, PriceExp: -2, SizeExp: 3, Count: 8}),
		f(Record{Kind: KindTicker, Flags: FlagSnapshot, Price: Absent, Size: 1234567, Level: StatVolume, SizeExp: -4}),
		f(Record{Kind: KindFunding, Price: -125, PriceExp: -6, ID: 1763856000000000000, Level: FundingPredicted, Count: 28800}),
		f(Record{Kind: KindOpenInterest, Price: 987654321, Size: 4242, PriceExp: 1, SizeExp: -1}),
		f(Record{Kind: KindLiquidation, Price: 6400000, Size: 5, ID: 12345, Side: SideSell, PriceExp: -2}),
		f(Record{Kind: KindStatus, Level: uint8(StatusPostOnly), ID: 1763842200000000000}),
		f(Record{Kind: KindInstrument, Price: 1, Size: 1, ID: 4, PriceExp: -2, SizeExp: -5}),
		f(Record{Kind: KindGap, ID: base.Seq - 2, Side: uint8(ChannelBook), Level: uint8(GapOverrun), Count: 3}),
		f(Record{Kind: KindSignal, Price: -123456789, PriceExp: SignalExp, Level: uint8(SignalOBI), Count: 5}),
		f(Record{Kind: KindHeartbeat, ID: 1763842000000000001, Side: uint8(ChannelTrades)}),
		f(Record{Kind: KindCandle, Flags: FlagClosed | FlagPartial, Price: Absent, Size: 1234567, ID: 1763842080000000000,
			Side: uint8(ChannelCandles1m), Level: CandleTurnover, SizeExp: -2, Count: 42}),
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s\nwant\n%s", path, got, want)
	}
}

// TestGoldenBytes holds layout version 1: these bytes may never change.
func TestGoldenBytes(t *testing.T) {
	recs := oneOfEach()
	var hex strings.Builder
	for i := range recs {
		fmt.Fprintf(&hex, "%x\n", AsBytes(recs[i:i+1]))
	}
	golden(t, "record_v1.hex", []byte(hex.String()))

	back, err := FromBytes(bytes.Clone(AsBytes(recs)))
	if err != nil || !reflect.DeepEqual(back, recs) {
		t.Errorf("%v: FromBytes(AsBytes) = %v", err, back)
	}
}

func TestGoldenText(t *testing.T) {
	recs := oneOfEach()
	var out []byte
	for i := range recs {
		if err := recs[i].Valid(); err != nil {
			t.Error(err)
		}
		topic := Topic{recs[i].Venue, recs[i].Channel(), "BTC-USDT"}
		out = append(AppendText(out, topic.String(), &recs[i]), '\n')
		out = append(AppendJSON(out, topic.String(), recs[i].Seq-1, recs[i:i+1]), '\n')
	}
	golden(t, "record_v1.txt", out)
}

// TestNoPadding finds bytes that belong to no field, which would leak memory
// and differ between writers.
func TestNoPadding(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Record](), reflect.TypeFor[entry]()} {
		end := uintptr(0)
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Offset != end {
				t.Errorf("%v: hole before %s: %d to %d", typ, f.Name, end, f.Offset)
			}
			end = f.Offset + f.Type.Size()
		}
		if end != typ.Size() {
			t.Errorf("%v: hole at the end: %d to %d", typ, end, typ.Size())
		}
	}
}

func TestFromBytesRefuses(t *testing.T) {
	b := make([]byte, 2*RecordSize+8)
	for uintptr(unsafe.Pointer(&b[0]))%8 != 0 {
		t.Fatal("make gave memory that is not aligned")
	}
	if _, err := FromBytes(b[:RecordSize+1]); err == nil {
		t.Error("a broken record was taken")
	}
	if _, err := FromBytes(b[1 : RecordSize+1]); err == nil {
		t.Error("memory that is not aligned was taken")
	}
	if r, err := FromBytes(nil); err != nil || r != nil || AsBytes(nil) != nil {
		t.Error("nothing is not nothing")
	}
}
