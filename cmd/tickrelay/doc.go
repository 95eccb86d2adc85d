// Command tickrelay is the relay, its tools and its benchmarks in one binary.
//
// It is wiring only: flags and the configuration file become Config structs,
// the packages do the work, and the exit code says how it went: 0 done,
// 1 failed, 2 wrong usage; tune adds codes for what it found. Results go to stdout, logs to stderr.
//
//	demo ──┐   feeds/sim (simulated exchanges)
//	run  ──┼─▶ relayd: ring.Dir + md.Table
//	       │     feeds.Feed  × feeds  (one hot loop each)
//	       │     ring.Segment × feed and consumer
//	       │     relay.Gateway (one ring per feed, as any strategy)
//	       └     ring control socket (attach)
//	check · normalize · replay · ring ls|stat|tail · bench ring|decode · tune
//
// Goroutines: one per feed, the gateway's own, the control socket's, and in
// the demo those of the simulated exchanges and of the example strategy.
package main
