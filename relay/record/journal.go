package record

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"tickrelay/ring/md"
)

// A journal holds the open row group of a stream: the raw records as they came, so that
// a process killed at any moment loses nothing that was written. All numbers are
// little-endian, all blocks 8-aligned:
//
//	 0  magic "TRJRNL\x00\x01"   8  version u32   12  venue u16, channel u8, 0
//	16  hour i64   24  part u32, 0 u32   32  arrival of the first record i64
//	40  serial i64   48  0 …   60  crc32c of the bytes before
//	64  blocks: type u32, payload bytes u32, epoch i64, 0 u32, crc32c of these and
//	    the payload u32, payload
//
// A block of type 1 holds records of one epoch, of type 2 one instrument entry as JSON,
// padded with blanks, before the first record of the instrument.
const (
	journalHeader   = 64
	journalVersion  = 1
	blockHeader     = 24
	blockRecords    = 1
	blockInstrument = 2
	maxBlock        = 1 << 20
	journalMagic    = "TRJRNL\x00\x01"
	journalBuffer   = 512 // records gathered before a write
	instrumentAlign = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journalHead is what a journal says of itself.
type journalHead struct {
	stream stream
	hour   int64
	part   int
	first  int64 // arrival of the first record
	serial int64 // of the stream's journals, in the order of writing; 0: not said
}

func (h *journalHead) append(b []byte) []byte {
	at := len(b)
	b = append(b, journalMagic...)
	b = binary.LittleEndian.AppendUint32(b, journalVersion)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.stream.venue))
	b = append(b, byte(h.stream.channel), 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.hour))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.part))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.serial))
	b = append(b, make([]byte, journalHeader-4-(len(b)-at))...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

func parseJournalHead(b []byte) (h journalHead, err error) {
	switch {
	case len(b) < journalHeader || string(b[:8]) != journalMagic:
		return h, errors.New("not a journal")
	case binary.LittleEndian.Uint32(b[8:]) != journalVersion:
		return h, fmt.Errorf("journal version %d: this program reads %d", binary.LittleEndian.Uint32(b[8:]), journalVersion)
	case crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]):
		return h, errors.New("journal header is damaged")
	}
	h.stream = stream{md.Venue(binary.LittleEndian.Uint16(b[12:])), md.Channel(b[14])}
	h.hour, h.part = int64(binary.LittleEndian.Uint64(b[16:])), int(binary.LittleEndian.Uint32(b[24:]))
	h.first, h.serial = int64(binary.LittleEndian.Uint64(b[32:])), int64(binary.LittleEndian.Uint64(b[40:]))
	if !h.stream.venue.Known() || h.stream.channel == md.ChannelAll || h.stream.channel >= md.NumChannels || h.first < 0 || h.hour != hourOf(h.hour) {
		return h, errors.New("journal header makes no sense")
	}
	return h, nil
}

// blockSum is the checksum of a block: its header up to the checksum, and its payload.
func blockSum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:20], castagnoli), castagnoli, payload)
}

// journal is the writing end. Records are gathered and written a block at a time. A
// write that fails leaves the file as it was before, and the block where it was, so that
// it can be tried again.
type journal struct {
	head    journalHead
	session int // of the source, whose instrument numbers these are
	f       *os.File
	path    string
	size    int64
	records int64 // written
	epoch   int64 // of the records gathered
	pending []md.Record
	block   []byte
	known   map[uint32]entryKey // instruments in the file
}

// entryKey tells instrument entries of one number apart.
type entryKey struct {
	symbol     string
	generation uint64
}

// createJournal starts a journal. path must not be there yet.
func createJournal(path string, h journalHead) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	j := &journal{head: h, f: f, path: path, known: map[uint32]entryKey{}}
	if err := j.write(h.append(nil)); err != nil {
		j.f.Close()
		os.Remove(path)
		return nil, err
	}
	return j, nil
}

// write appends b as a whole, or not at all.
func (j *journal) write(b []byte) error {
	n, err := j.f.WriteAt(b, j.size)
	if err == nil {
		j.size += int64(len(b))
		return nil
	}
	if n > 0 {
		if terr := j.f.Truncate(j.size); terr != nil {
			return errors.Join(err, terr)
		}
	}
	return err
}

// begin says which epoch the records have that are added from here on. What was gathered
// of another one is written; after an error none of the new one may be added.
func (j *journal) begin(epoch int64) error {
	if epoch != j.epoch {
		if err := j.flush(); err != nil {
			return err
		}
		j.epoch = epoch
	}
	return nil
}

// add gathers one record.
func (j *journal) add(r *md.Record) { j.pending = append(j.pending, *r) }

// flush writes what was gathered, in blocks no larger than a reader takes. It is called
// between events, so that a block ends with a whole one, unless that is larger.
func (j *journal) flush() error {
	done := 0
	defer func() { j.pending = j.pending[:copy(j.pending, j.pending[done:])] }()
	for done < len(j.pending) {
		part := j.pending[done:min(done+maxBlock/md.RecordSize, len(j.pending))]
		j.block = appendBlock(j.block[:0], blockRecords, j.epoch, md.AsBytes(part))
		if err := j.write(j.block); err != nil {
			return err
		}
		j.records += int64(len(part))
		done += len(part)
	}
	return nil
}

// instrument writes an entry if the file does not have it in this generation. Within a
// journal a number is one symbol's.
func (j *journal) instrument(in *md.Instrument) error {
	key := entryKey{in.Symbol, in.Generation}
	switch known, ok := j.known[in.ID]; {
	case known == key:
		return nil
	case ok && known.symbol != in.Symbol || in.Venue != j.head.stream.venue:
		return fmt.Errorf("record: %s: instrument %d is %s, not %s.%s", j.path, in.ID, known.symbol, in.Venue, in.Symbol)
	}
	text, err := json.Marshal(instrumentToJSON(in))
	if err != nil {
		return err
	}
	for len(text)%instrumentAlign != 0 {
		text = append(text, ' ')
	}
	if err := j.write(appendBlock(nil, blockInstrument, 0, text)); err != nil {
		return err
	}
	j.known[in.ID] = key
	return nil
}

func appendBlock(b []byte, typ uint32, epoch int64, payload []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint64(b, uint64(epoch))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, blockSum(b[at:], payload))
	return append(b, payload...)
}
