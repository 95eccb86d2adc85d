package feeds

import (
	"strings"
	"testing"
	"unsafe"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
)

// TestFeedTap: the tap has the connection, what we sent, and every frame as the
// exchange sent it: decoding those again makes the same number of events.
func TestFeedTap(t *testing.T) {
	r := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	words := make([]uint64, ring.FramesSize(1<<24)/8)
	mem := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
	w, err := ring.NewFrames(mem)
	if err != nil {
		t.Fatal(err)
	}
	untap, err := r.feed.Tap(w)
	if err != nil {
		t.Fatal(err)
	}
	stop := runFeed(t, r.feed)
	r.live()
	r.cutLine(0)
	r.live()
	stop()
	untap()
	frames, err := ring.OpenFrames(mem)
	if err != nil {
		t.Fatal(err)
	}
	var connects, sent, closes, received int
	var events uint64
	var d Decoded
	for {
		ok, err := frames.Next(func(f *ring.Frame) {
			switch {
			case f.Flags&ring.FrameConnect != 0:
				connects++
				if string(f.Payload) != r.server.URL() {
					t.Errorf("connected to %s", f.Payload)
				}
			case f.Flags&ring.FrameClose != 0:
				closes++
			case f.Flags&ring.FrameSent != 0:
				sent++
				if sent == 1 && !strings.Contains(string(f.Payload), `"op":"subscribe"`) {
					t.Errorf("sent %s", f.Payload)
				}
			default:
				received++
				d.Reset()
				if err := (OKX{}).Decode(f.Payload, &d); err != nil {
					t.Errorf("%v: %s", err, f.Payload)
				}
				events += uint64(len(d.Events))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
	}
	s := r.feed.Stats()
	if n, _ := frames.Lost(); n != 0 || connects != 2 || closes != 2 || sent < 2 || uint64(received) != s.Frames.Load() || events != s.Events.Load() {
		t.Errorf("connects %d closes %d sent %d; %d frames of %d, %d events of %d, %d lost", connects, closes, sent,
			received, s.Frames.Load(), events, s.Events.Load(), n)
	}
}
