package relay

import (
	"maps"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// TestFew does the same to a few and to a map, across the size at which it changes.
func TestFew(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var f few[uint32, int]
		want := map[uint32]int{}
		for i := range 60 {
			k := uint32(r.IntN(14))
			if r.IntN(3) == 0 {
				f.delete(k)
				delete(want, k)
			} else {
				f.set(k, i)
				want[k] = i
			}
			if f.len() != len(want) || f.get(k) != want[k] || !maps.Equal(maps.Collect(f.all()), want) {
				t.Fatalf("%v, want %v", maps.Collect(f.all()), want)
			}
		}
		for k := range f.all() {
			f.delete(k)
			delete(want, k)
		}
		if f.len() != 0 || len(want) != 0 {
			t.Fatalf("%d left of the few, %v", f.len(), want)
		}
	}
}

// A gateway holds tens of thousands of connections, each with a subscription or two.
const (
	_ = uint(288 - unsafe.Sizeof(conn{}))
	_ = uint(64 - unsafe.Sizeof(sub{}))
	_ = uint(32 - unsafe.Sizeof(few[uint32, *sub]{}))
)
