package nettune

import "sync/atomic"

// Kernel is the transport over the Linux kernel's own sockets: epoll, raw
// descriptors, nothing of Go's network poller. Safe for concurrent use.
type Kernel struct {
	dials, dialErrors, accepts                                 atomic.Uint64
	fastOpenAsked, fastOpenRefused, fastOpenCookie, acceptErrs atomic.Uint64
	noPwait2                                                   atomic.Bool // epoll_pwait2 is missing
}

// Counters are totals since the transport was made.
type Counters struct {
	Dials        uint64 // Dial calls that created a socket
	DialErrors   uint64 // of these, the ones that never connected
	Accepts      uint64 // streams accepted
	AcceptErrors uint64 // accepts refused for want of descriptors or memory
	// FastOpenAsked dials wanted Fast Open; FastOpenRefused of them fell back to
	// a plain handshake because the kernel refused the option (sysctl
	// net.ipv4.tcp_fastopen without bit 1); FastOpenCookie of them knew the
	// peer's cookie and sent their first bytes in the SYN.
	FastOpenAsked, FastOpenRefused, FastOpenCookie uint64
}

// KernelTransport returns the transport over the kernel's sockets.
func KernelTransport() *Kernel { return &Kernel{} }

var _ Transport = (*Kernel)(nil)

// Name returns "kernel".
func (k *Kernel) Name() string { return "kernel" }

// Counters returns the totals; any goroutine may call it.
func (k *Kernel) Counters() Counters {
	return Counters{
		Dials: k.dials.Load(), DialErrors: k.dialErrors.Load(),
		Accepts: k.accepts.Load(), AcceptErrors: k.acceptErrs.Load(),
		FastOpenAsked: k.fastOpenAsked.Load(), FastOpenRefused: k.fastOpenRefused.Load(),
		FastOpenCookie: k.fastOpenCookie.Load(),
	}
}

// NewPoller returns a poller over epoll. It holds two descriptors, or one when
// busy.
func (k *Kernel) NewPoller(cfg PollerConfig) (Poller, error) {
	p, err := newKernelPoller(k, cfg)
	if err != nil {
		return nil, err
	}
	return Layered(p), nil
}
