package feeds

import "fmt"

// act does one thing that the engine wants.
func (l *loop) act(a *EngineAction) {
	switch a.Kind {
	case ActionSend:
		if s := l.session(a.Line); s != nil && s.state == LineLive {
			s.out.add(a.Frame, l.mono+max(0, a.At-l.wall))
			l.rearm(s.out.next)
		}
	case ActionFetch:
		l.wantFetch(a.Req, a.URL, a.At)
	case ActionOpen:
		l.openPart(a.Line, a.Route)
	case ActionRelieve:
		if s := l.session(a.Line); s != nil {
			l.relieve(s, a.Reason)
		}
	case ActionReconnect:
		if s := l.session(a.Line); s != nil && s.state == LineLive {
			s.bye(fmt.Errorf("%w: %s", errAsked, a.Reason))
		}
	}
}
