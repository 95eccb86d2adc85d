package feeds

import (
	"slices"

	"tickrelay/ring"
)

// Tap copies every frame of the feed's connections into w, untouched and before
// it is decoded: the raw channel of the venue as a whole, for recorders. Frames
// that we send, connections made and ended are there too, so that the session
// can be played again. A tap that is full loses frames, which it counts, and
// never holds the feed up. untap ends it and returns once the feed no longer
// touches w.
func (f *Feed) Tap(w *ring.FrameWriter) (untap func(), err error) {
	if f.do(func() { f.loop.taps = append(f.loop.taps, w) }, false) {
		return nil, ErrStopped
	}
	return func() {
		f.do(func() {
			f.loop.taps = slices.DeleteFunc(f.loop.taps, func(x *ring.FrameWriter) bool { return x == w })
		}, true)
	}, nil
}

// tap tells the taps of a frame.
func (l *loop) tap(line int, flags ring.FrameFlags, opcode uint8, payload []byte, at int64) {
	l.tapped = ring.Frame{RecvNs: at, Conn: uint32(line), Opcode: opcode, Flags: flags, Payload: payload}
	for _, w := range l.taps {
		w.Write(&l.tapped)
	}
	l.tapped.Payload = nil
}
