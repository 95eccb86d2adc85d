package feeds

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func captureFile(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("TICKRELAY_CAPTURES")
	if dir == "" {
		t.Skip("TICKRELAY_CAPTURES names no folder of recorded exchange traffic")
	}
	return filepath.Join(dir, name)
}

func normalizeBytes(t testing.TB, v Venue, files ...string) ([]byte, Summary, error) {
	t.Helper()
	var out bytes.Buffer
	sum, err := Normalize(NormalizeConfig{Venue: v, Out: &out}, files)
	return out.Bytes(), sum, err
}

// TestNormalizeCaptures normalizes real sessions twice and compares every
// trade, quote and book level with a reading by encoding/json.
func TestNormalizeCaptures(t *testing.T) {
	for _, c := range []struct {
		venue     Venue
		file      string
		checksums uint64
		matches   int // quotes at the update id of a book event
	}{
		{Binance{}, "binance/spot_2021-10-12_cf", 0, 26},
		{Binance{}, "binance/spot_btcusdt_2024-08-08", 0, 1072},
		{OKX{}, "okx/v5_2022-05-13", 290, 0},
		{Bitget{}, "bitget/v1_spot_mix_2022-04-07", 637, 0},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			if raceEnabled && c.matches > 1000 {
				t.Skip("100,000 frames take minutes under the race detector; the other sessions take the same way")
			}
			path := captureFile(t, c.file+".ndjson.gz")
			out, sum, err := normalizeBytes(t, c.venue, path)
			if err != nil {
				t.Fatal(err)
			}
			if sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.ChecksumsBad != 0 || sum.ChecksumsOK != c.checksums {
				t.Errorf("summary:\n%s", sum)
			}
			again, _, _ := normalizeBytes(t, c.venue, path)
			if !bytes.Equal(out, again) {
				t.Error("a second run printed something else")
			}
			s := &refSession{t: t, venue: c.venue, books: map[string]*textBook{}, synced: map[string]int64{},
				rest: map[string]*textBook{}, restID: map[string]int64{}, lastU: map[string]int64{}}
			if c.venue.Spec().REST != "" {
				s.loadREST(c.file + ".rest.ndjson.gz")
			}
			if got := s.compare(path, out); got != c.matches {
				t.Errorf("%d quotes equal the book at the same update id, want %d", got, c.matches)
			}
		})
	}
}

// compare walks the capture and the output together and returns how many quotes
// met a book of the same update id, all of which must agree.
func (s *refSession) compare(path string, out []byte) (matches int) {
	t := s.t
	lines := map[string][]printed{}
	for _, p := range parsePrinted(t, out) {
		if p.Type == "trade" || p.Type == "book" || p.Type == "bbo" {
			lines[p.Topic] = append(lines[p.Topic], p)
		} else if p.Type == "gap" {
			t.Fatalf("gap in %s", p.Topic)
		}
	}
	frames := rawLines(t, path)
	quotes := s.quotes(frames)
	shown := map[string]*textBook{} // books as a reader of the output has them
	for _, l := range frames {
		for _, p := range readPushed(s.venue.Spec().Name, l.frame) {
			topic := s.topic(&p)
			switch p.kind {
			case "trade":
				for _, row := range p.rows {
					s.same(l.n, topic, lines, [][3]string{row})
				}
			case "bbo":
				if p.last >= s.lastU[topic] {
					s.lastU[topic] = p.last
					s.same(l.n, topic, lines, p.rows)
				}
			case "book":
				s.sameBook(&l, topic, &p, lines, shown)
				quote, ok := quotes[quoteKey{p.native, p.last}]
				if b := shown[topic]; b != nil && ok {
					matches++
					bid, ask := b.best(0), b.best(1)
					if bid != [2]string{quote[0][1], quote[0][2]} || ask != [2]string{quote[1][1], quote[1][2]} {
						t.Fatalf("line %d: book %v %v, quote %v at update %d", l.n, bid, ask, quote, p.last)
					}
				}
			}
		}
	}
	for topic, rest := range lines {
		if len(rest) != 0 {
			t.Errorf("%s: %d lines more than frames, the first at %s", topic, len(rest), rest[0].TsRecv)
		}
	}
	for topic, b := range s.books {
		if shown[topic] == nil || !b.equal(shown[topic]) {
			t.Errorf("%s: the book at the end differs", topic)
		}
	}
	return matches
}

type quoteKey struct {
	native string
	update int64
}

// quotes are the best prices by update id.
func (s *refSession) quotes(frames []rawLine) map[quoteKey][][3]string {
	all := map[quoteKey][][3]string{}
	for _, l := range frames {
		for _, p := range readPushed(s.venue.Spec().Name, l.frame) {
			if p.kind == "bbo" {
				all[quoteKey{p.native, p.last}] = p.rows
			}
		}
	}
	return all
}

// same takes the topic's next line, which must hold rows.
func (s *refSession) same(n int, topic string, lines map[string][]printed, rows [][3]string) {
	s.t.Helper()
	if len(lines[topic]) == 0 {
		s.t.Fatalf("line %d: %s: nothing printed for %s", n, topic, describe(rows))
	}
	if got := lines[topic][0].rows(); !sameRows(got, rows) {
		s.t.Fatalf("line %d: %s: printed %s, want %s", n, topic, describe(got), describe(rows))
	}
	lines[topic] = lines[topic][1:]
}

// sameBook takes the lines that a book event made: an update with its very
// levels, or nothing while the snapshot is awaited; snapshots where they come.
func (s *refSession) sameBook(l *rawLine, topic string, p *pushed, lines map[string][]printed, shown map[string]*textBook) {
	s.t.Helper()
	updates := 0
	expected := shown[topic] != nil
	news := s.book(topic, p)
	for len(lines[topic]) > 0 {
		next := lines[topic][0]
		if next.TsRecv > l.recv || next.Action == "update" && next.TsRecv != l.recv {
			break
		}
		lines[topic] = lines[topic][1:]
		if next.Action == "snapshot" {
			// A snapshot that came before this event makes an update expected.
			expected = expected || next.TsRecv < l.recv
			shown[topic] = newTextBook()
			shown[topic].apply(next.rows())
			continue
		}
		updates++
		if !sameRows(next.rows(), p.rows) {
			s.t.Fatalf("line %d: %s: printed %s, want %s", l.n, topic, describe(next.rows()), describe(p.rows))
		}
		shown[topic].apply(next.rows())
	}
	want := 0
	if expected && news && !p.whole && len(p.rows) > 0 {
		want = 1
	}
	if updates != want {
		s.t.Fatalf("line %d: %s: %d updates printed, want %d", l.n, topic, updates, want)
	}
}

// TestNormalizeForeignDialect: a capture of another API says so.
func TestNormalizeForeignDialect(t *testing.T) {
	for _, c := range []struct {
		venue Venue
		file  string
	}{
		{OKX{}, "okx/v3_deflate_2021-04-17.ndjson.gz"},
		{Binance{}, "binance/usdm_2021-07-22_cf.ndjson.gz"},
	} {
		if _, _, err := normalizeBytes(t, c.venue, captureFile(t, c.file)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", c.file, err)
		}
	}
}
