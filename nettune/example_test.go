package nettune_test

import (
	"errors"
	"fmt"
	"net/netip"

	"tickrelay/nettune"
)

// A loop that serves and dials: what one poller reports, in order.
func Example() {
	p, err := nettune.KernelTransport().NewPoller(nettune.PollerConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	ln, err := p.Listen(nettune.ListenOptions{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := p.Dial(nettune.DialOptions{Addr: ln.Addr()})
	if err != nil {
		fmt.Println(err)
		return
	}
	var events []nettune.Event
	for buf := make([]byte, 64); ; {
		events, err = p.Poll(events[:0], -1)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, ev := range events {
			switch {
			case ev.Flags&nettune.Accept != 0:
				for { // to the end of the queue
					if _, err := ln.Accept(); errors.Is(err, nettune.ErrWouldBlock) {
						break
					}
				}
			case ev.Flags&nettune.Connected != 0:
				_, _ = client.Write([]byte("tick"))
			case ev.Flags&nettune.Readable != 0:
				n, _, _ := ev.Stream.Read(buf)
				fmt.Printf("%s, no delay: %v\n", buf[:n], ev.Stream.Granted().NoDelay)
				return
			}
		}
	}
	// Output: tick, no delay: true
}
