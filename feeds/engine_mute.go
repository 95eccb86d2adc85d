package feeds

import "time"

// Pace at which a line is found mute.
const (
	muteShare     = 3               // of EngineConfig.Silence, in which another line brings data
	muteLeast     = 5 * time.Second // but no less than this
	muteDoublings = 6               // bound of what false alarms add
	muteAnswers   = 5 * time.Second // after a request, in which data may be the answer to it
)

// scanMute leaves lines that answer pings and bring nothing while another line of their
// part brings data: nobody would miss them before the other one is lost. Seconds in which
// no line brings anything prove nothing, nor do answers to our own requests: a snapshot
// says nothing of the market's pace. Where a venue serves one connection only, each
// try of a line waits twice as long as its last, until it brings data beside another one
// for as long as a mute one is given. Call it once per scanEvery.
func (e *Engine) scanMute(now int64) {
	need := int(max(e.cfg.Silence/muteShare, muteLeast) / time.Duration(scanEvery))
	for i := range e.lines {
		l := &e.lines[i]
		l.fresh, l.scanned = l.dataAt != l.scanned, l.dataAt
		l.proves = l.fresh && now-l.askedBy > int64(muteAnswers)
		if l.fresh {
			l.quiet = 0
		}
	}
	for i := range e.lines {
		l := &e.lines[i]
		if !l.usable() || now < l.sentBy || !e.freshBeside(i) {
			continue
		}
		if l.fresh {
			if l.lively++; l.lively >= need {
				l.mutes = 0
			}
			continue
		}
		if l.quiet++; l.quiet >= need<<min(l.mutes, muteDoublings) {
			l.mutes++
			e.reconnect(i, "mute: other lines bring data, this one does not")
		}
	}
}

// freshBeside reports whether another line of the same part brought data of itself since
// the scan before.
func (e *Engine) freshBeside(line int) bool {
	first := e.partOf(line) * e.cfg.Slots
	for i := first; i < min(first+e.cfg.Slots, len(e.lines)); i++ {
		if i != line && e.lines[i].usable() && e.lines[i].proves {
			return true
		}
	}
	return false
}
