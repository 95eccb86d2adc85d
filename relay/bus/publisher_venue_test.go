package bus

import (
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// TestAnotherVenueIsNotPublished: a ring that begins to carry another venue's
// records must not show them under this venue's name.
func TestAnotherVenueIsNotPublished(t *testing.T) {
	table := newTable(t, 0)
	var ids []uint32
	for _, v := range []md.Venue{md.VenueBinance, md.VenueOKX} {
		id, err := table.Add(md.Instrument{Venue: v, Symbol: testSymbol})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	c, err := ring.OpenConsumer(ring.NewHeap(1024, ring.Meta{}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPublisher(PublisherConfig{Bus: Config{URL: drain(t), NoLease: true}, Venue: md.VenueBinance, Rings: ring.NewPoller(c), Table: table.View()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	defer p.ctl.Close()
	defer p.data.Close()
	p.lead(time.Now())
	r := md.Record{Venue: md.VenueOKX, Instrument: ids[1], Kind: md.KindTrade, Side: md.SideBuy, Flags: md.FlagFirst | md.FlagLast, Price: 1, Size: 1, Seq: 1}
	p.take(&r)
	if len(p.topics) != 0 || len(p.dirty) != 0 {
		t.Fatalf("another venue's record was staged as %v", p.topics[0].topic)
	}
	if n := p.Stats().Foreign.Load(); n != 1 {
		t.Errorf("%d refused records counted", n)
	}
	r.Venue, r.Instrument = md.VenueBinance, ids[0]
	p.take(&r)
	if len(p.topics) != 1 || len(p.dirty) != 1 {
		t.Fatalf("%d topics, %d staged: the venue's own record was not taken", len(p.topics), len(p.dirty))
	}
}
