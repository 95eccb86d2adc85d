package feeds

import (
	"time"

	"tickrelay/ring/md"
)

// By how much the time of a book event may be before that of the book, where times are all
// that orders events: what a venue's servers, sending side by side, are out of order by, and
// by how much a REST snapshot may be ahead of the stream that it is joined to.
const (
	backMost     = time.Second
	backMostREST = 10 * time.Second
)

// turnedBack reports whether an event is older than the book by more than reordering
// explains: the venue's clock was set back. All that comes until the clock is where it was
// would be dropped as old, while the book is shown as current.
func (e *Engine) turnedBack(s *BookState, ev *Event) bool {
	if e.spec.BookTime == 0 || s.Empty || ev.SeqLast == 0 || ev.SeqLast >= s.Seq {
		return false
	}
	most := backMost
	if s.FromREST {
		most = backMostREST
	}
	return s.Seq-ev.SeqLast > int64(most/e.spec.BookTime)
}

// turnBack breaks a book whose venue's clock was set back, with a gap; it reports whether
// the event goes on to be judged. A whole book is the new one, there and then; else the book
// is asked for, or that of another line takes its place.
func (e *Engine) turnBack(t *topic, line int, ev *Event, rx int64) bool {
	if ev.Action == ActionReplace {
		e.breakTopic(t, md.GapVenue, md.UnknownMissing, rx)
		return true
	}
	e.breakBook(t, md.GapVenue, rx)
	return t.owner == line
}
