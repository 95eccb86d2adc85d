package feeds

import (
	"errors"
	"fmt"

	"tickrelay/ring/md"
)

// rejectFrame counts a message that could not be decoded. One is a curiosity, but what
// it would have told is lost; many mean that the stream itself is damaged.
func (e *Engine) rejectFrame(line int, l *engineLine, frame []byte, err error) error {
	why := RejectMalformed
	if errors.Is(err, ErrUnsupported) {
		why = RejectUnsupported
	}
	e.stats.Rejected[why].Add(1)
	if l.rejects == 0 {
		e.log.Warn("frame refused", "line", line, "error", err, "frame", string(frame[:min(len(frame), 120)]))
	}
	switch {
	case l.reject(e.now):
		e.reconnect(line, "too many frames that could not be decoded")
	case why == RejectMalformed:
		e.doubt(line, e.now)
	}
	return fmt.Errorf("feeds: %s: line %d: %w", e.spec.Name, line, err)
}

// doubt tells what may be missing of a line whose frame was refused, where no number of
// the venue will. A book that nobody could see is wrong is made anew with its connection;
// of other topics a gap is told, unless another line brings the same. Quotes and
// statistics need none: the venue sends them anew all the time.
func (e *Engine) doubt(line int, now int64) {
	if e.spec.ConnSeq != "" {
		return // the connection's next number shows the hole
	}
	bit := e.bit(line)
	for _, t := range e.topics {
		if t.lines&bit != 0 && t.book != nil && e.blind(t) {
			e.reconnect(line, "a frame that could not be decoded, of books whose updates have no numbers")
			return // which tells the gaps of all
		}
	}
	for _, t := range e.topics {
		if t.owner != line || t.book != nil || t.state != TopicLive {
			continue
		}
		if t.ch == md.ChannelBBO || t.ch == md.ChannelTicker || t.ch == md.ChannelOpenInterest {
			continue
		}
		switch e.mergeOf(t, t.withIDs()) {
		case mergeChain:
			continue // the next id shows the hole
		case mergeUnique:
			if e.others(t, line) {
				continue
			}
		}
		e.breakTopic(t, md.GapSequence, md.UnknownMissing, now)
	}
}

// blind reports whether a lost update of a book is not sure to be noticed.
func (e *Engine) blind(t *topic) bool {
	if e.spec.BlindBooks {
		return true
	}
	return e.spec.MergeBooks && e.mergeOf(t, t.withIDs()) != mergeChain // Bitget, where it does not number
}
