package bus

import (
	"bytes"
	"testing"
	"unsafe"

	"tickrelay/ring/md"
)

var wireTopic = md.Topic{Venue: md.VenueBinance, Channel: md.ChannelTrades, Symbol: testSymbol}

// message is a message of n trades from number seq on.
func message(seq uint64, n int) []byte {
	recs := []md.Record{header(wireTopic, 1763842100123456789, seq-1, 1763842100123456790)}
	for i := range n {
		recs = append(recs, md.Record{TsRecv: 1763842100123456789, Venue: md.VenueBinance, Instrument: 3, Seq: seq + uint64(i), ID: 7,
			Kind: md.KindTrade, Side: md.SideBuy, Flags: md.FlagFirst | md.FlagLast, Price: 100_00, Size: 5, PriceExp: -2, SizeExp: -3})
	}
	return bytes.Clone(md.AsBytes(recs))
}

// FuzzDecodeBatch: whatever comes from the network is refused, or is a header and
// valid records of the topic, byte for byte those that came.
func FuzzDecodeBatch(f *testing.F) {
	one := message(42, 1)
	for _, seed := range [][]byte{nil, one, message(1, 3), message(1, 0), one[:len(one)-1], one[md.RecordSize:],
		append(bytes.Clone(one), one...), make([]byte, 2*md.RecordSize)} {
		f.Add(seed, uint8(md.ChannelTrades))
		f.Add(seed, uint8(md.ChannelBook))
	}
	var scratch []md.Record
	f.Fuzz(func(t *testing.T, data []byte, channel uint8) {
		topic := wireTopic
		topic.Channel = md.Channel(channel % md.NumChannels)
		before := bytes.Clone(data)
		b, grown, err := decodeBatch(data, topic, scratch)
		scratch = grown
		if !bytes.Equal(before, data) {
			t.Fatal("the message was written to")
		}
		if err != nil {
			if len(b.recs) > 0 {
				t.Fatalf("refused (%v), and %d records of it are there", err, len(b.recs))
			}
			return
		}
		if len(data) != (1+len(b.recs))*md.RecordSize || b.epoch <= 0 {
			t.Fatalf("%d bytes make %d records of epoch %d", len(data), len(b.recs), b.epoch)
		}
		if len(b.recs) > 0 && !bytes.Equal(md.AsBytes(b.recs), data[md.RecordSize:]) {
			t.Fatal("the records are not those of the message")
		}
		for i := range b.recs {
			r := &b.recs[i]
			if err := r.Valid(); err != nil || r.Venue != topic.Venue || r.Channel() != topic.Channel || r.Kind.Control() {
				t.Fatalf("record %d is a %s of %v: %v", i, r.Kind, r.Venue, err)
			}
		}
	})
}

func TestDecodeBatch(t *testing.T) {
	b, scratch, err := decodeBatch(message(42, 3), wireTopic, nil)
	if err != nil || b.prev != 41 || len(b.recs) != 3 || b.recs[2].Seq != 44 {
		t.Fatalf("%+v, %v", b, err)
	}
	seq := message(42, 1)
	clear(seq[md.RecordSize+int(unsafe.Offsetof(md.Record{}.Seq)):][:8]) // a live record without a number
	for name, data := range map[string][]byte{"empty": nil, "cut": message(1, 1)[:100], "no header": message(1, 2)[md.RecordSize:], "no number": seq} {
		if _, _, err := decodeBatch(data, wireTopic, scratch); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	other := wireTopic
	other.Channel = md.ChannelBook
	if _, _, err := decodeBatch(message(1, 1), other, scratch); err == nil {
		t.Error("trades were taken for a book")
	}
}
