package dpdkbridge

import (
	"context"
	"net"
	"net/netip"

	"tickrelay/nettune"
)

// Bridge is an open port with its TCP stacks. It is safe for concurrent use.
type Bridge interface {
	// Transport returns the stack over queue pair i modulo their number: give
	// each hot loop one of its own. Its pollers must be closed before the
	// Bridge is.
	Transport(i int) nettune.Transport
	// DialContext connects to addr ("host:port") over network "tcp", "tcp4" or
	// "tcp6"; names are looked up through the same stack.
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen listens on a local address ("host:port"; port 0 chooses one).
	Listen(network, addr string) (net.Listener, error)
	// LookupNetIP resolves host by the configured name servers, and the host's
	// own file of names.
	LookupNetIP(ctx context.Context, host string) ([]netip.Addr, error)
	// Info describes the port as it is now.
	Info() Info
	// Counters are the port's extended statistics and the stacks' own.
	Counters() []Counter
	// Close ends every connection and gives the device back. Idempotent.
	Close() error
}

// Info describes an open port.
type Info struct {
	Device     string
	Driver     string // DPDK's name of it
	MAC        net.HardwareAddr
	NUMANode   int // -1 unknown
	Queues     int
	MTU        int
	LinkUp     bool
	SpeedMbps  uint32 // 0 unknown
	RxChecksum bool   // received checksums are checked by the device, or trusted
	TxChecksum bool   // sent ones are made by it
	PoolFree   int    // percent of the frame buffers
}

// Counter is one of the port's totals.
type Counter struct {
	Name  string // as the driver names it; those of the stacks begin with "stack_"
	Value uint64
}
