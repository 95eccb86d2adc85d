// Package ring is how market data gets from a feed to everybody else: rings of
// 64-byte records with one producer and one consumer each, in shared memory or
// on the heap, that never make the producer wait.
//
//	feed's hot loop                                     a consumer per ring
//	Publish Gap Rebuilt ─▶ Publisher ─┬─▶ Producer ═▶ ring ═▶ Consumer ─▶ strategy
//	   numbers, last values,          ├─▶ Producer ═▶ ring ═▶ Consumer ─▶ gateway
//	   one staged batch               └─▶ Producer ═▶ ring ═▶ Consumer ─▶ recorder
//	                        Flush: one atomic store per ring
//	                        Turn: attachments, resumption, snapshots, heartbeats
//
//	Dir: /dev/shm/tickrelay/RELAY/{lock,instruments,NAME.data,NAME.ctl}
//	Client: Attach or Open again when a relay comes back
//	Serve ◀── JSON lines, descriptors ──▶ Attach      List, Stat, Leftover: look only
//
// It guarantees: whole events or none; per topic every number in order, or a gap
// record that names exactly the missing interval; after a gap, and for whoever
// attaches, fresh state; a reader that stalls, dies at any instruction or writes
// nonsense costs itself its ring and nobody else anything; no allocation, lock,
// or (unless a reader sleeps) system call in Publish, Flush and Poll.
//
// A broadcast ring (Meta.Broadcast) has any number of readers instead of one
// consumer; see NewBroadcastReader.
//
// It does not guarantee that nothing is lost: who reads too slowly loses records
// and is told so. It does not order records of different topics of different
// rings. It does not defend a consumer against the relay that made its ring,
// beyond validating headers and indices; records are the relay's word.
//
// Goroutines: Serve starts one per connection and waits for them; a Client one
// while its relay is away, gone by its Close; nothing else starts any.
//
// # Byte map, version 1
//
// All numbers are little-endian and naturally aligned. NAME.data is written by
// the producer alone and mapped read-only by the consumer:
//
//	 0       8       16      24      32      40      48      56      64
//	 +-------+-------+-------+-------+-------+-------+-------+-------+
//	0x000 | magic "TICKRING" | version u32, format u32 (1) | record size u32,
//	      |   max topics u32 | capacity u64 | topics offset u64
//	0x028 | records offset u64 | size of the file u64 | segment id u64
//	0x040 | table id u64 | created ns i64 | pid u32, numa node i32
//	0x058 | wake modes u32 (1 futex, 2 eventfd: set before the ring is handed
//	      |   out, if the lease has one) | features u32
//	0x060 | relay, 32 bytes | 0x080 strategy, 64 | 0x0c0 name, 64
//	0x100 | 128 bytes kept for constants; nothing above changes after creation
//	0x180 | state u32 (1 open, 2 closed, 3 broken), venue u32 | epoch i64
//	0x190 | heartbeat ns i64 | start gen u64 | start pos u64
//	0x1a8 | topic count u32 | 20 bytes kept
//	0x1c0 | uncounted u32: 1 if there are topics without an entry | 60 bytes kept
//	0x200 | counters u64 × 16: starts, lost events, lost records, overruns,
//	      |   upstream gaps, snapshots, snapshot levels, wakes, 8 kept
//	0x280 | head u64, alone on 128 bytes
//	0x300 | intent u64, alone on 128 bytes (broadcast only) | 128 bytes kept
//	0x400 | topics × 64 bytes: instrument u32, channel u32, number u64, lost
//	      |   events u64, lost records u64, overruns u64, gaps u64,
//	      |   snapshots u64, 8 bytes kept
//	      | records × 64 bytes, from the next multiple of 4,096 on
//
// NAME.ctl, 4,096 bytes, is written by the consumer, so the producer trusts
// nothing in it:
//
//	0x000 | magic " TICKCTL" | version u32, 4 kept | segment id u64
//	0x080 | tail u64, alone on 128 bytes
//	0x100 | sleeper u32, the futex word: 1 while asleep | wake mode u32: how the
//	      |   consumer waits: 0 futex, 1 eventfd, 2 spin, 3 yield
//	0x180 | attach gen u64 | pid u32, 4 kept | heartbeat ns i64 | sleeps u64
//	0x1a8 | kept
//
// A broadcast ring has format 3, no tail, and a NAME.ctl of 16,384 bytes with a
// table of its readers, 124 entries of 128 bytes from 0x200 on: pid u32, in use
// u32 (heap), position u64, records missed u64, laps u64, heartbeat ns i64, kept.
//
// head and tail count records since creation and never wrap; the slot of a
// record is its position modulo the capacity. A reader refuses another version,
// another format, and any of the low 16 feature bits that it does not know.
package ring
