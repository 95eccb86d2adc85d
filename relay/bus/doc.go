// Package bus carries records from the hosts that have feeds to the hosts that
// have gateways, over NATS, under one epoch and one numbering everywhere.
//
// It guarantees: a slow or dead NATS never slows a feed (the Publisher is a ring
// consumer: what it cannot take becomes a gap record); of several hosts with
// the same venue one leads, and no two hold a valid lease at a time; records of
// a lower epoch than the one seen are dropped; per topic every number arrives
// in order and once, or a gap record names the missing interval and, where the
// channel has a state, a key-frame brings it back.
//
// It does not guarantee delivery: NATS core subjects are at most once. Order
// holds within a topic, not between topics.
//
//	feed ═ring═▶ Publisher ──<venue>.<channel>.<symbol>──▶ Subscriber ═rings═▶ gateway
//	               ▲  │ heartbeat + records, back to back        │            strategies
//	             Lease│                                          │
//	           (KV)   └──▶ JetStream stream ──history, at start──▶│
//
//	_tickrelay.instruments.<venue>        entries of the instrument table, JSON
//	_tickrelay.heartbeats.<venue>         each second: the epoch and the numbers of topics, JSON
//	_tickrelay.keyframes.<to>.<topic>     a topic's state; to is a gateway's id, or all
//	_tickrelay.resync.<venue>             what a gateway asks for, JSON
//
// docs/bus.md has the messages, and what happens when something dies.
//
// Goroutines: Publisher.Run and Subscriber.Run are one each and start the lease's
// one; those of the NATS client beside them.
package bus
