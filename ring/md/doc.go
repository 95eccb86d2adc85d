// Package md is the market-data schema: one event, one 64-byte Record.
//
// It guarantees that the same 64 little-endian bytes mean the same in shared
// memory, in binary WebSocket frames, in files, in Go, C, Python and
// JavaScript; that numbers are exact (mantissa × 10^exponent, never a float,
// never rounded); and that codes and names are never reused. The byte map, the
// meaning of every field by kind, the JSON form and the instrument table's
// layout are in docs/record.md; record.h mirrors both layouts for C.
//
// It does not guarantee that a record makes sense: bytes from outside may be
// anything, Record.Valid judges them. It knows no exchange and does no I/O.
//
//	     0    1    2      4          8                16
//	     ┌────┬────┬──────┬──────────┬─────────────────┬─────────────────┐
//	   0 │kind│flag│venue │instrument│ seq             │ ts_event        │
//	     ├────┴────┴──────┴──────────┼─────────────────┼─────────────────┤
//	  24 │ ts_recv                   │ price           │ size            │
//	     ├───────────────────────────┼────┬────┬───┬───┼─────────────────┘
//	  48 │ id                        │side│lvl │pxe│sze│ count │
//	     └───────────────────────────┴────┴────┴───┴───┴───────┘
//	topic  <venue>.<channel>.<symbol>   ── Pattern selects topics
//	Table  instrument number ⇄ symbol, exponents; one writer, readers anywhere
//	AppendJSON, AppendText   records → what people and browsers read
//
// It starts no goroutine.
package md
