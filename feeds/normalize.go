package feeds

import (
	"errors"
	"io"
)

// NormalizeConfig says how captures are normalized. Venue and Out are required.
type NormalizeConfig struct {
	Venue    Venue
	Patterns []string // topics to print; default all
	Epoch    int64    // ns; default the first line's receive time
	Out      io.Writer
}

// Summary counts what a normalization did.
type Summary struct {
	Frames, Records, Rejected, Gaps            uint64
	ChecksumsOK, ChecksumsBad, BooksCrossed    uint64
	Ignored, History, Duplicates, Stale, Lines uint64
}

// String is one "key value" per line.
func (s Summary) String() string { return "" }

// Normalize drives captures through an engine and writes one JSON line per event.
func Normalize(cfg NormalizeConfig, captures []string) (Summary, error) {
	return Summary{}, errors.ErrUnsupported
}
