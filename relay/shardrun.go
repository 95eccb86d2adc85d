package relay

import (
	"errors"

	"tickrelay/nettune"
)

// run is what a batch of one stream's events is for subscribers of one format: the
// frames, and their bytes in a row.
type run struct {
	frames []*frame
	data   []byte // of the frames; buf if there are several
	buf    []byte
	saved  uint64 // bytes that compression took off data
}

// deliverAll works through a batch. Mostly it holds the events of one stream that came
// together, and nearly everybody has read all before: then the bytes are put together
// once and written straight to each socket, without a queue in between. Anything else
// goes through the queues, so that a connection gets one write for all its streams.
func (s *shard) deliverAll(ds []delivery) {
	if s.oneStream(ds) {
		s.deliverRun(ds)
		return
	}
	for i := range ds {
		s.deliver(&ds[i])
	}
}

// oneStream makes runs of ds and reports whether that is all there is to do with it.
func (s *shard) oneStream(ds []delivery) bool {
	if len(ds) == 0 || len(ds) > s.limits.QueueMessages || int(ds[0].stream) >= len(s.streams) {
		return false
	}
	for i := range s.runs {
		s.runs[i].frames, s.runs[i].saved = s.runs[i].frames[:0], 0
	}
	for i := range ds {
		if ds[i].op != deliverEvent || ds[i].stream != ds[0].stream {
			return false
		}
		for k, f := range ds[i].frames {
			if f != nil {
				s.runs[k].frames = append(s.runs[k].frames, f)
				s.runs[k].saved += f.saved()
			}
		}
	}
	for i := range s.runs {
		if !s.runs[i].join(s.limits.QueueBytes) {
			return false
		}
	}
	return true
}

// join puts the bytes in a row; false if they are too many for that.
func (r *run) join(most int) bool {
	switch len(r.frames) {
	case 0:
		r.data = nil
		return true
	case 1:
		r.data = r.frames[0].data
		return len(r.data) <= most
	}
	r.buf = r.buf[:0]
	for _, f := range r.frames {
		if r.buf = append(r.buf, f.data...); len(r.buf) > min(gatherSize, most) {
			return false
		}
	}
	r.data = r.buf
	return true
}

// deliverRun writes the runs to the stream's subscribers. The counters are brought up
// to date once for all.
func (s *shard) deliverRun(ds []delivery) {
	var writes, bytes uint64
	var sent [numFormats]uint64
	id := ds[0].stream
	subs := s.streams[id]
	for i := 0; i < len(subs); i++ {
		sb := subs[i]
		c := sb.c
		r := &s.runs[c.format]
		if len(r.data) == 0 {
			continue
		}
		if !sb.plain() || c.state != connOpen || c.blocked || c.queue != nil {
			for i := 0; i < len(r.frames) && c.state == connOpen; i++ {
				c.event(sb, r.frames[i])
			}
		} else {
			n, err := c.stream.Write(r.data)
			writes++
			if n == len(r.data) {
				bytes += uint64(n)
				sent[c.format]++
				continue
			}
			s.partly(sb, r, n, err)
		}
		// A connection that was given up left the list: look again here.
		if subs = s.streams[id]; i < len(subs) && subs[i] != sb {
			i--
		}
	}
	s.stats.writes.Add(writes)
	s.stats.bytes.Add(bytes)
	for k, n := range sent {
		if n > 0 {
			s.stats.messages[k].Add(n * uint64(len(s.runs[k].frames)))
			if saved := s.runs[k].saved; saved > 0 {
				s.stats.saved.Add(n * saved)
			}
		}
	}
	for i := range s.runs { // no frame lives longer for it
		clear(s.runs[i].frames)
		s.runs[i].data = nil
	}
}

// partly queues what is left of a run of which a socket took n bytes.
func (s *shard) partly(sb *sub, r *run, n int, err error) {
	c := sb.c
	if err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
		s.drop(c, closedLost)
		return
	}
	c.blocked = true
	for _, f := range r.frames {
		c.push(f, sb)
	}
	s.sent(c, n)
	c.stream.WantWrite(true)
}

// plain reports that nothing was left out: an event can be sent as it is.
func (sb *sub) plain() bool { return !sb.stale && !sb.rebase && sb.missedTo == 0 }
