package feeds

import "tickrelay/ring/md"

// OKX is the venue okx.
type OKX struct{}

var _ Venue = OKX{}

// Spec implements Venue.
func (OKX) Spec() *Spec { return &Spec{Name: "okx"} }

// Subscribe implements Venue.
func (OKX) Subscribe(dst [][]byte, subs []Sub, id *int) [][]byte { return dst }

// Unsubscribe implements Venue.
func (OKX) Unsubscribe(dst [][]byte, subs []Sub, id *int) [][]byte { return dst }

// Decode implements Venue.
func (OKX) Decode(frame []byte, d *Decoded) error { return ErrUnsupported }

// Sequence implements Venue.
func (OKX) Sequence(b *BookState, ev *Event) Verdict { return VerdictGap }

// Checksum implements Venue.
func (OKX) Checksum(b *Book) int64 { return 0 }

// SnapshotURL implements Venue.
func (OKX) SnapshotURL(base string, in *md.Instrument) string { return "" }

// DecodeSnapshot implements Venue.
func (OKX) DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error { return ErrUnsupported }

// CatalogueURLs implements Venue.
func (OKX) CatalogueURLs(base string) []string { return nil }

// DecodeCatalogue implements Venue.
func (OKX) DecodeCatalogue(body []byte, each func(md.Instrument)) error { return ErrUnsupported }

// Native implements Venue.
func (OKX) Native(symbol string) (string, bool) { return "", false }

// Symbol implements Venue.
func (OKX) Symbol(native, class string) (string, md.InstrumentKind, bool) { return "", 0, false }
