package ring

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"os"
	"testing"
	"unsafe"

	"tickrelay/ring/md"
)

var update = flag.Bool("update", false, "rewrite golden files")

// goldenSegment is a ring with fixed contents, as bytes of both parts.
func goldenSegment(t testing.TB) (data, ctl []byte) {
	data, ctl = alignedBytes(DataSize(64, 2)), alignedBytes(CtlSize)
	s, err := NewSegment(data, ctl, 64, Meta{Name: "golden", Strategy: "alpha", Relay: "relay", TableID: 0x1122334455667788, MaxTopics: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.hdr.createdNs, s.hdr.producerPID = 1_763_842_100_000_000_000, 4711
	s.hdr.segmentID, s.ctl.segmentID = 0x0102030405060708, 0x0102030405060708
	p := NewPublisher(PublisherConfig{Venue: md.VenueOKX, Epoch: testEpoch, Now: func() int64 { return testEpoch }})
	topic := p.AddTopic(7, md.ChannelTrades, nil)
	if _, err := p.Attach(s, nil); err != nil {
		t.Fatal(err)
	}
	c, err := OpenConsumer(s)
	if err != nil {
		t.Fatal(err)
	}
	p.Turn(testEpoch)
	p.Publish(topic, []md.Record{signed(1), signed(2)})
	p.Turn(testEpoch + 2e9)
	if _, err := c.Poll(make([]md.Record, 2)); err != nil {
		t.Fatal(err)
	}
	s.ctl.consumerPID, s.ctl.beatNs = 4712, 1_763_842_100_000_000_001
	return data, ctl
}

// TestGoldenBytes holds the layout: programs in other languages map these bytes.
func TestGoldenBytes(t *testing.T) {
	data, ctl := goldenSegment(t)
	got := []byte("data\n" + hex.Dump(bytes.TrimRight(data, "\x00")) + "ctl\n" + hex.Dump(bytes.TrimRight(ctl, "\x00")))
	const file = "testdata/segment-v1.hex"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the layout changed; a change needs a new version. Got\n%s", got)
	}
}

func TestCapacities(t *testing.T) {
	for asked, want := range map[int]int{-1: DefaultCapacity, 0: DefaultCapacity, 1: 64, 64: 64, 65: 128, 1000: 1024, 65536: 65536, MaxCapacity + 1: MaxCapacity} {
		if got := roundCapacity(asked); got != want {
			t.Errorf("capacity %d becomes %d, want %d", asked, got, want)
		}
	}
	if uintptr(unsafe.Pointer(&NewHeap(64, Meta{}).hdr.head))%128 != 0 {
		t.Error("head does not start a pair of cache lines")
	}
}

// FuzzOpenSegment gives hostile headers, with the fuzzer's words at the
// interesting places, to everything that reads them.
func FuzzOpenSegment(f *testing.F) {
	data, ctl := goldenSegment(f)
	size := len(data)
	f.Add(data[:headerSize], ctl[:512], uint16(0), uint64(0), uint16(0), uint64(0))
	f.Add(data[:headerSize], ctl[:512], uint16(0x18), uint64(1<<63), uint16(0x30), uint64(1<<40))
	f.Add(data[:headerSize], ctl[:512], uint16(0x280), uint64(1<<62), uint16(0), uint64(0))
	f.Add(data[:headerSize], ctl[:512], uint16(0x1a0), uint64(3), uint16(0x1a8), uint64(1<<32-1))
	f.Fuzz(func(t *testing.T, head, tail []byte, at1 uint16, v1 uint64, at2 uint16, v2 uint64) {
		data, ctl := alignedBytes(size), alignedBytes(CtlSize)
		copy(data, head)
		copy(ctl, tail)
		binary.LittleEndian.PutUint64(data[int(at1)%(size-8):], v1)
		binary.LittleEndian.PutUint64(data[int(at2)%(size-8):], v2)
		s, err := OpenSegment(data, ctl)
		if err != nil {
			return
		}
		s.Info()
		c, err := OpenConsumer(s)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]md.Record, 16)
		for range 8 {
			c.Poll(buf)
			c.Lend(3, func(r []md.Record) { _ = r[0].Seq })
			c.Wait(WaitBlock, 0)
			c.Depth()
			c.Lag(0)
		}
		c.Close()
		w, ts := rig(md.ChannelTrades)
		if _, err := w.pub.Attach(s, nil); err == nil {
			w.event(ts[0], 2)
			w.pub.Turn(w.tick())
		}
	})
}
