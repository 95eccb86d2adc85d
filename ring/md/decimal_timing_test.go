package md

import (
	"strconv"
	"testing"
)

// What would make these lie: one text repeated trains the branch predictor, so
// the mixed rows go through prices and sizes of different lengths.

var mixed = func() [][]byte {
	var out [][]byte
	for _, s := range []string{"61737.63000000", "0.00123000", "61737.64", "1.5", "0.00000000", "12.34500000", "104500",
		"0.00210", "61740.01000000", "3", "250.10000000", "0.1"} {
		out = append(out, []byte(s))
	}
	return out
}()

func BenchmarkParseDecimal(b *testing.B) {
	f := func(name string, parse func([]byte) error) {
		b.Run(name+"/61737.63000000", func(b *testing.B) {
			b.ReportAllocs()
			in := mixed[0]
			for b.Loop() {
				if parse(in) != nil {
					b.Fatal(string(in))
				}
			}
		})
		b.Run(name+"/mixed", func(b *testing.B) {
			i := 0
			for b.Loop() {
				if parse(mixed[i%len(mixed)]) != nil {
					b.Fatal(i)
				}
				i++
			}
		})
	}
	f("exact", func(s []byte) error { _, err := ParseDecimal(s); return err })
	f("baseline-bytewise", func(s []byte) error { _, err := plainParse(s); return err })
	f("baseline-ParseFloat", func(s []byte) error { _, err := strconv.ParseFloat(string(s), 64); return err })
}

// plainParse is the obvious loop, without exponent form or overflow check.
func plainParse(b []byte) (Decimal, error) {
	var d Decimal
	point := false
	for _, c := range b {
		if c == '.' && !point {
			point = true
			continue
		}
		if c -= '0'; c > 9 {
			return d, ErrSyntax
		}
		d.Mant = d.Mant*10 + int64(c)
		if point {
			d.Exp--
		}
	}
	return d, nil
}

func BenchmarkAppendDecimal(b *testing.B) {
	buf := make([]byte, 0, 64)
	var mants []Decimal
	for _, s := range mixed {
		d, _ := ParseDecimal(s)
		mants = append(mants, d)
	}
	b.Run("exact/61737.63000000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = AppendDecimal(buf[:0], 6173763000000, -8)
		}
	})
	b.Run("exact/mixed", func(b *testing.B) {
		i := 0
		for b.Loop() {
			d := mants[i%len(mants)]
			buf = AppendDecimal(buf[:0], d.Mant, d.Exp)
			i++
		}
	})
	b.Run("fixed/61737.63000000", func(b *testing.B) {
		for b.Loop() {
			buf = AppendFixed(buf[:0], 6173763000000, -8)
		}
	})
	b.Run("baseline-AppendFloat", func(b *testing.B) {
		for b.Loop() {
			buf = strconv.AppendFloat(buf[:0], 61737.63, 'f', -1, 64)
		}
	})
}
