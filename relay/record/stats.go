package record

import "sync/atomic"

// Stats counts what a recorder does. Any goroutine may read it.
type Stats struct {
	Records    atomic.Uint64 // records taken into the recording, gaps and key frames included
	Lost       atomic.Uint64 // numbered records not recorded: the device was full
	Gaps       atomic.Uint64 // gap records that the recorder itself wrote
	Duplicates atomic.Uint64 // records that it had already
	Unknown    atomic.Uint64 // records without an instrument entry
	KeyFrames  atomic.Uint64 // states of a topic written at the beginning of an hour
	Suspended  atomic.Bool   // nothing is written: the device is full
	Suspends   atomic.Uint64 // times that this began
	Unfit      atomic.Uint64 // numbers that DECIMAL(38,18) does not hold: null in that column
	Files      atomic.Uint64 // row groups sealed into files
	SealErrors atomic.Uint64 // attempts to do so that failed; they are repeated
	Backlog    atomic.Int64  // journals that wait to be sealed
	Merges     atomic.Uint64 // hours or runs of parts merged into one file
	Pruned     atomic.Uint64 // files deleted by age or size
	Bytes      atomic.Int64  // size of the recording on the device
	Recovered  atomic.Uint64 // records found in journals at the start
	Torn       atomic.Uint64 // bytes at the ends of those that were no whole block
	Damaged    atomic.Uint64 // files that could not be read at the start and were set aside
}
