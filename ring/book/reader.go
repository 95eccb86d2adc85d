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

// heartbeat starts afresh in a new epoch, whose numbers begin again; that of
// the topic tells its present number.
func (r *Reader) heartbeat(rec *md.Record) {
	ch := md.Channel(rec.Side)
	if ch != md.ChannelBook && ch != md.ChannelAll {
		return
	}
	if rec.ID != r.Epoch {
		r.Book.Clear()
		*r = Reader{Book: r.Book, Epoch: rec.ID}
	}
	if ch != md.ChannelBook || rec.Seq <= r.Seq {
		return
	}
	r.Seq = rec.Seq
	if r.State == Live || r.State == Building {
		r.fail(md.GapSequence) // the topic went on without us
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

// level sets one level, if it can be held.
func (r *Reader) level(rec *md.Record) {
	if rec.Price == md.Absent || rec.Size < 0 || !r.fit(rec) {
		r.fail(md.GapRange)
		return
	}
	b := &r.Book
	price, _ := md.Rescale(rec.Price, rec.PriceExp, b.PriceExp)
	size, _ := md.Rescale(rec.Size, rec.SizeExp, b.SizeExp)
	b.Set(rec.Side, Level{Price: price, Size: size, Count: rec.Count})
}

// fit finds exponents that hold the book's levels and rec exactly. A producer
// changes exponents only with a clear; this is for records from anywhere else.
func (r *Reader) fit(rec *md.Record) bool {
	b := &r.Book
	if rec.PriceExp == b.PriceExp && rec.SizeExp == b.SizeExp {
		return true
	}
	if b.Empty() {
		b.PriceExp, b.SizeExp = rec.PriceExp, rec.SizeExp
		return true
	}
	return r.fits(rec) ||
		b.Rescale(min(rec.PriceExp, b.PriceExp), min(rec.SizeExp, b.SizeExp)) && r.fits(rec) ||
		b.Rescale(rec.PriceExp, rec.SizeExp)
}

// fits reports whether rec is exact at the book's present exponents.
func (r *Reader) fits(rec *md.Record) bool {
	_, ok1 := md.Rescale(rec.Price, rec.PriceExp, r.Book.PriceExp)
	_, ok2 := md.Rescale(rec.Size, rec.SizeExp, r.Book.SizeExp)
	return ok1 && ok2
}
