//go:build dpdk

package dpdkbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// LookupNetIP asks the configured name servers over TCP, which they have to
// answer (RFC 7766); names of the host's own file need no server.
func (b *bridge) LookupNetIP(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := b.askServers(ctx, host)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range addrs { // only what the stack has an address for
		for _, p := range b.cfg.Addresses {
			if p.Addr().Is4() == a.Unmap().Is4() {
				out = append(out, a.Unmap())
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("dpdkbridge: %s has no address of a family that the stack has", host)
	}
	return out, nil
}

// askServers asks one server after the other, beginning with the one that
// answered last: one that is down, or takes the connection and says nothing,
// has its share of the time and no more.
func (b *bridge) askServers(ctx context.Context, host string) ([]netip.Addr, error) {
	n := len(b.cfg.DNS)
	if n == 0 {
		none := errors.New("dpdkbridge: no name server is configured (dns)")
		return b.ask(ctx, host, func(context.Context) (net.Conn, error) { return nil, none })
	}
	first := int(b.answered.Load())
	var errs []error
	for i := range n {
		at := (first + i) % n
		server := netip.AddrPortFrom(b.cfg.DNS[at], 53)
		one, cancel := ctx, context.CancelFunc(func() {})
		if i < n-1 {
			one, cancel = context.WithTimeout(ctx, share(ctx, b.cfg.patience, n-i))
		}
		addrs, err := b.ask(one, host, func(ctx context.Context) (net.Conn, error) { return b.dialAddr(ctx, server) })
		cancel()
		var no *net.DNSError
		if err == nil || errors.As(err, &no) && no.IsNotFound {
			b.answered.Store(int32(at))
			return addrs, err
		}
		errs = append(errs, fmt.Errorf("name server %v: %w", server.Addr(), err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// share is the part of ctx's time that the first of so many servers gets, most at
// most.
func share(ctx context.Context, most time.Duration, servers int) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return min(most, time.Until(at)/time.Duration(servers))
	}
	return most
}

// ask looks host up over connections that dial makes.
func (b *bridge) ask(ctx context.Context, host string, dial func(context.Context) (net.Conn, error)) ([]netip.Addr, error) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	return r.LookupNetIP(ctx, "ip", host)
}
