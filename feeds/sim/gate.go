package sim

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// gate is a listener whose socket can be away for a while, so that connecting
// is really refused, and come back on the same port.
type gate struct {
	mu     sync.Mutex
	ln     net.Listener  // nil while refusing
	back   chan struct{} // closed when ln is there again or the gate is closed
	addr   net.Addr
	closed bool
}

func openGate(ctx context.Context, address string) (*gate, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("sim: listen on %s: %w", address, err)
	}
	g := &gate{ln: ln, addr: ln.Addr(), back: make(chan struct{})}
	close(g.back)
	return g, nil
}

// Accept waits for a connection, across refusals.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		ln, back, closed := g.ln, g.back, g.closed
		g.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if ln == nil {
			<-back
			continue
		}
		conn, err := ln.Accept()
		if err == nil {
			return conn, nil
		}
		g.mu.Lock()
		gone := g.ln != ln
		g.mu.Unlock()
		if !gone {
			return nil, err
		}
	}
}

// Addr is the address, also while refusing.
func (g *gate) Addr() net.Addr { return g.addr }

// shut takes the socket away; false if it is away already.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ln == nil || g.closed {
		return false
	}
	ln := g.ln
	g.ln, g.back = nil, make(chan struct{})
	ln.Close()
	return true
}

// reopen listens again; another process may have taken the port meanwhile, so
// it tries for a while.
func (g *gate) reopen(done <-chan struct{}) error {
	for try := 0; ; try++ {
		ln, err := net.Listen("tcp", g.addr.String())
		if err != nil {
			if try == 50 || !(RealClock{}).Sleep(done, 20*time.Millisecond) {
				return fmt.Errorf("sim: listen on %s again: %w", g.addr, err)
			}
			continue
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.closed {
			ln.Close()
			return nil
		}
		g.ln = ln
		close(g.back)
		return nil
	}
}

// Close ends Accept.
func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	if g.ln == nil {
		close(g.back)
		return nil
	}
	return g.ln.Close()
}
