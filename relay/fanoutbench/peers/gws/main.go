package main

import (
	"fmt"
	"os"
	"sync"

	"fanoutpeers/ticks"

	"github.com/lxzan/gws"
)

// room holds the connections.
type room struct {
	gws.BuiltinEventHandler
	mu    sync.RWMutex
	conns map[*gws.Conn]struct{}
}

func (r *room) OnOpen(c *gws.Conn) {
	r.mu.Lock()
	r.conns[c] = struct{}{}
	r.mu.Unlock()
}

func (r *room) OnClose(c *gws.Conn, _ error) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
}

func (r *room) broadcast(message []byte) {
	b := gws.NewBroadcaster(gws.OpcodeText, message)
	r.mu.RLock()
	for c := range r.conns {
		_ = b.Broadcast(c) // one that has gone reports itself in OnClose
	}
	r.mu.RUnlock()
	_ = b.Close()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gws peer:", err)
		os.Exit(1)
	}
}

func run() error {
	r := &room{conns: map[*gws.Conn]struct{}{}}
	l, err := ticks.Listen(os.Args[1:])
	if err != nil {
		return err
	}
	s := gws.NewServer(r, &gws.ServerOption{})
	go func() { _ = s.RunListener(l) }()
	return ticks.Serve(r.broadcast)
}
