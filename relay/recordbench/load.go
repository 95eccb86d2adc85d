package recordbench

import (
	"io"
	"math/rand/v2"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// batch is how many records a poll gives, as a busy ring would.
const batch = 4096

// load is a source of n records: events of one to four book updates around a touch that
// moves. Its records are made before the clock starts and are given again and again, with
// numbers and times that go on.
type load struct {
	table *md.Table
	recs  []md.Record
	left  int
	at    int
	seq   [3]uint64
	shift int64
	begun bool
}

const instruments = 3

func newLoad(n int, start int64) (*load, error) {
	l := &load{left: n}
	var err error
	if l.table, err = md.CreateTable(make([]byte, md.TableSize(instruments)), instruments, 1); err != nil {
		return nil, err
	}
	for _, s := range []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"} {
		if _, err := l.table.Add(md.Instrument{Venue: md.VenueBinance, Symbol: s, PriceExp: -2, SizeExp: -5}); err != nil {
			return nil, err
		}
	}
	r := rand.New(rand.NewPCG(7, 7))
	middle := [instruments]int64{6412345, 312345, 14812}
	t, price := start, middle
	for len(l.recs) < 1<<18 {
		t += r.Int64N(40_000)
		id := r.IntN(instruments)
		price[id] += r.Int64N(5) - 2 + (middle[id]-price[id])/100 // it comes back, so that books do not grow for ever
		k := 1 + r.IntN(4)
		for i := range k {
			side := 1 + uint8(r.IntN(2))
			rec := md.Record{Kind: md.KindBook, Venue: md.VenueBinance, Instrument: uint32(id), TsEvent: t - 1_500_000 - r.Int64N(1e6), TsRecv: t,
				Price: price[id] + int64(r.ExpFloat64()*30)*(2*int64(side)-3), Size: r.Int64N(1_000_000) * r.Int64N(2), Side: side, PriceExp: -2, SizeExp: -5,
				ID: uint64(len(l.recs))}
			if i == 0 {
				rec.Flags |= md.FlagFirst
			}
			if i == k-1 {
				rec.Flags |= md.FlagLast
			}
			l.recs = append(l.recs, rec)
		}
	}
	l.shift = l.recs[len(l.recs)-1].TsRecv - start + 1
	return l, nil
}

// Poll implements record.Source.
func (l *load) Poll(dst []md.Record) (int, error) {
	if !l.begun {
		l.begun = true
		for id := range uint32(instruments) {
			dst[id] = md.Record{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Instrument: id,
				TsRecv: l.recs[0].TsRecv, ID: uint64(l.recs[0].TsRecv), Side: uint8(md.ChannelBook)}
		}
		return instruments, nil
	}
	if l.left <= 0 {
		return 0, io.EOF
	}
	n := copy(dst[:min(len(dst), batch)], l.recs[l.at:])
	for i := range dst[:n] {
		r := &dst[i]
		l.seq[r.Instrument]++
		r.Seq = l.seq[r.Instrument]
		// The next round is later, and its ids are higher.
		src := &l.recs[l.at+i]
		src.TsRecv += l.shift
		src.TsEvent += l.shift
		src.ID += uint64(len(l.recs))
	}
	if l.at += n; l.at == len(l.recs) {
		l.at = 0
	}
	l.left -= n
	return n, nil
}

// Wait implements record.Source.
func (l *load) Wait(ring.WaitMode, time.Duration) (bool, error) { return true, nil }

// Interrupt implements record.Source.
func (l *load) Interrupt() {}

// Table implements record.Source.
func (l *load) Table() *md.TableView { return l.table.View() }

// Session implements record.Source.
func (l *load) Session() int { return 1 }
