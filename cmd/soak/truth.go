package soak

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// truth is what the exchanges have ever shown, in a file that the exchanges write
// and every reader maps: a set of 64-bit keys of prices, and of prices with their
// sizes. It holds two generations, so that it may forget: before the older one
// is emptied, the levels of the books as they are go into the newer one.
//
// A word beside it carries the offset that the feeds' wall clock has been
// stepped by.
type truth struct {
	mem    []byte
	header *truthHeader
	gens   [2][]atomic.Uint64
	mask   uint64
	count  uint64 // of the present generation; the writer's alone
}

type truthHeader struct {
	magic  uint64
	slots  uint64
	offset atomic.Int64 // ns, added to wall clocks
	now    atomic.Uint64
	keys   atomic.Uint64 // inserted in all
}

const (
	truthMagic  = 0x3168747572745254 // "TRtruth1"
	truthHeadAt = 4096
	truthSlots  = 1 << 22 // of a generation: 32 MiB
)

func createTruth(path string, slots int) (*truth, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(truthHeadAt + 2*8*int64(slots)); err != nil {
		return nil, err
	}
	t, err := mapTruth(f, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, err
	}
	t.header.slots = uint64(slots)
	t.header.magic = truthMagic
	return t, t.open()
}

// openTruth maps the file for reading.
func openTruth(path string) (*truth, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := mapTruth(f, unix.PROT_READ)
	if err != nil {
		return nil, err
	}
	return t, t.open()
}

func mapTruth(f *os.File, prot int) (*truth, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < truthHeadAt {
		return nil, fmt.Errorf("%s is no set of prices", f.Name())
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return &truth{mem: mem, header: (*truthHeader)(unsafe.Pointer(&mem[0]))}, nil
}

func (t *truth) open() error {
	n := t.header.slots
	if t.header.magic != truthMagic || n == 0 || n&(n-1) != 0 || uint64(len(t.mem)) != truthHeadAt+16*n {
		return errors.New("not a set of prices")
	}
	t.mask = n - 1
	for i := range t.gens {
		t.gens[i] = unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&t.mem[truthHeadAt+8*n*uint64(i)])), n)
	}
	return nil
}

// full says that it is time to turn.
func (t *truth) full() bool { return t.count > uint64(len(t.gens[0]))*2/3 }

// turn starts another generation in the place of the older one. What is still true
// must have been inserted again before.
func (t *truth) turn() {
	next := 1 - t.header.now.Load()
	for i := range t.gens[next] {
		t.gens[next][i].Store(0)
	}
	t.count = 0
	t.header.now.Store(next)
}

func (t *truth) insert(key uint64) {
	g := t.gens[t.header.now.Load()]
	for i := key & t.mask; ; i = (i + 1) & t.mask {
		switch g[i].Load() {
		case key:
			return
		case 0:
			g[i].Store(key)
			t.count++
			t.header.keys.Add(1)
			return
		}
	}
}

// has reports whether the exchanges have shown a key. Any process may ask.
func (t *truth) has(key uint64) bool {
	for i := range t.gens {
		if found(t.gens[i], key, t.mask) {
			return true
		}
	}
	return found(t.gens[0], key, t.mask) // a generation may have changed meanwhile
}

func found(g []atomic.Uint64, key, mask uint64) bool {
	for i := key & mask; ; i = (i + 1) & mask {
		switch g[i].Load() {
		case key:
			return true
		case 0:
			return false
		}
	}
}

// step sets what wall clocks are off by, in ns.
func (t *truth) step(offset int64) { t.header.offset.Store(offset) }

// offset is what wall clocks are off by, in ns.
func (t *truth) offset() int64 { return t.header.offset.Load() }

// What a key is of.
const (
	keyBuy  = iota // trades, by the side of the aggressor
	keySell        //
	keyBid
	keyAsk
)

func tradeClass(buy bool) int {
	if buy {
		return keyBuy
	}
	return keySell
}

// priceKey is of a price that an instrument's trades or a side of its book had.
func priceKey(symbol uint64, class int, price int64, exp int8) uint64 {
	p, e := shortest(price, exp)
	return mix(mix(symbol+uint64(class)+1, uint64(p)), uint64(uint8(e))+1)
}

// levelKey is of a price with its size. Of the size only the digits count, for
// venues say it in different units.
func levelKey(symbol uint64, class int, price int64, exp int8, size int64) uint64 {
	s, _ := shortest(size, 0)
	return mix(priceKey(symbol, class, price, exp)^0x9e3779b97f4a7c15, uint64(s)|1<<63)
}

// symbolKey is the same in every process: FNV-1a.
func symbolKey(symbol string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(symbol) {
		h = (h ^ uint64(symbol[i])) * 1099511628211
	}
	return h
}

func shortest(mant int64, exp int8) (int64, int8) {
	for mant != 0 && mant%10 == 0 {
		mant /= 10
		exp++
	}
	return mant, exp
}

// mix is a step of splitmix64; 0 never comes out.
func mix(a, b uint64) uint64 {
	z := a + b*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	if z ^= z >> 31; z == 0 {
		return 1
	}
	return z
}
