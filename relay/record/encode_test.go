package record

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"tickrelay/ring/md"
)

// randomRecords are records of every shape, times almost in order.
func randomRecords(seed uint64, n int) rows {
	r := rand.New(rand.NewPCG(seed, 1))
	var out rows
	t := testHour
	for i := range n {
		t += r.Int64N(1000)
		rec := md.Record{Kind: md.Kind(1 + r.IntN(13)), Flags: md.Flags(r.IntN(256)), Venue: md.VenueBinance, Instrument: uint32(r.IntN(5)),
			Seq: r.Uint64() >> r.IntN(64), TsEvent: t - r.Int64N(2)*1000, TsRecv: t - r.Int64N(3), Price: int64(r.Uint64()) >> r.IntN(64),
			Size: int64(r.Uint64() >> (1 + r.IntN(63))), ID: r.Uint64() >> r.IntN(64), Side: uint8(r.IntN(256)), Level: uint8(r.IntN(256)),
			PriceExp: int8(r.IntN(256) - 128), SizeExp: int8(-r.IntN(9)), Count: r.Uint32() >> r.IntN(32)}
		switch r.IntN(10) {
		case 0:
			rec.Price = md.Absent
		case 1:
			rec.Size = md.Absent
		case 2:
			rec.TsEvent = 0
		case 3:
			rec.Kind = md.Kind(r.IntN(256))
		}
		out.add(&rec, testHour+r.Int64N(2), int64(i))
	}
	return out
}

// testHour is 2026-11-28T15:00:00Z.
const testHour = int64(1795878000) * 1e9

var testStream = stream{md.VenueBinance, md.ChannelTrades}

func testSymbol(id uint32) string { return "SYM" + string(rune('A'+id)) + "-USDT" }

func testRowSymbol(r *rows, i int) string { return testSymbol(r.recs[i].Instrument) }

// TestRoundTrip wants every bit of every record back, whatever it says.
func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.parquet")
	e := newEncoder()
	want := map[int64]md.Record{}
	epochs := map[int64]int64{}
	if err := e.begin(path); err != nil {
		t.Fatal(err)
	}
	for group := range 3 {
		in := randomRecords(uint64(group), 5000)
		for i := range in.recs {
			in.arrival[i] += int64(group) * 5000
			want[in.arrival[i]], epochs[in.arrival[i]] = in.recs[i], in.epoch[i]
		}
		if err := e.rowGroup(&in, testStream, testRowSymbol); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.finish(&fileMeta{stream: testStream, hour: testHour}); err != nil {
		t.Fatal(err)
	}
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	seen := 0
	for group := range f.pq.RowGroups() {
		symbols := newNames()
		g := f.readGroup(group, symbols)
		var got rows
		for err == nil {
			err = g.next(&got)
		}
		g.close()
		err = nil
		for i := range got.recs {
			seen++
			a := got.arrival[i]
			if got.recs[i] != want[a] || got.epoch[i] != epochs[a] || symbols.list[got.syms[i]] != testSymbol(want[a].Instrument) {
				t.Fatalf("arrival %d: %+v, want %+v", a, got.recs[i], want[a])
			}
			if i > 0 && got.recs[i].TsRecv < got.recs[i-1].TsRecv {
				t.Fatalf("row %d of group %d is before the one before it", i, group)
			}
		}
	}
	if seen != len(want) {
		t.Fatalf("%d rows, want %d", seen, len(want))
	}
}

// TestDecimal compares the DECIMAL form with big numbers.
func TestDecimal(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)
	f := func(mant int64, exp int8) {
		t.Helper()
		want, exact := new(big.Int), true
		if mant != 0 {
			p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp+18, -(exp+18)))), nil)
			if exp+18 >= 0 {
				want.Mul(big.NewInt(mant), p)
			} else {
				var rest big.Int
				want.QuoRem(big.NewInt(mant), p, &rest)
				exact = rest.Sign() == 0
			}
		}
		fits := exact && want.CmpAbs(limit) < 0
		var b [16]byte
		if got := putDecimal(b[:], mant, exp); got != fits {
			t.Fatalf("%de%d fits: %v, want %v (%v)", mant, exp, got, fits, want)
		}
		if !fits {
			return
		}
		got := new(big.Int).SetBytes(b[:])
		if b[0]&0x80 != 0 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		if got.Cmp(want) != 0 {
			t.Fatalf("%de%d is %v, want %v", mant, exp, got, want)
		}
	}
	for range 200000 {
		f(int64(r.Uint64())>>r.IntN(64), int8(r.IntN(70)-40))
	}
	for _, m := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64 + 1, 1e18, 99999999999, 123000000} {
		for e := -100; e < 100; e++ {
			f(m, int8(e))
		}
	}
	if putDecimal(make([]byte, 16), md.Absent, 0) {
		t.Error("an absent number has a decimal")
	}
}

func BenchmarkEncode(b *testing.B) {
	in := marketRecords(1 << 18)
	e := newEncoder()
	var n int64
	for b.Loop() {
		var w countingWriter
		e.start(&w)
		if err := e.rowGroup(&in, testStream, testRowSymbol); err != nil {
			b.Fatal(err)
		}
		if err := e.end(&fileMeta{stream: testStream}); err != nil {
			b.Fatal(err)
		}
		n += int64(in.len())
		b.ReportMetric(float64(w)/float64(in.len()), "bytes/record")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}

type countingWriter int64

func (c *countingWriter) Write(b []byte) (int, error) {
	*c += countingWriter(len(b))
	return len(b), nil
}

// marketRecords are book updates like those of a live feed.
func marketRecords(n int) rows {
	r := rand.New(rand.NewPCG(7, 7))
	var out rows
	t, price := testHour, int64(6412345)
	for i := range n {
		if i%4 == 0 {
			t += r.Int64N(2000000)
			price += r.Int64N(5) - 2
		}
		side := 1 + uint8(r.IntN(2))
		rec := md.Record{Kind: md.KindBook, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Instrument: uint32(r.IntN(3)),
			Seq: uint64(i), TsEvent: t - 1500000, TsRecv: t, Price: price + int64(r.ExpFloat64()*30)*(2*int64(side)-3), Size: r.Int64N(100000) * r.Int64N(2),
			ID: uint64(i / 4), Side: side, PriceExp: -2, SizeExp: -5}
		out.add(&rec, testHour, int64(i))
	}
	return out
}

// TestManyPrices: more prices than a dictionary takes, in a row group that a merge copies
// as it is, beside one that has few.
func TestManyPrices(t *testing.T) {
	root := t.TempDir()
	s := newSealer("desk", 1<<18)
	var want []md.Record
	for part, n := range []int{140_000, 1000} {
		recs := marketRecords(n).recs
		for i := range recs {
			recs[i].Price = int64(i) * 1_000_003
		}
		if _, err := s.seal(writeJournal(t, root, testStream, testHour, part, int64(len(want)), recs), false, nil); err != nil {
			t.Fatal(err)
		}
		want = append(want, recs...)
	}
	dir := testStream.dir(root)
	files, err := listFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if merged, err := s.mergeHour(dir, files, nil); !merged || err != nil {
		t.Fatal(merged, err)
	}
	h, err := openHour(dir, testHour)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	var got rows
	var check Checked
	f := h.files[0].file
	for g := range f.pq.RowGroups() {
		rd := f.readGroup(g, newNames())
		err := rd.readAll(&got)
		rd.close()
		if err = errors.Join(err, check.decimals(f, g)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got.recs, want) || len(check.Problems) > 0 {
		t.Errorf("%d records are not the %d that were written; %s", got.len(), len(want), check.Problems)
	}
}
