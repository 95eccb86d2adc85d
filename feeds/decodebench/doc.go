// Package decodebench measures how fast the venues' decoders and the book are,
// side by side with general JSON parsers that fill the same records.
//
// It guarantees: every contender reads the same frames in the same process, in
// rounds that take turns, so that what disturbs the machine disturbs all; the
// records of the baselines are compared with ours before anything is timed.
//
// It does not measure sockets, rings or the network, and its frames are decoded
// from a warm cache: a live feed also waits for memory.
//
//	frames (built in, or captures) ─┬─ venue's decoder           ─┐
//	                                ├─ fastjson + decimals       ─┼─ medians → Row
//	                                └─ encoding/json + decimals  ─┘
//	                                   (three venues)
//	levels ─── ring/book Set ────────── ns per level
//
// A family of venues costs one file, which venues.go names: its channels, a
// frame of each and how fastjson fills the records from it.
//
// valyala/fastjson stands for the general parsers. Tried once each on a Binance
// depth frame with all values filled, it was level with bytedance/sonic and
// ahead of goccy/go-json and buger/jsonparser. minio/simdjson-go was timed for
// its parse alone, without reading the values from its tape: 0.6 of fastjson's
// time with them.
//
// The package starts no goroutine.
package decodebench
