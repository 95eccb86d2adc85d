// Package sim is the exchange side for tests, demonstrations and replays.
package sim
