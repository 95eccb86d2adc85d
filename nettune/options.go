package nettune

import "time"

// Options are socket options, asked for and, from Granted, in force. A
// transport grants what it can; nothing asked is an error if refused. The zero
// Options, as a whole, stand for DefaultOptions.
type Options struct {
	// NoDelay sends small writes at once (TCP_NODELAY, tcp(7)).
	NoDelay bool
	// FastOpen carries data in the SYN (RFC 7413). For a dialled stream the
	// first Write then opens the connection if a cookie is known.
	FastOpen bool
	// QuickAck acknowledges at once rather than delayed. The stack may leave
	// this mode by itself later (tcp(7)).
	QuickAck bool
	// Timestamps asks for receive times taken by the stack.
	Timestamps bool
	// BusyPoll lets the stack poll the device queue for this long before it
	// sleeps; microsecond steps, 0 off. Usually needs privilege.
	BusyPoll time.Duration
	// RcvBuf and SndBuf are buffer sizes in bytes, 0 leaves them to the stack.
	// Granted shows the stack's own accounting, on Linux twice what was asked.
	RcvBuf, SndBuf int
	// Unsent is how many bytes may wait in the stack's buffer that were not sent once
	// (TCP_NOTSENT_LOWAT), 0 leaves it to the stack: what waits there can neither be
	// conflated nor taken back.
	Unsent int
	// UserTimeout ends the connection when sent data stays unacknowledged for
	// this long (RFC 5482), millisecond steps; 0 the stack's default.
	UserTimeout time.Duration
	// KeepAlive is the idle time before the first probe, whole seconds, 0 off.
	// KeepAliveInterval lies between probes (0: as KeepAlive), KeepAliveCount
	// unanswered ones end the connection (0: the stack's default).
	KeepAlive, KeepAliveInterval time.Duration
	KeepAliveCount               int
}

// DefaultOptions is what a market-data connection wants: no delay, Fast Open,
// dead peers noticed within about half a minute, at most 128 KiB unsent.
func DefaultOptions() Options {
	return Options{
		NoDelay:           true,
		FastOpen:          true,
		Unsent:            128 << 10,
		UserTimeout:       30 * time.Second,
		KeepAlive:         15 * time.Second,
		KeepAliveInterval: 5 * time.Second,
		KeepAliveCount:    3,
	}
}

// withDefaults returns o, or DefaultOptions for the zero value.
func (o Options) withDefaults() Options {
	if o == (Options{}) {
		return DefaultOptions()
	}
	return o
}
