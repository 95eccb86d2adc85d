package c_test

import (
	"strconv"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// TestManyTopics: when its relay ends, every topic of a ring gets a gap, those
// too that the ring's header has no room to count.
func TestManyTopics(t *testing.T) {
	bin := compile(t, "gcc", "test/many.c", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
	for _, topics := range []int{7, 8, 9, 3000} {
		dir := shmDir(t)
		seg, err := ring.CreateShm(dir, "r", 1024, ring.Meta{MaxTopics: 8}, ring.Perm{})
		if err != nil {
			t.Fatal(err)
		}
		pub := ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueOKX})
		for i := range topics {
			pub.AddTopic(uint32(i)+1, md.ChannelTrades, nil)
		}
		prod, err := pub.Attach(seg, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := start(t, nil, bin, dir, "r", strconv.Itoa(topics))
		told := make(chan bool, 1)
		go func() { told <- c.out.Scan() && c.out.Text() == "told" }()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			pub.Turn(time.Now().UnixNano())
			if len(told) > 0 || time.Now().After(deadline) {
				break
			}
		}
		if len(told) == 0 || !<-told {
			t.Fatalf("%d topics: never told, or %q", topics, c.out.Text())
		}
		pub.Detach(prod)
		if err := seg.Close(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(30*time.Second, func() { c.cmd.Process.Kill() })
		if !c.out.Scan() || c.out.Text() != "ok" {
			t.Errorf("%d topics: %q, want ok", topics, c.out.Text())
		}
		kill.Stop()
	}
}
