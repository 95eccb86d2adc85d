package record

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"tickrelay/ring/md"
)

// Query selects events of a recording.
type Query struct {
	// Topics are patterns as NATS subjects; none selects everything.
	Topics []string
	// From and To bound Event.Time, ns since 1970 UTC: From ≤ Time < To. To 0: no end.
	From, To int64
	// Damaged, if not nil, is told of each file that cannot be read, and Scan goes on
	// without what that file holds. nil: Scan ends with the first such error.
	Damaged func(err error)
}

// Scan calls f with every event of the recording in dir that q selects, in order of
// Event.Time; of one topic in the order in which they were recorded, each once. It reads
// what is finished and what a recorder is writing at this moment, and may run beside
// one. It ends at the end of what was written when it came by, with f's first error, or
// when ctx ends.
//
// State before From is not included. Each hour begins with the state of its topics (a
// key frame), and so does each start of the recorder: who needs the state at a time
// scans from KeyFrame of that time and discards what is before.
//
// Memory is bounded: per venue and channel selected, one chunk of rows, or one row group
// where receive times went backwards.
func Scan(ctx context.Context, dir string, q Query, f func(e Event) error) error {
	if q.To == 0 {
		q.To = math.MaxInt64
	}
	pats, err := q.patterns()
	if err != nil {
		return err
	}
	streams, err := listStreams(dir)
	if err != nil {
		return fmt.Errorf("record: scan: %w", err)
	}
	var h cursorHeap
	defer func() {
		for _, c := range h {
			c.close()
		}
	}()
	for _, s := range streams {
		c, err := newCursor(dir, s, q, pats)
		if err == nil && c != nil {
			err = c.next()
		}
		if errors.Is(err, io.EOF) {
			c.close()
			continue
		}
		if err != nil {
			return err
		}
		if c != nil {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	for n := 0; len(h) > 0; n++ {
		if n%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f(h[0].event); err != nil {
			return err
		}
		switch err := h[0].next(); {
		case err == nil:
			heap.Fix(&h, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&h).(*cursor).close()
		default:
			return err
		}
	}
	return nil
}

// KeyFrame is the time from which a Scan has the state at time t: the start of its hour.
func KeyFrame(t int64) int64 { return hourOf(t) }

func (q *Query) patterns() ([]md.Pattern, error) {
	topics := q.Topics
	if len(topics) == 0 {
		topics = []string{">"}
	}
	var out []md.Pattern
	for _, t := range topics {
		p, err := md.ParsePattern(t)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// cursorHeap is the merge of streams by time.
type cursorHeap []*cursor

func (h cursorHeap) Len() int { return len(h) }
func (h cursorHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.event.Time, b.event.Time), cmp.Compare(a.s.venue, b.s.venue), cmp.Compare(a.s.channel, b.s.channel)) < 0
}
func (h cursorHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *cursorHeap) Push(x any) { *h = append(*h, x.(*cursor)) }

// Pop implements heap.Interface.
func (h *cursorHeap) Pop() any {
	n := len(*h) - 1
	c := (*h)[n]
	*h = (*h)[:n]
	return c
}

// cursor reads the events of one stream.
type cursor struct {
	dir   string
	s     stream
	q     Query
	want  func(symbol string) bool
	hours []int64 // still to be read
	now   *hourFiles
	asm   *assembler
	at    int // file of now
	group int // row group of it to be read next
	rd    *groupReader
	c     rows
	row   int
	event Event
}

// newCursor is nil if no topic of the stream can be selected.
func newCursor(root string, s stream, q Query, pats []md.Pattern) (*cursor, error) {
	if !slices.ContainsFunc(pats, s.has) {
		return nil, nil
	}
	c := &cursor{dir: s.dir(root), s: s, q: q}
	c.want = func(symbol string) bool {
		t := md.Topic{Venue: s.venue, Channel: s.channel, Symbol: symbol}
		return slices.ContainsFunc(pats, func(p md.Pattern) bool { return p.MatchTopic(t) })
	}
	files, err := listFiles(c.dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.hour+hourNs > q.From && f.hour < q.To && (len(c.hours) == 0 || c.hours[len(c.hours)-1] != f.hour) {
			c.hours = append(c.hours, f.hour)
		}
	}
	return c, nil
}

// next makes event the next one; io.EOF at the end.
func (c *cursor) next() error {
	for {
		if c.row == c.c.len() {
			c.c.drop(c.row)
			c.row = 0
			if err := c.more(); err != nil {
				return err
			}
		}
		if c.asm.last >= c.c.arrival[c.row] {
			c.row++ // in a file that another one has replaced meanwhile
			continue
		}
		n, want, more := c.asm.next(&c.c, c.row, &c.event)
		if more {
			c.c.drop(c.row)
			c.row = 0
			if err := c.fill(); errors.Is(err, io.EOF) {
				c.asm.final = true
			} else if err != nil {
				return err
			}
			continue
		}
		c.row += n
		c.asm.last = c.c.arrival[c.row-1]
		if !want || c.event.Time < c.q.From {
			continue
		}
		if c.event.Time >= c.q.To {
			return io.EOF
		}
		return nil
	}
}

// more reads rows, of the next hour if this one is over; io.EOF if there are none.
func (c *cursor) more() error {
	for {
		err := c.fill()
		if !errors.Is(err, io.EOF) {
			return err
		}
		if err := c.nextHour(); err != nil {
			return err
		}
	}
}

func (c *cursor) nextHour() error {
	if c.now != nil {
		c.now.close()
		c.now = nil
	}
	if len(c.hours) == 0 {
		return io.EOF
	}
	hour := c.hours[0]
	c.hours = c.hours[1:]
	var err error
	if c.now, err = openHour(c.dir, hour); err != nil {
		return err
	}
	for _, bad := range c.now.bad {
		if err := c.pass(bad); err != nil {
			return err
		}
	}
	c.asm = newAssembler(c.s, hour, c.want)
	c.at, c.group = 0, 0
	return nil
}

// pass returns the error of a file, or tells it.
func (c *cursor) pass(err error) error {
	if c.q.Damaged == nil {
		return err
	}
	c.q.Damaged(err)
	return nil
}

// fill appends rows of the present hour; io.EOF if there are none left.
func (c *cursor) fill() error {
	for c.now != nil && c.at < len(c.now.files) {
		f := c.now.files[c.at]
		var err error
		if f.file != nil {
			err = c.fillFile(f)
		} else {
			err = c.c.fillFrom(f.journal, c.asm)
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, io.EOF) {
			if err := c.pass(err); err != nil {
				return err
			}
			c.c.reset() // the beginning of an event whose end is damaged
			c.row = 0
		}
		if c.rd != nil {
			c.rd.close()
			c.rd = nil
		}
		c.at, c.group = c.at+1, 0
	}
	return io.EOF
}

// fillFile appends rows of a finished file.
func (c *cursor) fillFile(f *hourFile) error {
	if c.group == 0 && c.rd == nil {
		for _, in := range f.file.meta.instruments {
			c.asm.learn(in)
		}
	}
	for {
		if c.rd != nil {
			var err error
			if err = c.rd.next(&c.c); !errors.Is(err, io.EOF) {
				return err
			}
			c.rd.close()
			c.rd = nil
		}
		if c.group == len(f.file.pq.RowGroups()) {
			return io.EOF
		}
		group := c.group
		c.group++
		_, to, known := f.file.bounds(colTsRecv, group)
		if known && to < c.q.From && c.asm.clock < c.q.From || !f.hasRecords(c.want) {
			if known {
				c.asm.advance(to)
			}
			continue
		}
		ordered, err := f.file.inOrder(group)
		if err != nil {
			return err
		}
		rd := f.file.readGroup(group, c.asm.symbols)
		if ordered {
			c.rd = rd
			continue
		}
		err = rd.readAll(&c.c)
		rd.close()
		return err
	}
}

func (c *cursor) close() {
	if c.rd != nil {
		c.rd.close()
		c.rd = nil
	}
	if c.now != nil {
		c.now.close()
		c.now = nil
	}
}
