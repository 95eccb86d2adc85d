package feeds

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tickrelay/ring/md"
)

var updateFrames = flag.Bool("update-frames", false, "rewrite testdata/<venue>/frames.golden")

// goldenFrames are the frames of testdata, one per line, written after the
// venue's document.
func goldenFrames(t testing.TB, venue string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", venue, "frames.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

// TestGoldenFrames decodes every documented frame and compares each value of
// each event and record with the golden text.
func TestGoldenFrames(t *testing.T) {
	for _, v := range Venues() {
		name := v.Spec().Name
		t.Run(name, func(t *testing.T) {
			var got []byte
			decode := decoderOf(v)
			for n, frame := range goldenFrames(t, name) {
				got = fmt.Appendf(got, "frame %d\n", n+1)
				got = appendDecoded(t, got, v, decode, frame)
			}
			path := filepath.Join("testdata", name, "frames.golden")
			if *updateFrames {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
			for k := range max(len(g), len(w)) {
				if k >= len(g) || k >= len(w) || !bytes.Equal(g[k], w[k]) {
					t.Fatalf("%s:%d differs\n got %s\nwant %s", path, k+1, at(g, k), at(w, k))
				}
			}
		})
	}
}

func at(lines [][]byte, k int) []byte {
	if k < len(lines) {
		return lines[k]
	}
	return []byte("(end)")
}

func appendDecoded(t *testing.T, dst []byte, v Venue, decode func([]byte, *Decoded) error, frame []byte) []byte {
	t.Helper()
	var d Decoded
	if err := decode(frame, &d); err != nil {
		return fmt.Appendf(dst, "  error %v\n", err)
	}
	if d.Control != ControlNone || d.Refused != 0 {
		dst = fmt.Appendf(dst, "  control %d refused %d %s\n", d.Control, d.Refused, d.Text)
	}
	for k := range d.Events {
		ev := &d.Events[k]
		symbol, kind, ok := v.Symbol(string(ev.Native), string(ev.Class))
		if !ok {
			t.Errorf("no symbol for %q, class %q", ev.Native, ev.Class)
		}
		dst = fmt.Appendf(dst, "  %s %s %s action %d", ev.Channel, kind, ev.Native, ev.Action)
		if ev.SeqFirst != 0 || ev.SeqLast != 0 || ev.SeqPrev != 0 {
			dst = fmt.Appendf(dst, " first %d last %d prev %d", ev.SeqFirst, ev.SeqLast, ev.SeqPrev)
		}
		if ev.HasChecksum {
			dst = fmt.Appendf(dst, " checksum %d", ev.Checksum)
		}
		if ev.Text != nil {
			dst = fmt.Appendf(dst, " id %s", ev.Text)
		}
		dst = append(dst, '\n')
		topic := md.Topic{Venue: v.Spec().Venue, Channel: ev.Channel, Symbol: symbol}.String()
		for k := range d.Recs[ev.From:ev.To] {
			r := &d.Recs[ev.From+k]
			if err := r.Valid(); err != nil {
				t.Errorf("%v: %s", err, frame)
			}
			dst = append(dst, "    "...)
			dst = fmt.Appendf(md.AppendText(dst, topic, r), " [e%d e%d]\n", r.PriceExp, r.SizeExp)
		}
	}
	return dst
}
