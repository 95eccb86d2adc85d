package md

import (
	"fmt"
	"unsafe"
)

// AsBytes gives the records' memory, without a copy.
func AsBytes(recs []Record) []byte {
	if len(recs) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&recs[0])), len(recs)*RecordSize)
}

// FromBytes gives the records in b, without a copy. b must be 8-aligned and
// hold whole records; their content is not judged, see Valid.
func FromBytes(b []byte) ([]Record, error) {
	if len(b)%RecordSize != 0 {
		return nil, fmt.Errorf("md: %d bytes are not whole records of %d", len(b), RecordSize)
	}
	if len(b) == 0 {
		return nil, nil
	}
	if uintptr(unsafe.Pointer(&b[0]))%8 != 0 {
		return nil, fmt.Errorf("md: records at %p are not 8-aligned", &b[0])
	}
	return unsafe.Slice((*Record)(unsafe.Pointer(&b[0])), len(b)/RecordSize), nil
}
