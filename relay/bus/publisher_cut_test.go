package bus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickrelay/ring/md"
)

// TestCutEvents: a full read ends in the middle of an event. No key-frame shows the
// half of it, and a leader that begins there does not send the other half alone.
func TestCutEvents(t *testing.T) {
	srv := natsOne(t, nil)
	src := newSource(t, 0, 1<<10)
	nc, err := nats.Connect(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	in, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	p, err := NewPublisher(PublisherConfig{Bus: Config{URL: srv.URL(), NoLease: true}, Venue: md.VenueBinance, Rings: src.rings, Table: src.table.View()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	defer p.ctl.Close()
	defer p.data.Close()
	eventually(t, "connected", p.data.IsConnected)
	seq := uint64(0)
	half := func(side uint8) { // one record of a quote of two, and the end of a read
		r := md.Record{Venue: md.VenueBinance, Instrument: src.instr, PriceExp: -2, SizeExp: -3, Price: 100_00, Kind: md.KindBBO, Side: side, Flags: md.FlagFirst}
		if side == md.SideAsk {
			r.Flags = md.FlagLast
		}
		r.Size = int64(seq/2) + 1
		seq++
		r.Seq = seq
		p.take(&r)
		p.flush()
	}
	frames := func(waiting int) {
		t.Helper()
		p.asked = append(p.asked, request{From: "gw", Topics: []string{"bbo." + testSymbol}})
		p.answer(time.Now())
		before := p.stats.KeyFrames.Load()
		if p.sendFrames(keyFrameBudget) || p.frames.len() != waiting || (p.stats.KeyFrames.Load() == before) != (waiting > 0) {
			t.Fatalf("%d key-frames sent, %d wait, want %d to wait", p.stats.KeyFrames.Load()-before, p.frames.len(), waiting)
		}
	}
	half(md.SideBid)
	half(md.SideAsk)
	half(md.SideBid)
	p.lead(time.Now()) // in the middle of an event
	frames(1)          // one to all, which the gateway gets too
	half(md.SideAsk)
	frames(0)
	half(md.SideBid)
	frames(1)
	half(md.SideAsk)
	frames(0)
	if err := p.data.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("end", nil); err != nil {
		t.Fatal(err)
	}
	const whole = "binance.bbo." + testSymbol
	live := map[int64]int{}
	for {
		m, err := in.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == "end" {
			break
		}
		if !strings.HasSuffix(m.Subject, whole) {
			continue
		}
		recs := make([]md.Record, len(m.Data)/md.RecordSize)
		copy(md.AsBytes(recs), m.Data)
		if m.Subject == whole {
			for _, r := range recs[1:] {
				live[r.Size]++
			}
			continue
		}
		if len(recs) != 3 || recs[1].Size != recs[2].Size {
			t.Errorf("%s is the state in the middle of an event: %s", m.Subject, fmt.Sprint(recs))
		}
	}
	if len(live) != 1 {
		t.Errorf("events %v on the bus", live)
	}
	for size, n := range live {
		if n != 2 {
			t.Errorf("event %d was sent with %d of 2 records", size, n)
		}
	}
}
