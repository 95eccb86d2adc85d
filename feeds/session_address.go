package feeds

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// maxCPUs bounds Config.CPU: the size of the kernel's default CPU mask.
const maxCPUs = 1024

func systemClock() Clock {
	base := time.Now()
	return func() (wall, mono int64) {
		now := time.Now()
		return now.UnixNano(), int64(now.Sub(base))
	}
}

func systemResolver(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
