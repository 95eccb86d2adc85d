package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"fanoutpeers/ticks"

	"github.com/centrifugal/centrifuge"
)

const channel = "trades"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge peer:", err)
		os.Exit(1)
	}
}

func run() error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	if err := node.Run(); err != nil {
		return err
	}
	l, err := ticks.Listen(os.Args[1:])
	if err != nil {
		return err
	}
	h := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		// No ping of its own: the benchmark's clients do not speak the protocol.
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: -1 * time.Second},
	})
	go func() { _ = http.Serve(l, h) }()
	return ticks.Serve(func(message []byte) {
		if _, err := node.Publish(channel, message); err != nil {
			fmt.Fprintln(os.Stderr, "centrifuge peer:", err)
		}
	})
}
