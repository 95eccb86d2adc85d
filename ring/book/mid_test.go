package book

import (
	"math"
	"math/big"
	"testing"

	"tickrelay/ring/md"
)

// TestMid holds the text of the mid against big rationals.
func TestMid(t *testing.T) {
	prices := []int64{0, 1, -1, 2, -2, 9, 10, 99, -100, 6412345, 6412346, math.MaxInt64, math.MaxInt64 - 1, -math.MaxInt64, -math.MaxInt64 + 1, math.MaxInt64 / 5, math.MaxInt64/5 + 1}
	for _, exp := range []int8{-128, -127, -20, -8, -2, -1, 0, 1, 3, 126, 127} {
		for _, bid := range prices {
			for _, ask := range prices {
				var b Book
				b.PriceExp = exp
				b.Set(md.SideBid, Level{Price: bid, Size: 1})
				b.Set(md.SideAsk, Level{Price: ask, Size: 1})
				want := new(big.Rat).SetInt(new(big.Int).Add(big.NewInt(bid), big.NewInt(ask)))
				scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(int64(exp), -int64(exp))), nil)
				if exp < 0 {
					want.Quo(want, new(big.Rat).SetInt(scale))
				} else {
					want.Mul(want, new(big.Rat).SetInt(scale))
				}
				want.Quo(want, big.NewRat(2, 1))
				text := string(b.AppendMid(nil))
				got, ok := new(big.Rat).SetString(text)
				if !ok || got.Cmp(want) != 0 || text[len(text)-1] == '0' && exp < 0 && got.Sign() != 0 && !got.IsInt() {
					t.Fatalf("%d and %d at %d: %q, want %v", bid, ask, exp, text, want)
				}
			}
		}
	}
	var one Book
	one.Set(md.SideBid, Level{Price: 1, Size: 1})
	if text := one.AppendMid(nil); len(text) != 0 {
		t.Fatalf("a mid of one side: %s", text)
	}
}
