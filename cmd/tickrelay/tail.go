package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// tailPrinter prints records as lines, or whole events as JSON.
type tailPrinter struct {
	o     tailOptions
	out   *bufio.Writer
	table *md.TableView
	topic map[md.Topic]*tailTopic
	lines int
	buf   []byte
}

// tailTopic is what the JSON form needs of a topic: the event under way and the
// number of the message before it.
type tailTopic struct {
	name  string
	event []md.Record
	prev  uint64
}

func newTailPrinter(o tailOptions, out io.Writer, table *md.TableView) *tailPrinter {
	return &tailPrinter{o: o, out: bufio.NewWriter(out), table: table, topic: map[md.Topic]*tailTopic{}}
}

// done reports whether the lines asked for were printed.
func (p *tailPrinter) done() bool { return p.o.count > 0 && p.lines >= p.o.count }

func (p *tailPrinter) print(recs []md.Record) {
	for i := range recs {
		if p.done() {
			return
		}
		r := &recs[i]
		key := md.Topic{Venue: r.Venue, Channel: r.Channel(), Symbol: "_"}
		if in, ok := p.table.Get(r.Instrument); ok {
			key.Symbol = in.Symbol
		}
		t := p.topic[key]
		if t == nil {
			t = &tailTopic{name: key.String()}
			p.topic[key] = t
		}
		if !p.o.json {
			p.line(md.AppendText(p.buf[:0], t.name, r))
			continue
		}
		if r.Kind.Control() {
			p.line(md.AppendJSON(p.buf[:0], t.name, 0, recs[i:i+1]))
			continue
		}
		t.event = append(t.event, *r)
		if eventEnds(t.event) {
			p.event(t)
		}
	}
}

// eventEnds reports whether the records are one whole message. A snapshot goes
// from its clear to its end, live updates between them included.
func eventEnds(event []md.Record) bool {
	first, last := &event[0], &event[len(event)-1]
	if last.Kind == md.KindGap {
		return true
	}
	if first.Kind == md.KindBook && first.Flags&md.FlagSnapshot != 0 {
		return last.Side == md.SideEnd || last.Flags&md.FlagLast != 0 && last.Flags&md.FlagSnapshot != 0 && last.Side != md.SideClear
	}
	return last.Flags&md.FlagLast != 0
}

func (p *tailPrinter) event(t *tailTopic) {
	for ev := t.event; len(ev) > 0 && !p.done(); {
		n := md.MessageLen(ev)
		p.line(md.AppendJSON(p.buf[:0], t.name, t.prev, ev[:n]))
		t.prev = ev[n-1].Seq
		ev = ev[n:]
	}
	t.event = t.event[:0]
}

func (p *tailPrinter) line(b []byte) {
	p.buf = b
	p.out.Write(b)
	p.out.WriteByte('\n')
	p.lines++
}

// tailLive attaches rings of its own to a running relay and prints what comes.
func tailLive(ctx context.Context, dir string, topics []string, o tailOptions, out io.Writer) error {
	info, err := readInfo(dir)
	if err != nil {
		return err
	}
	rings, err := ring.Attach(ctx, info.Socket, ring.AttachRequest{Strategy: fmt.Sprintf("tail-%d", os.Getpid()), Topics: topics})
	if err != nil {
		return err
	}
	defer rings.Close()
	stop := context.AfterFunc(ctx, rings.Interrupt)
	defer stop()
	p := newTailPrinter(o, out, rings.Table())
	defer p.out.Flush()
	recs := make([]md.Record, 1024)
	for ctx.Err() == nil && !p.done() {
		n, err := rings.Poll(recs)
		p.print(recs[:n])
		if err != nil {
			if errors.Is(err, ring.ErrProducerGone) {
				return fmt.Errorf("the relay of %s has stopped", dir)
			}
			return err
		}
		if n == 0 {
			p.out.Flush()
			if _, err := rings.Wait(ring.WaitBlock, time.Second); err != nil && !errors.Is(err, ring.ErrProducerGone) {
				return err
			}
		}
	}
	return nil
}

// tailDead prints what a dead relay's ring still holds.
func tailDead(dir, name string, o tailOptions, out io.Writer) error {
	table, closeTable, err := ring.OpenTable(dir)
	if err != nil {
		return err
	}
	defer closeTable()
	recs, err := ring.Leftover(dir, name)
	if err != nil {
		return err
	}
	p := newTailPrinter(o, out, table)
	p.print(recs)
	return p.out.Flush()
}
