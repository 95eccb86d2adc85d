package wsconn_test

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/feeds/wsconn"
	"tickrelay/nettune"
)

// One loop, one connection: subscribe when it opens, print what comes, stop
// when the server says good-bye.
func Example() {
	addr, stop := exchange()
	defer stop()
	p, err := nettune.KernelTransport().NewPoller(nettune.PollerConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	stream, err := p.Dial(nettune.DialOptions{Addr: addr.AddrPort(), Options: nettune.DefaultOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := wsconn.New(stream, wsconn.Config{Host: addr.String(), Path: "/ws"})
	var events []nettune.Event
	for !c.Open() { // connect and upgrade
		events, _ = p.Poll(events[:0], time.Second)
		if err := c.Handshake(); err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
			fmt.Println(err)
			return
		}
	}
	_ = c.WriteText([]byte(`{"op":"subscribe"}`))
	for {
		_, payload, _, err := c.Read()
		switch {
		case err == nil:
			fmt.Printf("%s\n", payload)
		case errors.Is(err, nettune.ErrWouldBlock):
			events, _ = p.Poll(events[:0], time.Second)
			_ = c.Flush()
		default:
			fmt.Println(err)
			return
		}
	}
	// Output:
	// got {"op":"subscribe"}
	// wsconn: closed by peer: 1001 "maintenance"
}

// exchange answers one message and closes.
func exchange() (*net.TCPAddr, func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := ws.Upgrade(c); err != nil {
			return
		}
		p, _, _ := wsutil.ReadClientData(c)
		_ = wsutil.WriteServerText(c, append([]byte("got "), p...))
		_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "maintenance")))
		_, _ = c.Read(make([]byte, 64)) // its close frame
	}()
	return ln.Addr().(*net.TCPAddr), func() { _ = ln.Close() }
}
