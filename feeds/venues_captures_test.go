package feeds

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// captureLine is one line of a recorded session.
type captureLine struct {
	Dir, Conn, Frame, URL, Body string
	FrameB64                    []byte `json:"frame_b64"` // of a binary frame
	Error                       any
}

// bytes is the frame.
func (l *captureLine) bytes(t *testing.T) []byte {
	t.Helper()
	if l.FrameB64 != nil {
		return l.FrameB64
	}
	return []byte(l.Frame)
}

// captures calls f for every line of a recorded file below TICKRELAY_CAPTURES.
func captures(t *testing.T, name string, f func(n int, l *captureLine)) {
	t.Helper()
	dir := os.Getenv("TICKRELAY_CAPTURES")
	if dir == "" {
		t.Skip("TICKRELAY_CAPTURES names no folder of recorded exchange traffic")
	}
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var in io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReaderSize(in, 1<<20)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var l captureLine
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatalf("%s:%d: %v", name, n, err)
			}
			f(n, &l)
		}
		if err != nil {
			return
		}
	}
}

// TestCaptures decodes real sessions: no frame is rejected, every record is
// valid, every number equals what encoding/json reads, books chain and their
// checksums hold.
func TestCaptures(t *testing.T) {
	for _, c := range []struct {
		venue Venue
		file  string
		recs  map[md.Channel]int
	}{
		{Binance{}, "binance/spot_btcusdt_2024-08-08.ndjson.gz",
			map[md.Channel]int{md.ChannelTrades: 19904, md.ChannelBBO: 2 * 73174}},
		{Binance{}, "binance/spot_2021-10-12_cf.ndjson.gz", map[md.Channel]int{md.ChannelBBO: 2 * 84}},
		{Bitget{}, "bitget/v1_spot_mix_2022-04-07.ndjson.gz", nil},
		{OKX{}, "okx/v5_2022-05-13.ndjson.gz", nil},
	} {
		t.Run(c.venue.Spec().Name, func(t *testing.T) {
			var d Decoded
			recs := map[md.Channel]int{}
			books := map[string]*Book{}
			sums := 0
			captures(t, c.file, func(n int, l *captureLine) {
				if l.Dir != "" && l.Dir != "recv" {
					return
				}
				d.Reset()
				if err := c.venue.Decode([]byte(l.Frame), &d); err != nil {
					t.Fatalf("%s:%d: %v\n%s", c.file, n, err, l.Frame)
				}
				checkAgainstJSON(t, n, c.venue.Spec().Name, l.Frame, &d)
				for k := range d.Events {
					ev := &d.Events[k]
					recs[ev.Channel] += ev.To - ev.From
					if ev.Channel == md.ChannelBook && ev.HasChecksum {
						key := string(ev.Class) + " " + string(ev.Native)
						if books[key] == nil {
							books[key] = newTestBook(-9, -9)
						}
						applyTest(t, books[key], ev, d.Recs)
						if got := c.venue.Checksum(books[key]); got != ev.Checksum {
							t.Fatalf("%s:%d: checksum %d, the venue says %d", c.file, n, got, ev.Checksum)
						}
						sums++
					}
				}
			})
			for ch, want := range c.recs {
				if recs[ch] != want {
					t.Errorf("%s: %d records, want %d", ch, recs[ch], want)
				}
			}
			t.Logf("records %v, checksums %d", recs, sums)
			if c.venue.Spec().Name != "binance" && sums == 0 {
				t.Error("no checksum was compared")
			}
		})
	}
}

func newTestBook(priceExp, sizeExp int8) *Book {
	b := new(Book)
	b.PriceExp, b.SizeExp = priceExp, sizeExp
	return b
}

func applyTest(t *testing.T, b *Book, ev *Event, recs []md.Record) {
	t.Helper()
	if ev.Action == ActionReplace {
		b.Clear()
	}
	for _, r := range recs[ev.From:ev.To] {
		p, ok1 := md.Rescale(r.Price, r.PriceExp, b.PriceExp)
		s, ok2 := md.Rescale(r.Size, r.SizeExp, b.SizeExp)
		if !ok1 || !ok2 {
			t.Fatalf("%d e%d, %d e%d does not fit", r.Price, r.PriceExp, r.Size, r.SizeExp)
		}
		b.Set(r.Side, book.Level{Price: p, Size: s, Count: r.Count, PriceDP: -r.PriceExp, SizeDP: -r.SizeExp})
	}
}

// TestCapturesOtherDialects holds the venues to their documents: frames of the
// futures markets and of the old OKX API are told apart, never misread.
func TestCapturesOtherDialects(t *testing.T) {
	for _, c := range []struct {
		venue Venue
		file  string
	}{
		{OKX{}, "pairs/crypto-msg-parser/okx_v3.ndjson"},
		{Binance{}, "binance/usdm_2021-07-22_cf.ndjson.gz"},
	} {
		var d Decoded
		refused := 0
		captures(t, c.file, func(n int, l *captureLine) {
			if l.Dir != "" && l.Dir != "recv" {
				return
			}
			d.Reset()
			err := c.venue.Decode([]byte(l.Frame), &d)
			if errors.Is(err, ErrUnsupported) {
				refused++
			} else if err != nil {
				t.Errorf("%s:%d: %v\n%s", c.file, n, err, l.Frame)
			}
		})
		if refused == 0 {
			t.Errorf("%s: nothing was refused", c.file)
		}
	}
}
