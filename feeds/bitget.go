package feeds

import "tickrelay/ring/md"

// Bitget is the venue bitget.
type Bitget struct{}

var _ Venue = Bitget{}

// Spec implements Venue.
func (Bitget) Spec() *Spec { return &Spec{Name: "bitget"} }

// Subscribe implements Venue.
func (Bitget) Subscribe(dst [][]byte, subs []Sub, id *int) [][]byte { return dst }

// Unsubscribe implements Venue.
func (Bitget) Unsubscribe(dst [][]byte, subs []Sub, id *int) [][]byte { return dst }

// Decode implements Venue.
func (Bitget) Decode(frame []byte, d *Decoded) error { return ErrUnsupported }

// Sequence implements Venue.
func (Bitget) Sequence(b *BookState, ev *Event) Verdict { return VerdictGap }

// Checksum implements Venue.
func (Bitget) Checksum(b *Book) int64 { return 0 }

// SnapshotURL implements Venue.
func (Bitget) SnapshotURL(base string, in *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (Bitget) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error { return ErrUnsupported }

// CatalogueURLs implements Venue.
func (Bitget) CatalogueURLs(base string) []string { return nil }

// DecodeCatalogue implements Venue.
func (Bitget) DecodeCatalogue(body []byte, each func(md.Instrument)) error { return ErrUnsupported }

// Native implements Venue.
func (Bitget) Native(symbol string) (string, bool) { return "", false }

// Symbol implements Venue.
func (Bitget) Symbol(native, class string) (string, md.InstrumentKind, bool) { return "", 0, false }
