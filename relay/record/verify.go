package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"tickrelay/ring/md"
)

// Checked is what Verify found: of the whole recording, and of each channel.
type Checked struct {
	Counts
	Channels []ChannelCounts // in order of venue and channel
	Problems []string
}

// ChannelCounts are those of one venue's channel.
type ChannelCounts struct {
	Venue   md.Venue
	Channel md.Channel
	Counts
}

// Counts says what rows a recording has.
type Counts struct {
	Hours      int
	Rows       int64  // read, those in journals included
	Heartbeats int64  // of them: a topic's number where an epoch, a session or an hour begins
	State      int64  // of them: told again, flagged snapshot
	Gaps       uint64 // of them: gap records
	Missing    uint64 // numbers that gaps name; those of unknown size are not counted
	Unknown    uint64 // gaps of unknown size
}

// take counts a record.
func (c *Counts) take(r *md.Record) {
	c.Rows++
	switch {
	case r.Kind == md.KindHeartbeat:
		c.Heartbeats++
	case r.Flags&md.FlagSnapshot != 0:
		c.State++
	case r.Kind == md.KindGap && r.Count == md.UnknownMissing:
		c.Gaps++
		c.Unknown++
	case r.Kind == md.KindGap:
		c.Gaps++
		c.Missing += r.Seq - r.ID + 1
	}
}

func (c *Counts) add(o Counts) {
	c.Hours += o.Hours
	c.Rows += o.Rows
	c.Heartbeats += o.Heartbeats
	c.State += o.State
	c.Gaps += o.Gaps
	c.Missing += o.Missing
	c.Unknown += o.Unknown
}

// maxProblems bounds the list of them.
const maxProblems = 100

func (c *Checked) problem(format string, args ...any) {
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify reads a whole recording and compares what can be compared: every file opens
// and decodes (pages carry checksums), every record of an hour is there once, in order of
// receive time, decimals equal mantissa and exponent, and the numbers of each topic chain,
// or a gap says which are missing. What cannot be read is a problem and keeps it from
// nothing else. progress is as for Compact. It returns an error only if it could not look.
func Verify(ctx context.Context, dir string, progress func(done, total int64)) (*Checked, error) {
	hours, err := list(dir)
	if hours == nil {
		return nil, err
	}
	out := &Checked{}
	if err != nil {
		out.problem("%v", err)
	}
	for _, path := range listAside(dir) {
		out.problem("%s: set aside because it could not be read; what it held is not in the recording", path)
	}
	total := int64(0)
	for _, h := range hours {
		total += h.Rows + h.Open
	}
	topics := chains{}
	for i := range hours {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		h := &hours[i]
		if i == 0 || hours[i-1].dir != h.dir {
			topics.judge(out)
			topics = chains{}
			out.Channels = append(out.Channels, ChannelCounts{Venue: h.Venue, Channel: h.Channel})
		}
		n := Counts{Hours: 1}
		if err := out.hour(h, &n, topics); err != nil {
			out.problem("%s.%s: %v", h.Venue, h.Channel, err)
		}
		out.add(n)
		out.Channels[len(out.Channels)-1].add(n)
		if progress != nil {
			progress(min(out.Rows, total), total)
		}
	}
	topics.judge(out)
	return out, nil
}

func (c *Checked) hour(h *Hour, n *Counts, topics chains) error {
	files, err := openHour(h.dir, h.Start)
	if err != nil {
		return err
	}
	defer files.close()
	next := int64(0) // -1: nobody knows
	broken := func(errs ...error) {
		for _, err := range errs {
			c.problem("%v", err)
		}
		if len(files.bad)+len(errs) > 0 {
			topics.forget()
			next = -1
		}
	}
	for _, bad := range files.bad {
		broken(bad)
	}
	defer broken()
	a := newAssembler(stream{h.Venue, h.Channel}, h.Start, func(string) bool { return true })
	take := func(name string, r *rows) {
		for i := range r.recs {
			if r.arrival[i] != next && next >= 0 {
				c.problem("%s: record %d follows %d", name, r.arrival[i], next-1)
			}
			next = r.arrival[i] + 1
			n.take(&r.recs[i])
			topics.take(name, a.topic(r.syms[i]).topic.String(), &r.recs[i], r.epoch[i])
		}
	}
	for _, f := range files.files {
		broken() // nobody knows between which files the bad ones were
		name := f.name.String()
		if f.file == nil {
			var err error
			for err == nil {
				var part rows
				if err = part.fillFrom(f.journal, a); err == nil {
					take(name, &part)
				}
			}
			if !errors.Is(err, io.EOF) {
				broken(fmt.Errorf("%s: %w", filepath.Join(h.dir, name), err))
			}
			continue
		}
		name = f.file.path
		for g := range f.file.pq.RowGroups() {
			var group rows
			rd := f.file.readGroup(g, a.symbols)
			err := rd.readAll(&group)
			rd.close()
			if err != nil {
				broken(err)
				continue
			}
			take(name, &group)
			if err := guarded(func() error { return c.decimals(f.file, g) }); err != nil {
				c.problem("%v", err)
			}
		}
	}
	return nil
}

// decimals compares the DECIMAL columns of a row group with mantissa and exponent, and
// the order of receive times.
func (c *Checked) decimals(f *file, group int) error {
	chunks := f.pq.RowGroups()[group].ColumnChunks()
	cols := [...]int{colPrice, colPriceMantissa, colPriceExp, colSize, colSizeMantissa, colSizeExp, colTsRecv}
	var readers [len(cols)]parquet.ColumnChunkValueReader
	var values [len(cols)][256]parquet.Value
	for i, col := range cols {
		readers[i] = parquet.NewColumnChunkValueReader(chunks[f.cols[col]])
		defer readers[i].Close()
	}
	last := int64(-1 << 63)
	for left := f.pq.RowGroups()[group].NumRows(); left > 0; {
		n := int(min(left, 256))
		left -= int64(n)
		for i := range cols {
			if err := readFull(readers[i], values[i][:n]); err != nil {
				return fmt.Errorf("%s: column %s: %w", f.path, columns()[cols[i]].name, err)
			}
		}
		for i := range n {
			for side := 0; side < 6; side += 3 {
				if !sameDecimal(values[side][i], values[side+1][i], values[side+2][i]) {
					c.problem("%s: a %s differs from its mantissa and exponent", f.path, columns()[cols[side]].name)
				}
			}
			if ts := values[6][i].Int64(); ts < last {
				c.problem("%s: rows are not in order of receive time", f.path)
			} else {
				last = ts
			}
		}
	}
	return nil
}

func sameDecimal(decimal, mantissa, exp parquet.Value) bool {
	var want [decimalSize]byte
	if mantissa.IsNull() || !putDecimal(want[:], mantissa.Int64(), int8(exp.Int32())) {
		return decimal.IsNull()
	}
	return !decimal.IsNull() && string(decimal.ByteArray()) == string(want[:])
}
