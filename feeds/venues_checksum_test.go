package feeds

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// TestChecksumVectors sums books whose text is written out here.
func TestChecksumVectors(t *testing.T) {
	level := func(price, size string) md.Record {
		p, _ := md.ParseDecimal([]byte(price))
		s, _ := md.ParseDecimal([]byte(size))
		return md.Record{Price: p.Mant, PriceExp: p.Exp, Size: s.Mant, SizeExp: s.Exp}
	}
	f := func(bids, asks [][2]string, text string) {
		t.Helper()
		b := newTestBook(-9, -9)
		for side, levels := range map[uint8][][2]string{md.SideBid: bids, md.SideAsk: asks} {
			for _, l := range levels {
				r := level(l[0], l[1])
				r.Side = side
				applyTest(t, b, &Event{To: 1}, []md.Record{r})
			}
		}
		want := int64(int32(crc32.ChecksumIEEE([]byte(text))))
		for _, v := range [...]Venue{OKX{}, Bitget{}} {
			if got := v.Checksum(b); got != want {
				t.Errorf("%s: %d, want %d for %q", v.Spec().Name, got, want, text)
			}
		}
	}
	f(nil, nil, "")
	f([][2]string{{"3366.1", "7"}, {"3366", "6"}}, [][2]string{{"3366.8", "9"}, {"3368", "8"}},
		"3366.1:7:3366.8:9:3366:6:3368:8")
	f([][2]string{{"3366.1", "7"}}, [][2]string{{"3366.8", "9"}, {"3368", "8"}, {"3372", "8"}},
		"3366.1:7:3366.8:9:3368:8:3372:8")
	f([][2]string{{"0.00002269", "330409.4000"}}, nil, "0.00002269:330409.4000")
	f([][2]string{{"10.000", "0.50"}}, [][2]string{{"10.010", "100000000.0"}}, "10.000:0.50:10.010:100000000.0")
	var many [][2]string
	var text []string
	for i := range 30 {
		many = append(many, [2]string{fmt.Sprint(100 - i), "1.5"})
		if i < checksumDepth {
			text = append(text, fmt.Sprintf("%d:1.5", 100-i))
		}
	}
	f(many, nil, strings.Join(text, ":"))
}

// TestAppendWire holds the formatter to md.AppendFixed over random numbers.
func TestAppendWire(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		dp := int8(r.IntN(19))
		finer := int8(r.IntN(int(19 - dp)))
		mant := int64(r.Uint64N(powersOf10[18-finer]) >> r.IntN(50))
		want := md.AppendFixed(nil, mant, -dp)
		got := appendWire(nil, mant*int64(powersOf10[finer]), -dp-finer, dp)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d e%d: %s, want %s", mant, -dp, got, want)
		}
	}
}

func TestChecksumNoAllocations(t *testing.T) {
	b := newTestBook(-2, -8)
	for i := range int64(40) {
		b.Set(md.SideBid, book.Level{Price: 6000000 - i, Size: 150000000 + i, PriceDP: 2, SizeDP: 8})
		b.Set(md.SideAsk, book.Level{Price: 6000001 + i, Size: 150000000 + i, PriceDP: 2, SizeDP: 8})
	}
	sum := OKX{}.Checksum(b)
	if n := testing.AllocsPerRun(100, func() {
		if (OKX{}).Checksum(b) != sum {
			t.Fatal("changes")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChecksum(b *testing.B) {
	x := newTestBook(-2, -8)
	for i := range int64(40) {
		x.Set(md.SideBid, book.Level{Price: 6000000 - i, Size: 150000000 + i, PriceDP: 2, SizeDP: 8})
		x.Set(md.SideAsk, book.Level{Price: 6000001 + i, Size: 150000000 + i, PriceDP: 2, SizeDP: 8})
	}
	b.ReportAllocs()
	for b.Loop() {
		OKX{}.Checksum(x)
	}
}
