// Package record writes what rings carry to Parquet files and reads it back, whole and
// exact. A recorder is a ring consumer like any other: it can slow nobody down.
//
//	ring ──▶ Recorder ──▶ journal, raw records ──▶ sealer ──▶ DIR/VENUE/CHANNEL/
//	         one goroutine  the open row group      another       2026-11-28T15.parquet
//	                                                goroutine            │
//	                          Scan: events in order of time ◀────────────┘
//
// It guarantees: a record that was written to the journal is in the recording exactly
// once, whatever is killed whenever; of what was not, a gap record in the file says which
// numbers are missing; files appear whole under their names; every bit of a record can be
// read back; DECIMAL columns are exact or null, never rounded; memory does not grow with
// the recording. Each hour begins with the state of its topics.
//
// It does not guarantee that a machine that loses power has the last moment on disk: see
// Config.Sync.
//
// The schema, the metadata, the names of files and the order of operations on disk are in
// docs/recording.md. Scan reads a recording; it needs no recorder and does not mind one.
package record
