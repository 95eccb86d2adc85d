package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReloadSplit: a feed added to the process with the feeds reaches the clients of
// the gateway in the other one, and the feed that was there misses nothing.
func TestReloadSplit(t *testing.T) {
	okx := simulated(t, "okx", 300)
	s := newSplit(t, "")
	socket := s.feeds.line("socket ")
	gw := s.gateway()
	gw.line("websocket ")
	stop := make(chan struct{})
	first, second := newChain(t, s.listen, "binance.trades.*"), newChain(t, s.listen, "okx.trades.*")
	second.gaps = true
	done := make(chan struct{}, 2)
	for _, c := range []*chain{first, second} {
		go func() { c.read(stop); done <- struct{}{} }()
	}
	first.begun(t)
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(text), "rings:", fmt.Sprintf("  - {venue: okx, url: %q, rest: %q, instruments: [BTC-USDT], channels: [trades]}\nrings:", okx.URL(), okx.REST()), 1)
	if err := os.WriteFile(s.config, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := tickrelay(t, "reload", "--socket", socket); code != 0 || !strings.Contains(out, "feed okx: added") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	second.begun(t)
	first.await(t, first.count()+10)
	close(stop)
	first.conn.Close()
	second.conn.Close()
	<-done
	<-done
	for _, w := range append(first.wrong, second.wrong...) {
		t.Error(w)
	}
	m := metricsOf(t, s.listen)
	if m["tickrelay_hub_rings"] != "2" || m["tickrelay_hub_rings_lost_total"] != "0" {
		t.Errorf("rings %s, lost %s", m["tickrelay_hub_rings"], m["tickrelay_hub_rings_lost_total"])
	}
}
