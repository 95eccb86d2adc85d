package soak

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// What may be planted: one wrong thing in one part of a soak, which must be found. It
// shows that the soak can fail, and at what.
const (
	plantPrice     = "wrong-price"      // strategy beta gets one price that no exchange sent
	plantLevel     = "wrong-level"      // one level of one of its books keeps a size that is over
	plantLost      = "lost-record"      // one trade does not reach it, and no gap says so
	plantSide      = "wrong-side"       // one trade is told as bought that was sold, or the reverse
	plantSilent    = "silent-topic"     // nothing reaches it of one topic of trades any more
	plantFD        = "leaked-fd"        // the feeds forget a descriptor every leakEvery
	plantMemory    = "leaked-memory"    // likewise 1 MiB
	plantGoroutine = "leaked-goroutine" // likewise a goroutine
)

// leakEvery is the pace of what is leaked.
const leakEvery = 5 * time.Second

// Plants lists what may be planted.
func Plants() []string {
	return []string{plantPrice, plantLevel, plantLost, plantSide, plantSilent, plantFD, plantMemory, plantGoroutine}
}

func validPlant(name string) error {
	if name == "" || slices.Contains(Plants(), name) {
		return nil
	}
	return fmt.Errorf("soak: plant %q: want one of %s", name, strings.Join(Plants(), " "))
}

// plantAfter is how many records a reader gets before it is given the wrong one.
const plantAfter = 20_000

// planter spoils what one reader gets, before it is judged.
type planter struct {
	kind  string
	s     *stream
	after int
	done  bool

	silent topicKey    // with plantSilent
	topic  *topicState // the book with the wrong level, and which one that is
	side   uint8
	price  md.Decimal
	size   int64
}

func newPlanter(kind string, s *stream) *planter {
	return &planter{kind: kind, s: s, after: plantAfter}
}

// spoil changes a record, or says that it is to be left out.
func (p *planter) spoil(r *md.Record) (drop bool) {
	if p.after > 0 {
		p.after--
		return false
	}
	live := r.Flags&md.FlagSnapshot == 0
	switch p.kind {
	case plantPrice:
		if !p.done && live && r.Kind == md.KindBook && r.Size > 0 {
			r.Price, p.done = r.Price+1, true
		}
	case plantLost:
		if whole := md.FlagFirst | md.FlagLast; !p.done && live && r.Kind == md.KindTrade && r.Flags&whole == whole {
			p.done = true
			return true
		}
	case plantSide:
		if !p.done && live && r.Kind == md.KindTrade && r.Side != md.SideUnknown {
			r.Side, p.done = md.SideBuy+md.SideSell-r.Side, true
		}
	case plantSilent:
		if !p.done && live && r.Kind == md.KindTrade {
			p.silent, p.done = topicKey{r.Instrument, md.ChannelTrades}, true
		}
		return p.done && p.silent == topicKey{r.Instrument, r.Channel()} && (r.Kind != md.KindHeartbeat || md.Channel(r.Side) != md.ChannelAll)
	case plantLevel:
		if live && r.Kind == md.KindBook {
			p.level(r)
		}
	}
	return false
}

// level keeps the size of one level as it is, from its first change on.
func (p *planter) level(r *md.Record) {
	t := p.s.topics[topicKey{r.Instrument, md.ChannelBook}]
	price := md.Decimal{Mant: r.Price, Exp: r.PriceExp}
	switch {
	case t == nil || r.Side != md.SideBid && r.Side != md.SideAsk:
	case p.topic == nil:
		side := &t.book.Book.Bids
		if r.Side == md.SideAsk {
			side = &t.book.Book.Asks
		}
		for i := 5; i < side.Len() && r.Size > 0; i++ {
			lv := side.At(i)
			if md.Cmp(lv.Price, t.book.Book.PriceExp, r.Price, r.PriceExp) == 0 && lv.Size != r.Size {
				p.topic, p.side, p.price, p.size = t, r.Side, price, lv.Size
				r.Size = lv.Size
				return
			}
		}
	case t == p.topic && r.Side == p.side && md.Cmp(price.Mant, price.Exp, p.price.Mant, p.price.Exp) == 0:
		r.Size = p.size
	}
}

// Leak forgets what is planted in the feeds' process, until ctx ends.
func Leak(ctx context.Context, kind string) error {
	if err := validPlant(kind); err != nil {
		return err
	}
	var kept [][]byte
	tick := time.NewTicker(leakEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch kind {
		case plantFD:
			if _, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				return err
			}
		case plantMemory:
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1 // so that it is resident
			}
			kept = append(kept, b)
		case plantGoroutine:
			go func() { <-ctx.Done() }()
		}
		_ = kept
	}
}
