package feeds

// CommandKind says what an engine wants done.
type CommandKind uint8

// Kinds of commands.
const (
	CommandSend      CommandKind = iota + 1 // send Frame as text on Line
	CommandFetch                            // GET URL and hand the answer to Engine.Snapshot under Req
	CommandReconnect                        // close Line and connect it again: Reason says why
)

// String is the kind in lower case, for logs.
func (k CommandKind) String() string {
	switch k {
	case CommandSend:
		return "send"
	case CommandFetch:
		return "fetch"
	case CommandReconnect:
		return "reconnect"
	}
	return "unknown"
}

// Command is something that an engine wants done and cannot do itself, because
// it does no I/O. Frames and texts belong to the receiver.
type Command struct {
	Kind   CommandKind
	Line   int    // Send, Reconnect
	Frame  []byte // Send
	URL    string // Fetch
	Req    int    // Fetch: the number to answer under
	At     int64  // ns, CLOCK_REALTIME, before which it is not to be done; 0 for at once
	Reason string // Reconnect
}

// Commands appends to dst what the engine wants and forgets it. Drain it after
// every call into the engine.
func (e *Engine) Commands(dst []Command) []Command {
	if len(e.commands) == 0 {
		return dst
	}
	dst = append(dst, e.commands...)
	clear(e.commands)
	e.commands = e.commands[:0]
	return dst
}
