package record

import (
	"os"
	"path/filepath"
)

// partition is a stream on its way to disk: the journal of the hour under way.
type partition struct {
	stream
	dir     string
	hour    int64
	next    int   // part
	arrival int64 // of the next record in the hour
	clock   int64 // greatest receive time of a live record
	last    map[string]topicMark
	topics  []*topic
	framed  int // topics before it have their key frame of this hour
	j       *journal
	opened  int64 // when the journal was begun, ns
}

// open begins a journal of an hour, which may be the one under way, for records of a
// session of the source.
func (p *partition) open(hour, now int64, session int) error {
	if hour != p.hour {
		p.hour, p.next, p.arrival = hour, 0, 0
		p.framed = 0
		for _, t := range p.topics {
			t.frameDue = t.told
		}
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(p.dir, fileName{hour, p.next, p.next, true}.String())
	j, err := createJournal(path, journalHead{stream: p.stream, hour: hour, part: p.next, first: p.arrival})
	if err != nil {
		return err
	}
	j.session = session
	p.j, p.opened = j, now
	return nil
}

// shut ends the journal, which must be flushed, and returns its path; false if it held
// nothing and is gone.
func (p *partition) shut() (path string, some bool) {
	j := p.j
	p.j = nil
	j.f.Close()
	if j.records == 0 {
		os.Remove(j.path)
		return "", false
	}
	p.next++
	p.arrival += j.records
	return j.path, true
}
