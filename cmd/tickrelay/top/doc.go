// Package top is the live terminal view of a relay: what is wrong first, then
// latency by stage, feeds, lines, rings and clients.
//
// A Source gives one relay.Overview at a time. History makes rates, percentiles
// and troubles of the last minute's; they are read off counters, so that a sample
// that is missed makes them coarser and never wrong. Frame draws them as lines of
// text, with or without colours, whatever the terminal; Model is the interactive
// program around it.
package top
