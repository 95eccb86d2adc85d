package feeds

import (
	"errors"
	"testing"

	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// fixture is what the tests of all venues want to know of one. Each venue's own
// test file declares it. Beside it, testdata/<venue>/frames.ndjson has a frame
// of every kind that the venue's document describes.
type fixture struct {
	venue Venue
	// requests are subscriptions and the frames that they make.
	requests []requestCase
	// catalogues are documents of instrument lists and what they mean.
	catalogues []catalogueCase
	// symbols are names at the venue: native (with class) and ours, both ways
	// where back is set.
	symbols []symbolCase
	// captures are recorded sessions in the venue's dialects.
	captures []captureCase
	// refused are recorded sessions in other dialects of the same exchange:
	// each must have a frame that ends with ErrUnsupported, and none with
	// another error.
	refused []string
	// reference reads trades, books and bbo of a frame with encoding/json alone,
	// written apart from the decoder, for plainness.
	reference func(t *testing.T, frame string) (recs []refRecord, known bool)
}

type requestCase struct {
	subs        []Sub
	subscribe   []string
	unsubscribe []string
}

type catalogueCase struct {
	body string
	want []md.Instrument
	more string
}

type symbolCase struct {
	native, class, symbol string
	kind                  md.InstrumentKind
	oneWay                bool // the name cannot be told from the symbol
}

type captureCase struct {
	file string
	// least is how many records of each channel there must be.
	least map[md.Channel]int
}

// fixtures are all but those of the first three venues, whose tests are older
// than the kit.
var fixtures = []fixture{
	binanceUSDMFixture(), binanceCOINMFixture(),
	gateioFixture(), gateioFuturesFixture(),
	kucoinFixture(), kucoinFuturesFixture(),
	bybitFixtures()[0], bybitFixtures()[1], bybitFixtures()[2],
	krakenFixture(),
	krakenFuturesFixture(),
	deribitFixture(),
	coinbaseFixture(),
	coinbaseExchangeFixture(),
	bitstampFixture(), hyperliquidFixture(),
	upbitFixture(),
	bitfinexFixture(),
}

// TestEveryVenueHasAFixture fails for a venue that nobody tests.
func TestEveryVenueHasAFixture(t *testing.T) {
	have := map[string]bool{"binance": true, "bitget": true, "okx": true}
	for _, f := range fixtures {
		name := f.venue.Spec().Name
		have[name] = true
		if len(f.requests) == 0 || len(f.catalogues) == 0 || len(f.symbols) == 0 || f.reference == nil {
			t.Errorf("%s: requests, catalogues, symbols and reference are wanted of every fixture", name)
		}
	}
	for _, v := range Venues() {
		if !have[v.Spec().Name] {
			t.Errorf("%s has no fixture", v.Spec().Name)
		}
	}
}

// decoderOf is a venue's decoder for one connection.
func decoderOf(v Venue) func(frame []byte, d *Decoded) error {
	if s, ok := v.(Stateful); ok {
		return s.NewConn().Decode
	}
	return v.Decode
}

func TestFixtureRequests(t *testing.T) {
	for _, f := range fixtures {
		for _, c := range f.requests {
			rq := Requests{ID: 1, Now: 1763842100123456789}
			compareFrames(t, f.venue.Spec().Name+" subscribe", f.venue.Subscribe(nil, c.subs, &rq), c.subscribe)
			rq = Requests{ID: 1, Now: 1763842100123456789}
			compareFrames(t, f.venue.Spec().Name+" unsubscribe", f.venue.Unsubscribe(nil, c.subs, &rq), c.unsubscribe)
		}
	}
}

func compareFrames(t *testing.T, what string, got [][]byte, want []string) {
	t.Helper()
	for k := range max(len(got), len(want)) {
		if k >= len(got) || k >= len(want) || string(got[k]) != want[k] {
			t.Errorf("%s: frames %q\nwant %q", what, got, want)
			return
		}
	}
}

func TestFixtureCatalogues(t *testing.T) {
	for _, f := range fixtures {
		spec := f.venue.Spec()
		for _, c := range f.catalogues {
			var got []md.Instrument
			more, err := f.venue.DecodeCatalogue([]byte(c.body), func(in md.Instrument) { got = append(got, in) })
			if err != nil || more != c.more || len(got) != len(c.want) {
				t.Errorf("%s: %d instruments, want %d; more %q, want %q; %v", spec.Name, len(got), len(c.want), more, c.more, err)
				continue
			}
			for k := range got {
				if c.want[k].Venue = spec.Venue; got[k] != c.want[k] {
					t.Errorf("%s: %+v\nwant %+v", spec.Name, got[k], c.want[k])
				}
			}
		}
	}
}

func TestFixtureSymbols(t *testing.T) {
	for _, f := range fixtures {
		for _, c := range f.symbols {
			symbol, kind, ok := f.venue.Symbol(c.native, c.class)
			if !ok || symbol != c.symbol || kind != c.kind {
				t.Errorf("%s: %q (class %q) is %q %s %v, want %q %s", f.venue.Spec().Name, c.native, c.class, symbol, kind, ok, c.symbol, c.kind)
			}
			if native, ok := f.venue.Native(c.symbol); !c.oneWay && (!ok || native != c.native) {
				t.Errorf("%s: %q is called %q %v, want %q", f.venue.Spec().Name, c.symbol, native, ok, c.native)
			}
		}
	}
}

// TestFixtureCaptures decodes real sessions: no frame is rejected, every record
// is valid, every number equals what encoding/json reads. That books chain and
// checksums hold is seen by normalizing them.
func TestFixtureCaptures(t *testing.T) {
	for _, f := range fixtures {
		for _, c := range f.captures {
			t.Run(f.venue.Spec().Name+"/"+c.file, func(t *testing.T) {
				var d Decoded
				recs := map[md.Channel]int{}
				conns := map[string]func([]byte, *Decoded) error{}
				captures(t, c.file, func(n int, l *captureLine) {
					if l.Dir != "" && l.Dir != "recv" {
						return
					}
					decode := conns[l.Conn]
					if decode == nil {
						decode = decoderOf(f.venue)
						conns[l.Conn] = decode
					}
					d.Reset()
					if err := decode(l.bytes(t), &d); err != nil {
						t.Fatalf("%s:%d: %v\n%.400s", c.file, n, err, l.bytes(t))
					}
					compareReference(t, n, string(l.bytes(t)), &d, f.reference)
					for k := range d.Events {
						recs[d.Events[k].Channel] += d.Events[k].To - d.Events[k].From
					}
				})
				for ch, least := range c.least {
					if recs[ch] < least {
						t.Errorf("%s: %d records, want at least %d", ch, recs[ch], least)
					}
				}
				t.Logf("records %v", recs)
			})
		}
	}
}

func TestFixtureOtherDialects(t *testing.T) {
	for _, f := range fixtures {
		for _, file := range f.refused {
			var d Decoded
			refused := 0
			captures(t, file, func(n int, l *captureLine) {
				if l.Dir != "" && l.Dir != "recv" {
					return
				}
				d.Reset()
				if err := decoderOf(f.venue)(l.bytes(t), &d); errors.Is(err, ErrUnsupported) {
					refused++
				} else if err != nil {
					t.Errorf("%s:%d: %v\n%.400s", file, n, err, l.bytes(t))
				}
			})
			if refused == 0 {
				t.Errorf("%s: nothing was refused", file)
			}
		}
	}
}

// TestEveryVenueIsSimulated: faults, chaos and redundant lines are tried on
// simulated exchanges, so each venue needs one.
func TestEveryVenueIsSimulated(t *testing.T) {
	for _, v := range Venues() {
		if len(sim.Symbols(v.Spec().Name)) < 2 {
			t.Errorf("%s: no simulated exchange with two instruments", v.Spec().Name)
		}
	}
}
