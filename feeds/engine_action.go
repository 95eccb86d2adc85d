package feeds

// EngineActionKind says what an engine wants done.
type EngineActionKind uint8

// Kinds of actions.
const (
	ActionSend      EngineActionKind = iota + 1 // send Frame as text on Line
	ActionFetch                                 // GET URL and hand the answer to Engine.Snapshot under Req
	ActionReconnect                             // close Line and connect it again: Reason says why
	ActionRelieve                               // connect a line beside Line, and close Line once that can take over
	ActionOpen                                  // make the connections of the part whose first is Line, at Route
)

// String is the kind in lower case, for logs.
func (k EngineActionKind) String() string {
	switch k {
	case ActionSend:
		return "send"
	case ActionFetch:
		return "fetch"
	case ActionReconnect:
		return "reconnect"
	case ActionRelieve:
		return "relieve"
	case ActionOpen:
		return "open"
	}
	return "unknown"
}

// EngineAction is something that an engine wants done and cannot do itself,
// because it does no I/O. Frames and texts belong to the receiver.
type EngineAction struct {
	Kind   EngineActionKind
	Line   int    // Send, Reconnect
	Frame  []byte // Send
	URL    string // Fetch
	Req    int    // Fetch: the number to answer under
	At     int64  // ns, CLOCK_REALTIME, before which it is not to be done; 0 for at once
	Reason string // Reconnect, Relieve
	Route  int    // Open
}

// Actions appends to dst what the engine wants and forgets it. Drain it after
// every call into the engine.
func (e *Engine) Actions(dst []EngineAction) []EngineAction {
	if len(e.actions) == 0 {
		return dst
	}
	dst = append(dst, e.actions...)
	clear(e.actions)
	e.actions = e.actions[:0]
	return dst
}
