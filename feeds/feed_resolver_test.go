package feeds

import (
	"context"
	"net/netip"
	"sync"
)

func resolveTo(addrs []netip.Addr, err error) Resolver {
	return func(context.Context, string) ([]netip.Addr, error) { return addrs, err }
}

// switchResolver answers until it is told to fail.
type switchResolver struct {
	mu    sync.Mutex
	addrs []netip.Addr
	err   error
}

func (r *switchResolver) resolve(context.Context, string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	return r.addrs, nil
}

func (r *switchResolver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}
