package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/feeds/sim"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// wanderer is a client of the binary protocol that goes to the other gateway
// whenever its connection ends, and resumes there. It believes nothing: each number
// of an epoch comes once, what is missing is in a gap.
type wanderer struct {
	gateways []string

	mu     sync.Mutex
	topics map[string]*wandered
	count  wandererCount
	wrong  error

	byKey map[uint32]string // symbol by instrument, of this connection
}

// wandered is one topic of a client.
type wandered struct {
	epoch uint64
	seq   uint64            // where we stand
	most  map[uint64]uint64 // the highest number seen in each epoch
	book  book.Reader
}

// wandererCount is what clients saw.
type wandererCount struct{ records, gaps, lost, epochs, sessions int }

func (c *wandererCount) add(o *wandererCount) {
	c.records += o.records
	c.gaps += o.gaps
	c.lost += o.lost
	c.epochs += o.epochs
	c.sessions += o.sessions
}

// wanderers starts n clients, spread over the gateways; they end with the test.
func wanderers(t *testing.T, n int, gateways []string) []*wanderer {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	var out []*wanderer
	for i := range n {
		w := &wanderer{gateways: gateways, topics: map[string]*wandered{}}
		out = append(out, w)
		wg.Go(func() {
			for at := i; ctx.Err() == nil; at++ {
				w.session(ctx, gateways[at%len(gateways)])
				pauseFor(ctx, 50*time.Millisecond)
			}
		})
	}
	return out
}

func (w *wanderer) session(ctx context.Context, addr string) {
	d := ws.Dialer{Timeout: 5 * time.Second, Protocols: []string{"tickrelay.v1.binary"}}
	conn, br, _, err := d.Dial(ctx, "ws://"+addr+"/ws")
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	w.byKey = map[uint32]string{}
	if err := wsutil.WriteClientText(conn, w.request()); err != nil {
		return
	}
	var r io.Reader = conn
	if br != nil {
		r = io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn)
	}
	in := bufio.NewReaderSize(r, 16<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(60 * time.Second))
		h, err := ws.ReadHeader(in)
		if err != nil {
			return
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(in, p); err != nil {
			return
		}
		w.mu.Lock()
		switch h.OpCode {
		case ws.OpText:
			err = w.text(p)
		case ws.OpBinary:
			err = w.records(p)
		case ws.OpPing:
			_ = ws.WriteFrame(conn, ws.MaskFrame(ws.NewPongFrame(p)))
		case ws.OpClose:
			err = io.EOF
		}
		if err != nil && err != io.EOF && w.wrong == nil {
			w.wrong = fmt.Errorf("%s: %w", addr, err)
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

const wandersIn = `["binance.trades.*","binance.book.*","binance.bbo.*"]`

// request subscribes, or resumes where the client stands.
func (w *wanderer) request() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count.sessions++
	if len(w.topics) < 6 {
		w.topics = map[string]*wandered{}
		return []byte(`{"op":"subscribe","id":1,"topics":` + wandersIn + `}`)
	}
	at := map[string]place{}
	for name, t := range w.topics {
		at[name] = place{Epoch: fmt.Sprint(t.epoch), Seq: t.seq}
	}
	text, _ := json.Marshal(at)
	return []byte(`{"op":"resume","id":1,"topics":` + string(text) + `}`)
}

func (w *wanderer) text(p []byte) error {
	var m struct {
		Op, Code, Message string
		Topics            map[string]struct {
			Epoch uint64 `json:"epoch,string"`
			Seq   uint64 `json:"seq"`
		}
		Instruments []struct {
			ID     uint32
			Symbol string
		}
	}
	if err := json.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	if m.Op == "error" {
		return fmt.Errorf("%s: %s", m.Code, m.Message)
	}
	for _, in := range m.Instruments {
		w.byKey[in.ID] = in.Symbol
	}
	for name, at := range m.Topics {
		t := w.topics[name]
		if t == nil {
			t = &wandered{most: map[uint64]uint64{}}
			w.topics[name] = t
			t.epoch, t.seq = at.Epoch, at.Seq
		}
		if t.epoch != at.Epoch {
			if at.Epoch < t.epoch {
				return fmt.Errorf("%s: epoch %d after %d", name, at.Epoch, t.epoch)
			}
			w.count.epochs++
			t.epoch, t.seq, t.book = at.Epoch, at.Seq, book.Reader{}
		}
	}
	return nil
}

// records takes one binary message: one event, or several after a resumption.
func (w *wanderer) records(p []byte) error {
	b := make([]md.Record, len(p)/md.RecordSize)
	copy(md.AsBytes(b), p)
	merged := len(b) > 0 && b[0].Flags&md.FlagConflated != 0
	for i := range b {
		r := &b[i]
		if r.Kind.Control() {
			continue // the text frames say the same
		}
		symbol, ok := w.byKey[r.Instrument]
		if !ok {
			return fmt.Errorf("a %s of an instrument %d that was not told", r.Kind, r.Instrument)
		}
		name := md.Topic{Venue: r.Venue, Channel: r.Channel(), Symbol: symbol}.String()
		t := w.topics[name]
		if t == nil {
			return fmt.Errorf("a %s of %s, which was not told", r.Kind, name)
		}
		if err := w.record(t, r, merged); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (w *wanderer) record(t *wandered, r *md.Record, merged bool) error {
	was := t.book.State
	if r.Channel() == md.ChannelBook {
		t.book.Apply(r)
	}
	switch {
	case r.Kind == md.KindGap:
		w.count.gaps++
		if r.ID > t.seq+1 && r.Flags&md.FlagSnapshot == 0 {
			return fmt.Errorf("a gap %d to %d after %d", r.ID, r.Seq, t.seq)
		}
		w.count.lost += int(max(t.seq, r.Seq) - t.seq)
		t.seq = max(t.seq, r.Seq)
	case r.Flags&md.FlagSnapshot != 0 || merged:
		// What flowed while a book was being built is part of its snapshot.
		if r.Seq > t.seq && !merged && (r.Channel() != md.ChannelBook || was == book.Live) {
			return fmt.Errorf("a snapshot at %d after %d, without a gap", r.Seq, t.seq)
		}
		t.seq = max(t.seq, r.Seq)
		t.most[t.epoch] = max(t.most[t.epoch], r.Seq)
	default:
		w.count.records++
		if r.Seq <= t.most[t.epoch] {
			return fmt.Errorf("number %d of epoch %d again, after %d", r.Seq, t.epoch, t.most[t.epoch])
		}
		if r.Seq != t.seq+1 && t.seq >= t.most[t.epoch] {
			return fmt.Errorf("%s number %d after %d", r.Kind, r.Seq, t.seq)
		}
		t.seq = r.Seq
		t.most[t.epoch] = r.Seq
	}
	return nil
}

// whole reports whether all books are complete.
func (w *wanderer) whole() bool {
	books := 0
	for _, t := range w.topics {
		if t.book.State == book.Live {
			books++
		}
	}
	return books == 2
}

// equals reports whether all books are the exchange's.
func (w *wanderer) equals(books map[string]sim.Book) bool {
	for name, b := range books {
		t := w.topics[name]
		if t == nil || t.book.State != book.Live || !sameLevels(&t.book.Book, &t.book.Book.Bids, b.Bids, b.PriceExp, b.SizeExp) ||
			!sameLevels(&t.book.Book, &t.book.Book.Asks, b.Asks, b.PriceExp, b.SizeExp) {
			return false
		}
	}
	return true
}
