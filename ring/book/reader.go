package book

import "tickrelay/ring/md"

// State says what a Reader's book is worth.
type State uint8

// States of a Reader.
const (
	Empty    State = iota // nothing received yet
	Building              // a snapshot is under way: levels are missing, those present are right
	Live                  // complete and current as of Seq
	Broken                // records are missing: nothing is right until the next snapshot
)

// String is the state's name in lower case.
func (s State) String() string {
	switch s {
	case Empty:
		return "empty"
	case Building:
		return "building"
	case Live:
		return "live"
	case Broken:
		return "broken"
	}
	return "unknown"
}

// Reader rebuilds one book topic from its records, in the order of the ring.
// The zero Reader is Empty. It checks that the numbers chain, so a loss that
// no gap record told of breaks the book too. Not safe for concurrent use.
type Reader struct {
	Book  Book
	State State
	// Reason is why the book is Broken; GapSequence if the reader itself found a
	// number missing, GapRange if a level fits no common exponent.
	Reason md.GapReason
	Seq    uint64 // number of the last record applied or lost
	Epoch  uint64 // of the last heartbeat, 0 if none came
	// Times of the last book record, ns since 1970 UTC; see md.Record.
	TsRecv, TsEvent int64

	delivery bool // inside a conflated delivery: its records share one number
}

// Apply takes the topic's next record. Records of other kinds than book, gap
// and heartbeat, and gaps and heartbeats of other channels, are ignored; the
// caller selects venue and instrument.
func (r *Reader) Apply(rec *md.Record) {
	switch rec.Kind {
	case md.KindBook:
		if rec.Flags&md.FlagSnapshot != 0 {
			r.snapshot(rec)
		} else {
			r.live(rec)
		}
	case md.KindGap:
		if md.Channel(rec.Side) == md.ChannelBook {
			r.Seq = max(r.Seq, rec.Seq)
			r.fail(md.GapReason(rec.Level))
		}
	case md.KindHeartbeat:
		r.heartbeat(rec)
	}
}

// heartbeat starts afresh in a new epoch, whose numbers begin again.
func (r *Reader) heartbeat(rec *md.Record) {
	ch := md.Channel(rec.Side)
	if ch != md.ChannelBook && ch != md.ChannelAll {
		return
	}
	if rec.ID != r.Epoch {
		r.Book.Clear()
		*r = Reader{Book: r.Book, Epoch: rec.ID}
	}
	if ch == md.ChannelBook && r.State == Empty {
		r.Seq = max(r.Seq, rec.Seq)
	}
}

func (r *Reader) fail(reason md.GapReason) {
	r.Book.Clear()
	r.State, r.Reason, r.delivery = Broken, reason, false
}

// snapshot takes a clear, a level or an end; they carry the topic's current
// number and take none.
func (r *Reader) snapshot(rec *md.Record) {
	if rec.Side == md.SideClear {
		r.Book.Clear()
		r.State, r.Reason, r.delivery = Building, 0, false
		r.Seq = rec.Seq
	}
	if r.State != Building {
		return // the tail of a snapshot whose clear was not seen, or that was lost
	}
	r.TsRecv, r.TsEvent = rec.TsRecv, rec.TsEvent
	switch rec.Side {
	case md.SideBid, md.SideAsk:
		r.level(rec)
	case md.SideEnd:
		r.State = Live
	}
}

// live takes a numbered update.
func (r *Reader) live(rec *md.Record) {
	if rec.Flags&md.FlagConflated != 0 {
		r.delivery = true
	}
	switch {
	case r.delivery && rec.Seq >= r.Seq:
	case rec.Seq <= r.Seq:
		return // a duplicate
	case rec.Seq != r.Seq+1 && (r.State == Live || r.State == Building):
		r.fail(md.GapSequence)
	}
	r.Seq = rec.Seq
	if r.delivery && rec.Flags&md.FlagLast != 0 {
		r.delivery = false
	}
	if r.State != Live && r.State != Building {
		return
	}
	r.TsRecv, r.TsEvent = rec.TsRecv, rec.TsEvent
	r.level(rec)
}

// level sets one level at the book's exponents; the first one decides them, a
// later one that does not fit there moves the book if that is exact.
func (r *Reader) level(rec *md.Record) {
	b := &r.Book
	if rec.PriceExp != b.PriceExp || rec.SizeExp != b.SizeExp {
		if b.Empty() {
			b.PriceExp, b.SizeExp = rec.PriceExp, rec.SizeExp
		} else if !b.Rescale(min(rec.PriceExp, b.PriceExp), min(rec.SizeExp, b.SizeExp)) {
			r.fail(md.GapRange)
			return
		}
	}
	price, ok1 := md.Rescale(rec.Price, rec.PriceExp, b.PriceExp)
	size, ok2 := md.Rescale(rec.Size, rec.SizeExp, b.SizeExp)
	if !ok1 || !ok2 {
		r.fail(md.GapRange)
		return
	}
	b.Set(rec.Side, Level{Price: price, Size: size, Count: rec.Count})
}
