package record

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// store puts an event into its journal; false if it could not be taken.
func (r *Recorder) store(t *topic, ev []md.Record) bool {
	p := t.p
	if !r.room(t, p.hourFor(&ev[len(ev)-1], r.now)) {
		return false
	}
	switch {
	case ev[0].Kind == md.KindHeartbeat:
		t.frameDue = false // the ring tells the state itself
	case t.frameDue && !r.frame(t):
		return false
	}
	if !r.introduce(t) {
		return false
	}
	for i := range ev {
		p.j.add(&ev[i])
	}
	r.stats.Records.Add(uint64(len(ev)))
	if len(p.j.pending) >= journalBuffer {
		if err := p.j.flush(); err != nil {
			r.suspend(err) // what was gathered stays gathered, this event too
		}
	}
	if p.j.records+int64(len(p.j.pending)) >= int64(r.cfg.RowGroup) {
		r.seal(p)
	}
	return true
}

// room makes sure that a journal of an hour is open in which the topic's instrument
// number means the topic.
func (r *Recorder) room(t *topic, hour int64) bool {
	j := t.p.j
	return j != nil && j.head.hour == hour && j.session == t.session || r.roll(t.p, hour, t.session)
}

// introduce makes sure that the journal has the topic's instrument and takes records of
// its epoch.
func (r *Recorder) introduce(t *topic) bool {
	if err := t.p.j.begin(t.epoch); err != nil {
		r.suspend(err)
		return false
	}
	if t.known == t.p.j {
		return true
	}
	if err := t.p.j.instrument(&t.in); err != nil {
		r.suspend(err)
		return false
	}
	t.known = t.p.j
	return true
}

// roll seals the journal that is open and begins one of an hour.
func (r *Recorder) roll(p *partition, hour int64, session int) bool {
	was := p.hour
	if p.j != nil && !r.seal(p) {
		return false
	}
	told, err := p.open(hour, r.cfg.Now(), session)
	r.tell(p.stream, told)
	if err != nil {
		r.suspend(err)
		return false
	}
	r.back.watch(p.j)
	if was != 0 && was != hour {
		r.back.mergeOld(p.stream, hour)
	}
	return true
}

// seal gives the journal to the background.
func (r *Recorder) seal(p *partition) bool {
	if err := p.j.flush(); err != nil {
		r.suspend(err)
		return false
	}
	r.back.forget(p.j)
	if path, some := p.shut(); some {
		r.back.seal(p.stream, path)
	}
	return true
}

// frames writes key frames that are due, about max records of them, and reports whether
// there are more.
func (r *Recorder) frames(max int) bool {
	if r.cfg.NoKeyFrames || r.stats.Suspended.Load() {
		return false
	}
	before := r.stats.Records.Load()
	for _, p := range r.parts {
		for ; p.j != nil && p.j.session == r.session && p.framed < len(p.topics); p.framed++ {
			if int(r.stats.Records.Load()-before) >= max {
				return true
			}
			t := p.topics[p.framed]
			if t.frameDue && len(t.losses) == 0 && !r.frame(t) || r.stats.Suspended.Load() {
				return false
			}
		}
	}
	return false
}

// frame writes a topic's state. A topic that the present session has not told has none:
// its relay is gone, and its number may be another's by now.
func (r *Recorder) frame(t *topic) bool {
	if t.state == nil || !t.told || t.session != r.session {
		t.frameDue = false
		return true
	}
	if !r.introduce(t) {
		return false
	}
	t.frameDue = false
	j := t.p.j
	t.frame(t.p.hour, func(rec *md.Record) {
		j.add(rec)
		r.stats.Records.Add(1)
		if rec.Kind == md.KindBook && len(j.pending) >= journalBuffer && !r.stats.Suspended.Load() { // a book may be written in pieces
			if err := j.flush(); err != nil {
				r.suspend(err) // the rest is gathered, and written when there is room
			}
		}
	})
	r.stats.KeyFrames.Add(1)
	return true
}

// suspend stops writing: the device is full or fails. Reading goes on, so that the ring
// and the state stay current, and what is lost is counted.
func (r *Recorder) suspend(err error) {
	if r.stats.Suspended.Swap(true) {
		return
	}
	r.reason = err
	r.stats.Suspends.Add(1)
	r.cfg.Log.Error("recording suspended: records are being lost; it goes on by itself when there is room", "dir", r.cfg.Dir, "reason", err)
}

// space suspends before the device is full, and resumes when there is room again.
func (r *Recorder) space() {
	free, err := freeBytes(r.cfg.Dir)
	enough := err == nil && free >= r.cfg.MinFree
	suspended := r.stats.Suspended.Load()
	switch {
	case !suspended && !enough:
		if err == nil {
			err = fmt.Errorf("%d bytes are free on the device, %d are to stay so", free, r.cfg.MinFree)
		}
		r.suspend(err)
	case suspended && enough:
		r.resume()
	}
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// resume goes on: first what was gathered, then a gap for what was lost, then the state.
func (r *Recorder) resume() {
	for _, p := range r.parts {
		if p.j == nil {
			continue
		}
		if err := p.j.flush(); err != nil {
			return // still no room
		}
	}
	r.stats.Suspended.Store(false)
	// Gaps of topics that the present session has not told go first, each session's into
	// journals of their own.
	topics := slices.DeleteFunc(slices.Collect(maps.Values(r.topics)), func(t *topic) bool { return len(t.losses) == 0 })
	slices.SortFunc(topics, func(a, b *topic) int {
		return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.name, b.name))
	})
	for _, t := range topics {
		if !r.tellLosses(t) {
			return
		}
	}
	r.cfg.Log.Info("recording goes on", "dir", r.cfg.Dir, "topics_with_gaps", len(topics), "lost_records", r.stats.Lost.Load(), "was", r.reason)
}

// tellLosses writes a gap for each interval lost, and the state after the last one.
func (r *Recorder) tellLosses(t *topic) bool {
	losses, epoch, state := t.losses, t.epoch, t.state
	t.losses, t.state, t.frameDue = nil, nil, false // the state is already that after the losses
	defer func() { t.epoch, t.state = epoch, state }()
	for i, l := range losses {
		if l.from > l.to {
			continue
		}
		g := md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: t.in.Venue, Instrument: t.in.ID, Seq: l.to, ID: l.from,
			TsRecv: r.cfg.Now(), Side: uint8(t.p.channel), Level: uint8(md.GapOverrun), Count: md.UnknownMissing}
		if n := l.to - l.from + 1; !l.unknown && n < md.UnknownMissing {
			g.Count = uint32(n)
		}
		t.epoch = l.epoch
		if r.stats.Suspended.Load() || !r.store(t, []md.Record{g}) {
			t.losses = losses[i:]
			return false
		}
		r.stats.Gaps.Add(1)
	}
	t.frameDue, t.p.framed = true, 0
	return true
}
