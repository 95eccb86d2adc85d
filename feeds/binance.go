package feeds

import "tickrelay/ring/md"

// Binance is the venue binance.
type Binance struct{}

var _ Venue = Binance{}

// Spec implements Venue.
func (Binance) Spec() *Spec { return &Spec{Name: "binance"} }

// Subscribe implements Venue.
func (Binance) Subscribe(dst [][]byte, subs []Sub, id *int) [][]byte { return dst }

// Unsubscribe implements Venue.
func (Binance) Unsubscribe(dst [][]byte, subs []Sub, id *int) [][]byte { return dst }

// Decode implements Venue.
func (Binance) Decode(frame []byte, d *Decoded) error { return ErrUnsupported }

// Sequence implements Venue.
func (Binance) Sequence(b *BookState, ev *Event) Verdict { return VerdictGap }

// Checksum implements Venue.
func (Binance) Checksum(b *Book) int64 { return 0 }

// SnapshotURL implements Venue.
func (Binance) SnapshotURL(base string, in *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Binance) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error { return ErrUnsupported }

// CatalogueURLs implements Venue.
func (Binance) CatalogueURLs(base string) []string { return nil }

// DecodeCatalogue implements Venue.
func (Binance) DecodeCatalogue(body []byte, each func(md.Instrument)) error { return ErrUnsupported }

// Native implements Venue.
func (Binance) Native(symbol string) (string, bool) { return "", false }

// Symbol implements Venue.
func (Binance) Symbol(native, class string) (string, md.InstrumentKind, bool) { return "", 0, false }
