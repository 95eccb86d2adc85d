package record

import (
	"os"
	"path/filepath"
	"time"

	"tickrelay/ring/md"
)

// partition is a stream on its way to disk: the journal of the hour under way.
type partition struct {
	stream
	dir     string
	hour    int64
	newest  int64 // the latest hour that may have files; hour may be before it if a clock was wrong
	next    int   // part
	arrival int64 // of the next record in the hour
	serial  int64 // of the next journal
	clock   int64 // greatest receive time of a live record
	last    map[string]topicMark
	topics  []*topic
	framed  int // topics before it have their key frame of this hour
	j       *journal
	opened  int64 // when the journal was begun, ns
}

// clockSlack is how far ahead of the host's clock receive times, which may be a network
// card's, and the hour under way may be.
const clockSlack = int64(time.Minute)

// hourFor is the hour into which an event goes: that of the greatest receive time of live
// records so far, but never one before the hour under way. What is ahead of the clock does
// not count: a time from nowhere must not carry the hours away, and where the clock itself
// was wrong its hours are left.
func (p *partition) hourFor(last *md.Record, now int64) int64 {
	until := now + clockSlack
	if p.clock > until {
		p.clock = now
	}
	if last.Flags&md.FlagSnapshot == 0 {
		p.clock = max(p.clock, min(last.TsRecv, until))
	} else if p.clock == 0 {
		p.clock = now
	}
	if hour := hourOf(p.clock); hour > p.hour || p.hour > until {
		return hour
	}
	return p.hour
}

// place is where an hour goes on that may have files: its next part, and the place of its
// next record. What cannot be read is set aside and told.
func (p *partition) place(hour int64) (next int, arrival int64, told []error, err error) {
	h, err := openHour(p.dir, hour)
	if err != nil {
		return 0, 0, nil, err
	}
	defer h.close()
	for _, bad := range h.bad {
		a, err := bad.setAside()
		if err != nil {
			return 0, 0, told, err
		}
		told = append(told, a)
	}
	for _, f := range h.files {
		if next = max(next, f.name.to+1); f.file != nil {
			next, arrival = max(next, f.file.meta.to+1), f.file.arrivalEnd()
			continue
		}
		for err == nil {
			_, _, err = f.journal.block()
		}
		arrival, err = f.journal.next, nil
	}
	names, err := listFiles(p.dir)
	for _, n := range names {
		if n.hour == hour {
			next = max(next, n.to+1)
		}
	}
	return next, arrival, told, err
}

// open begins a journal of an hour, which may be the one under way, for records of a
// session of the source. told are files that it had to set aside.
func (p *partition) open(hour, now int64, session int) (told []error, err error) {
	if hour != p.hour {
		next, arrival := 0, int64(0)
		if hour <= p.newest {
			if next, arrival, told, err = p.place(hour); err != nil {
				return told, err
			}
		}
		p.hour, p.next, p.arrival, p.newest = hour, next, arrival, max(hour, p.newest)
		p.framed = 0
		for _, t := range p.topics {
			t.frameDue = t.told
		}
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return told, err
	}
	path := filepath.Join(p.dir, fileName{hour, p.next, p.next, true}.String())
	j, err := createJournal(path, journalHead{stream: p.stream, hour: hour, part: p.next, first: p.arrival, serial: p.serial})
	if err != nil {
		return told, err
	}
	j.session = session
	p.j, p.opened = j, now
	p.serial++
	return told, nil
}

// shut ends the journal, which must be flushed, and returns its path; false if it held
// nothing and is gone.
func (p *partition) shut() (path string, some bool) {
	j := p.j
	p.j = nil
	j.f.Close()
	if j.records == 0 {
		if os.Remove(j.path) != nil {
			p.next++ // its name is taken
		}
		return "", false
	}
	p.next++
	p.arrival += j.records
	return j.path, true
}
