package record

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"tickrelay/ring/md"
)

// journalReader reads a journal, also one that is being written: it ends, with io.EOF,
// before the first block that is not whole.
type journalReader struct {
	head        journalHead
	r           io.Reader
	at          int64       // bytes of whole blocks read
	next        int64       // arrival of the next record
	words       []md.Record // memory of one block, aligned
	instruments map[uint32]md.Instrument
	fresh       []md.Instrument // entries read by the last call of block
}

// errNoJournal says that a journal's header was never written, or is damaged: nobody can
// say what its blocks belong to.
var errNoJournal = errors.New("no readable journal")

func newJournalReader(r io.Reader) (*journalReader, error) {
	j := &journalReader{r: r, instruments: map[uint32]md.Instrument{}}
	var head [journalHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: header: %w", errNoJournal, err)
	}
	var err error
	if j.head, err = parseJournalHead(head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoJournal, err)
	}
	j.at, j.next = journalHeader, j.head.first
	return j, nil
}

// block reads the next block of records, whose memory is good until the next call;
// instrument entries before it are in j.instruments by then. io.EOF at the end, or where
// a block is not whole or damaged: nothing after it can be trusted.
func (j *journalReader) block() (recs []md.Record, epoch int64, err error) {
	j.fresh = j.fresh[:0]
	for {
		var head [blockHeader]byte
		if _, err := io.ReadFull(j.r, head[:]); err != nil {
			return nil, 0, ended(err)
		}
		typ, n := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
		epoch = int64(binary.LittleEndian.Uint64(head[8:]))
		if n == 0 || n > maxBlock || n%8 != 0 || typ == blockRecords && n%md.RecordSize != 0 {
			return nil, 0, io.EOF
		}
		if need := int(n+md.RecordSize-1) / md.RecordSize; cap(j.words) < need {
			j.words = make([]md.Record, need)
		}
		recs = j.words[:cap(j.words)][:int(n+md.RecordSize-1)/md.RecordSize]
		payload := md.AsBytes(recs)[:n]
		if _, err := io.ReadFull(j.r, payload); err != nil {
			return nil, 0, ended(err)
		}
		if blockSum(head[:], payload) != binary.LittleEndian.Uint32(head[20:]) {
			return nil, 0, io.EOF
		}
		switch typ {
		case blockRecords:
			j.at += blockHeader + int64(n)
			j.next += int64(len(recs))
			return recs, epoch, nil
		case blockInstrument:
			var entry instrumentJSON
			if json.Unmarshal(payload, &entry) != nil {
				return nil, 0, io.EOF
			}
			in, err := entry.instrument()
			if err != nil {
				return nil, 0, io.EOF
			}
			j.instruments[in.ID] = in
			j.fresh = append(j.fresh, in)
			j.at += blockHeader + int64(n)
		default:
			return nil, 0, io.EOF
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// loaded is a whole journal in memory.
type loaded struct {
	rows
	head        journalHead
	instruments map[uint32]md.Instrument
	torn        int64 // bytes at the end that are no whole block
	broken      error // what kept them from being read, if it is not what they say
}

// symbol names an instrument of the journal. A record whose instrument the relay never
// told gets one from its number.
func (l *loaded) symbol(id uint32) string { return symbolOf(l.instruments, id) }

func (l *loaded) rowSymbol(r *rows, i int) string { return l.symbol(r.recs[i].Instrument) }

func symbolOf(instruments map[uint32]md.Instrument, id uint32) string {
	if in, ok := instruments[id]; ok {
		return in.Symbol
	}
	return fmt.Sprintf("unknown-%d", id)
}

// trim drops the event at the end that a kill has cut short, so that the gap after it
// begins at its first number.
func (l *loaded) trim() {
	ends := func(r *md.Record) bool {
		return r.Flags&md.FlagLast != 0 || r.Kind == md.KindGap || r.Kind.Control() || r.Kind == md.KindBook && r.Flags&md.FlagSnapshot != 0
	}
	n := len(l.recs)
	if n == 0 || ends(&l.recs[n-1]) {
		return
	}
	i := n - 1
	for i > 0 && l.recs[i].Flags&md.FlagFirst == 0 && !ends(&l.recs[i-1]) && l.recs[i-1].Instrument == l.recs[i].Instrument && l.epoch[i-1] == l.epoch[i] {
		i--
	}
	l.recs, l.epoch, l.arrival = l.recs[:i], l.epoch[:i], l.arrival[:i]
	l.torn += int64(n-i) * md.RecordSize
}

// loadJournal reads a journal into l, whose memory is used again.
func loadJournal(path string, l *loaded) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	j, err := newJournalReader(bufio.NewReaderSize(f, journalBuffer*md.RecordSize))
	if err != nil {
		return fmt.Errorf("record: %s: %w", path, err)
	}
	l.reset()
	l.head = j.head
	most := int(st.Size() / md.RecordSize)
	l.recs, l.epoch, l.arrival = slices.Grow(l.recs, most), slices.Grow(l.epoch, most), slices.Grow(l.arrival, most)
	for {
		at := j.next
		recs, epoch, err := j.block()
		if err != nil {
			if l.broken = nil; err != io.EOF {
				l.broken = err // the device: what was read is good
			}
			break
		}
		l.recs = append(l.recs, recs...)
		for i := range recs {
			l.epoch = append(l.epoch, epoch)
			l.arrival = append(l.arrival, at+int64(i))
		}
	}
	l.instruments, l.torn = j.instruments, st.Size()-j.at
	return nil
}
