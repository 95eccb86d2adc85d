package ring

import "tickrelay/ring/md"

// tracker knows the last number of every topic that a stream told of, so that
// what ends or is skipped can be named. A topic's heartbeat comes before all
// else of it, so only heartbeats make the tables grow.
type tracker struct {
	last  []uint64   // by instrument and channel: number + 1, 0: never told
	venue []md.Venue // by instrument
	topic []topicKey // in order of their first heartbeat
}

const channelBits = 4

// The channels fit their bits.
var _ [1<<channelBits - md.NumChannels]byte

// maxTracked bounds the tables against instrument ids that make no sense.
const maxTracked = 1 << 24

func trackIndex(instrument uint32, ch uint8) uint64 {
	return uint64(instrument)<<channelBits | uint64(ch&(1<<channelBits-1))
}

// see takes records as they are read.
func (t *tracker) see(recs []md.Record) {
	for i := range recs {
		r := &recs[i]
		if r.Kind.Control() {
			if r.Kind == md.KindHeartbeat && r.Side != uint8(md.ChannelAll) {
				t.told(r)
			}
			continue
		}
		if k := trackIndex(r.Instrument, uint8(r.Channel())); k < uint64(len(t.last)) {
			t.last[k] = r.Seq + 1
		}
	}
}

// told takes a topic's heartbeat.
func (t *tracker) told(r *md.Record) {
	if r.Instrument >= maxTracked {
		return
	}
	k := trackIndex(r.Instrument, r.Side)
	for uint64(len(t.last)) <= k {
		t.last = append(t.last, make([]uint64, max(1<<channelBits, len(t.last)))...)
	}
	for len(t.venue) <= int(r.Instrument) {
		t.venue = append(t.venue, 0)
	}
	if t.last[k] == 0 {
		t.topic = append(t.topic, topicKey{r.Instrument, md.Channel(r.Side)})
	}
	t.venue[r.Instrument] = r.Venue
	t.last[k] = r.Seq + 1
}

// number is the last number of the topic that a record belongs to; false if the
// topic was never told.
func (t *tracker) number(instrument uint32, ch uint8) (uint64, bool) {
	k := trackIndex(instrument, ch)
	if k >= uint64(len(t.last)) || t.last[k] == 0 {
		return 0, false
	}
	return t.last[k] - 1, true
}

// gaps appends a gap of unknown size for every topic told so far, and forgets
// them: the stream has ended.
func (t *tracker) gaps(dst []md.Record, now int64) []md.Record {
	for _, key := range t.topic {
		n, _ := t.number(key.instrument, uint8(key.channel))
		dst = append(dst, md.Record{
			Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: t.venue[key.instrument], Instrument: key.instrument,
			Seq: n + 1, ID: n + 1, TsRecv: now, Side: uint8(key.channel), Level: uint8(md.GapDisconnect), Count: md.UnknownMissing,
		})
	}
	t.forget()
	return dst
}

// forget forgets every topic.
func (t *tracker) forget() {
	clear(t.last)
	t.topic = t.topic[:0]
}
