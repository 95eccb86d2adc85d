// Package proxy writes configurations of nginx and haproxy for a relay's gateway, and
// reads existing ones to find what will cut or delay a WebSocket.
//
//	Config ──▶ Nginx, HAProxy ──▶ a complete configuration, with its reasons as comments
//	  ▲                                                │
//	  └── the gateway's ping interval ──┐              ▼ (or somebody's own)
//	                                    ├──▶ Check ──▶ Report: file:line, severity,
//	  nginx.conf, its includes ─────────┤                      why, fix
//	  haproxy.cfg, one or several ──────┘
//
// A gateway pings a silent WebSocket. A proxy cuts what is silent for its time-out. So
// every time-out of the tunnel is held against the ping interval, and what is written
// here is a multiple of it.
//
// It guarantees: what it writes passes Check without a finding, and is accepted by
// nginx 1.22 and haproxy 2.6 (the tests ask those on the host). No value of Config can
// end a statement and begin another. Check judges what is in force at the place that
// carries the WebSocket: inheritance from http, server and location (a block with one
// proxy_set_header inherits none), from defaults to frontend, backend and listen, maps
// and set variables, the location that nginx picks for the path, includes with
// patterns. No input panics or runs for ever.
//
// It does not: validate a configuration (nginx -t and haproxy -c do), connect to
// anything, evaluate rewrites, Lua, njs, conditions of haproxy's rules or preprocessor,
// or regular expressions that Go's syntax lacks; a value that cannot be known from the
// text is a warning where it matters.
//
// It starts no goroutine.
package proxy
