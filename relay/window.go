package relay

import (
	"slices"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// window is the best depth levels of each side as the readers of a stream hold
// them, best first.
type window struct {
	bids, asks []book.Level
	next       []book.Level // scratch
}

// set makes the window what the book shows now.
func (w *window) set(b *book.Book, depth int) {
	w.bids = copySide(w.bids[:0], &b.Bids, depth)
	w.asks = copySide(w.asks[:0], &b.Asks, depth)
}

func copySide(dst []book.Level, s *book.Side, depth int) []book.Level {
	for i := range min(s.Len(), depth) {
		dst = append(dst, *s.At(i))
	}
	return dst
}

// diff makes the window what the book shows now and appends the levels that
// differ: a level that left the window has size 0, one that entered its size.
func (w *window) diff(dst []md.Record, r *book.Reader, depth int) []md.Record {
	b := &r.Book
	like := md.Record{Kind: md.KindBook, TsEvent: r.TsEvent, TsRecv: r.TsRecv,
		PriceExp: b.PriceExp, SizeExp: b.SizeExp}
	w.next = copySide(w.next[:0], &b.Bids, depth)
	like.Side = md.SideBid
	dst = diffSide(dst, like, w.bids, w.next, -1)
	w.bids, w.next = w.next, w.bids
	w.next = copySide(w.next[:0], &b.Asks, depth)
	like.Side = md.SideAsk
	dst = diffSide(dst, like, w.asks, w.next, 1)
	w.asks, w.next = w.next, w.asks
	return dst
}

// diffSide walks two sides at once, both best first; rising is 1 where the best
// price is the lowest.
func diffSide(dst []md.Record, like md.Record, old, now []book.Level, rising int64) []md.Record {
	emit := func(l book.Level) {
		r := like
		r.Price, r.Size, r.Count = l.Price, l.Size, l.Count
		dst = append(dst, r)
	}
	i, j := 0, 0
	for i < len(old) || j < len(now) {
		switch {
		case j == len(now) || i < len(old) && rising*old[i].Price < rising*now[j].Price:
			emit(book.Level{Price: old[i].Price})
			i++
		case i == len(old) || rising*old[i].Price > rising*now[j].Price:
			emit(now[j])
			j++
		default:
			if old[i].Size != now[j].Size || old[i].Count != now[j].Count {
				emit(now[j])
			}
			i++
			j++
		}
	}
	return dst
}

// merge keeps the last record of each book level, side and statistic, in an order
// that depends on the records alone.
func merge(recs []md.Record) []md.Record {
	slices.SortStableFunc(recs, compareKey)
	out := recs[:0]
	for i := range recs {
		if n := len(out); n > 0 && compareKey(out[n-1], recs[i]) == 0 {
			flags := out[n-1].Flags & md.FlagRecovered
			out[n-1] = recs[i]
			out[n-1].Flags |= flags
			continue
		}
		out = append(out, recs[i])
	}
	return out
}

func compareKey(a, b md.Record) int {
	if d := statOrder(&a) - statOrder(&b); d != 0 {
		return d
	}
	if a.Kind != md.KindBook {
		return 0
	}
	return md.Cmp(a.Price, a.PriceExp, b.Price, b.PriceExp)
}
