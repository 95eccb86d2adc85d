package ring

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// aligned is memory for a segment.
func aligned(n int) []byte {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
}

// TestFrames: what goes in comes out, in order, whatever its size, and what does
// not fit is counted.
func TestFrames(t *testing.T) {
	mem := aligned(FramesSize(MinFrames))
	w, err := NewFrames(mem)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenFrames(mem)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var want []Frame
	var lost, lostBytes uint64
	take := func() {
		t.Helper()
		ok, err := r.Next(func(f *Frame) {
			if x := want[0]; f.RecvNs != x.RecvNs || f.Conn != x.Conn || f.Opcode != x.Opcode || f.Flags != x.Flags || !bytes.Equal(f.Payload, x.Payload) {
				t.Fatalf("%+v, want %+v", f, x)
			}
		})
		if err != nil || ok != (len(want) > 0) {
			t.Fatalf("%v %v with %d waiting", ok, err, len(want))
		}
		if ok {
			want = want[1:]
		}
	}
	for i := range 20_000 {
		if rng.IntN(2) == 0 {
			take()
			continue
		}
		f := Frame{RecvNs: int64(i), Conn: uint32(rng.IntN(9)), Opcode: 1, Flags: FrameFlags(rng.IntN(8)), Payload: make([]byte, rng.IntN(400))}
		if rng.IntN(100) == 0 {
			f.Payload = make([]byte, 3000) // never fits
		}
		for k := range f.Payload {
			f.Payload[k] = byte(rng.Uint32())
		}
		if w.Write(&f) {
			want = append(want, f)
		} else {
			lost, lostBytes = lost+1, lostBytes+uint64(len(f.Payload))
		}
	}
	for len(want) > 0 {
		take()
	}
	take()
	if n, b := r.Lost(); n != lost || b != lostBytes || lost == 0 {
		t.Errorf("%d frames of %d bytes are told lost, want %d of %d", n, b, lost, lostBytes)
	}
}

// TestFramesTwoGoroutines runs both ends at once; the race detector looks on.
func TestFramesTwoGoroutines(t *testing.T) {
	mem := aligned(FramesSize(1 << 14))
	w, _ := NewFrames(mem)
	r, _ := OpenFrames(mem)
	const n = 50_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < n; {
			if w.Write(&Frame{RecvNs: int64(i), Payload: fmt.Appendf(nil, "frame %d", i)}) {
				i++
			} else {
				time.Sleep(time.Microsecond)
			}
		}
	})
	for i := 0; i < n; {
		ok, err := r.Next(func(f *Frame) {
			if f.RecvNs != int64(i) || string(f.Payload) != fmt.Sprint("frame ", i) {
				t.Errorf("%d: %q at %d", i, f.Payload, f.RecvNs)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			i++
		}
	}
	wg.Wait()
}

func TestFramesDoNotAllocate(t *testing.T) {
	mem := aligned(FramesSize(1 << 14))
	w, _ := NewFrames(mem)
	r, _ := OpenFrames(mem)
	f, seen := Frame{Payload: make([]byte, 200)}, 0
	count := func(f *Frame) { seen += len(f.Payload) }
	if n := testing.AllocsPerRun(1000, func() { w.Write(&f); _, _ = r.Next(count) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { w.Write(&f) }); n != 0 {
		t.Errorf("%v allocations of the producer", n)
	}
}

func TestFramesRefuse(t *testing.T) {
	for _, n := range []int{FramesSize(1 << 10), FramesSize(5000), framesData} {
		if _, err := NewFrames(aligned(n)); err == nil {
			t.Errorf("%d bytes are accepted", n)
		}
	}
	mem := aligned(FramesSize(MinFrames))
	if _, err := OpenFrames(mem); !errors.Is(err, ErrFrames) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := OpenFrames(mem[:100]); !errors.Is(err, ErrFrames) {
		t.Errorf("cut short: %v", err)
	}
}

// FuzzFrames reads hostile memory: an error or frames, never a crash.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{}, uint64(0), uint64(64))
	f.Add([]byte{255, 255, 255, 255}, uint64(0), uint64(4096))
	f.Add([]byte{1, 0, 0, 0}, uint64(8), uint64(1<<63))
	f.Fuzz(func(t *testing.T, data []byte, tail, head uint64) {
		mem := aligned(FramesSize(MinFrames))
		w, err := NewFrames(mem)
		if err != nil {
			t.Fatal(err)
		}
		copy(w.data, data)
		w.tail.Store(tail)
		w.head.Store(head)
		r, err := OpenFrames(mem)
		if err != nil {
			return
		}
		for range 2 * MinFrames / 8 {
			if ok, err := r.Next(func(f *Frame) { _ = bytes.Count(f.Payload, []byte("x")) }); !ok || err != nil {
				return
			}
		}
	})
}
