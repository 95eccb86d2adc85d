package wsconn

import (
	"io"
	"slices"
	"testing"
)

// Hostile server bytes: never a panic or an endless loop, never a message over
// the limit, a bounded buffer, and the same outcome however the bytes are cut.
func FuzzFrames(f *testing.F) {
	f.Add(slices.Concat(serverFrame(fin|1, "Hello"), serverFrame(1, "a"), serverFrame(fin|9, "p"), serverFrame(fin, "b")), uint8(1))
	f.Add(slices.Concat(serverFrame(fin|2, string(make([]byte, 700))), serverFrame(fin|8, "\x03\xe8bye")), uint8(13))
	f.Add([]byte{fin | 2, 127, 0, 0, 0, 0, 0, 0, 3, 0xe8}, uint8(0))
	f.Add([]byte{fin | 1, 126, 0x10}, uint8(2))
	f.Add(slices.Concat(serverFrame(2, string(make([]byte, 600))), serverFrame(0, string(make([]byte, 400))), serverFrame(fin, "")), uint8(90))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		const limit = 1000
		run := func(chunk int) ([]string, string, []byte) {
			c, m := opened(t, Config{MaxMessage: limit, ReadBuffer: 512}, slices.Clone(in), chunk)
			m.end = io.EOF
			got, err := results(c, m)
			if err == io.ErrNoProgress || err == nil {
				t.Fatalf("no end: %v", err)
			}
			if len(c.buf) > c.bufLimit() {
				t.Fatalf("buffer of %d bytes", len(c.buf))
			}
			for _, g := range got {
				if len(g) > limit+2 {
					t.Fatalf("message of %d bytes", len(g)-2)
				}
			}
			clientFrames(t, m.out)
			return got, err.Error(), m.in
		}
		got, err, _ := run(0)
		got2, err2, _ := run(int(chunk)%97 + 1)
		if !slices.Equal(got, got2) || err != err2 {
			t.Fatalf("in pieces of %d: %d messages, %s; whole: %d messages, %s", int(chunk)%97+1, len(got2), err2, len(got), err)
		}
	})
}
