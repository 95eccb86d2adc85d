package feeds

import (
	"encoding/json"
	"testing"

	"golang.org/x/sys/unix"
)

// guarded copies frame to the end of memory that is followed by a page without
// access: reading one byte too many crashes.
func guarded(t testing.TB, room int) func(frame []byte) []byte {
	t.Helper()
	page := unix.Getpagesize()
	size := (room+page-1)/page*page + page
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Skipf("no guard page: %v", err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	end := size - page
	if err := unix.Mprotect(mem[end:], unix.PROT_NONE); err != nil {
		t.Skipf("no guard page: %v", err)
	}
	return func(frame []byte) []byte {
		b := mem[end-len(frame) : end : end]
		copy(b, frame)
		return b
	}
}

const guardRoom = 1 << 16

// primed is a venue's decoder that has seen the documented frames, where it
// keeps what a connection said.
func primed(t testing.TB, v Venue) func([]byte, *Decoded) error {
	decode := decoderOf(v)
	if _, ok := v.(Stateful); ok {
		var d Decoded
		for _, frame := range goldenFrames(t, v.Spec().Name) {
			d.Reset()
			_ = decode(frame, &d)
		}
	}
	return decode
}

// checkDecode holds what every frame must hold, whatever is in it.
func checkDecode(t *testing.T, v Venue, decode func([]byte, *Decoded) error, d *Decoded, frame []byte) {
	t.Helper()
	d.Reset()
	if err := decode(frame, d); err != nil {
		return
	}
	if !json.Valid(frame) && string(frame) != "pong" {
		t.Fatalf("%s accepts what is no JSON: %q", v.Spec().Name, frame)
	}
	next := 0
	for k := range d.Events {
		ev := &d.Events[k]
		if ev.From != next || ev.To < ev.From || ev.To > len(d.Recs) {
			t.Fatalf("%s: event %d owns records %d to %d of %d, the last ended at %d: %q",
				v.Spec().Name, k, ev.From, ev.To, len(d.Recs), next, frame)
		}
		next = ev.To
		for i := range d.Recs[ev.From:ev.To] {
			r := &d.Recs[ev.From+i]
			if err := r.Valid(); err != nil {
				t.Fatalf("%s: %v: %q", v.Spec().Name, err, frame)
			}
			if r.Kind.Channel() != ev.Channel {
				t.Fatalf("%s: a %s record in a %s event: %q", v.Spec().Name, r.Kind, ev.Channel, frame)
			}
		}
	}
	if next != len(d.Recs) {
		t.Fatalf("%s: %d records belong to no event: %q", v.Spec().Name, len(d.Recs)-next, frame)
	}
}

// FuzzDecode gives every venue any bytes, right before a page without access.
func FuzzDecode(f *testing.F) {
	for _, v := range Venues() {
		for _, frame := range goldenFrames(f, v.Spec().Name) {
			f.Add(frame)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > guardRoom {
			return
		}
		b := guarded(t, guardRoom)(frame)
		var d Decoded
		for _, v := range Venues() {
			checkDecode(t, v, primed(t, v), &d, b)
		}
	})
}

// fuzzVenue is FuzzDecode for one venue.
func fuzzVenue(f *testing.F, v Venue) {
	for _, frame := range goldenFrames(f, v.Spec().Name) {
		f.Add(frame)
	}
	decode := primed(f, v)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > guardRoom {
			return
		}
		var d Decoded
		checkDecode(t, v, decode, &d, guarded(t, guardRoom)(frame))
	})
}

// TestDecodeDamaged cuts every documented frame at every byte, changes every
// byte, and appends garbage: a cut or a tail is always refused, nothing crashes
// and nothing is read behind the frame.
func TestDecodeDamaged(t *testing.T) {
	place := guarded(t, guardRoom)
	var d Decoded
	for _, v := range Venues() {
		decode := primed(t, v)
		for _, frame := range goldenFrames(t, v.Spec().Name) {
			for cut := range frame {
				d.Reset()
				if err := decode(place(frame[:cut]), &d); err == nil {
					t.Fatalf("%s accepts the first %d bytes of %s", v.Spec().Name, cut, frame)
				}
				for _, c := range [...]byte{'"', '}', ']', ',', '\\', '0', 0, 0xFF} {
					b := place(frame)
					b[cut] = c
					checkDecode(t, v, decode, &d, b)
				}
			}
			for _, tail := range [...]string{"x", "}", ",", "\x00", frameTail} {
				d.Reset()
				if err := decode(place(append(append([]byte{}, frame...), tail...)), &d); err == nil {
					t.Fatalf("%s accepts %s with the tail %q", v.Spec().Name, frame, tail)
				}
			}
		}
	}
}

const frameTail = `{"e":"trade"}`

// TestDecodeNoAllocations holds Decode to its promise for every documented
// frame, and Checksum likewise.
func TestDecodeNoAllocations(t *testing.T) {
	for _, v := range Venues() {
		for n, frame := range goldenFrames(t, v.Spec().Name) {
			var d Decoded
			decode := primed(t, v)
			_ = decode(frame, &d)
			if got := testing.AllocsPerRun(20, func() {
				d.Reset()
				_ = decode(frame, &d)
			}); got != 0 {
				t.Errorf("%s frame %d: %v allocations: %s", v.Spec().Name, n+1, got, frame)
			}
		}
	}
}
