package feeds

import (
	"errors"
	"log/slog"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// EngineConfig describes an engine. Venue, Table and Pub are required.
type EngineConfig struct {
	Venue Venue
	Table *md.Table
	Pub   *ring.Publisher

	Instruments []string     // patterns of symbols, "*" stands for any run of characters; default all
	Channels    []md.Channel // default all that the venue has
	REST        string       // base of snapshot addresses; default the venue's
	// Open accepts every instrument that a frame names, for replays.
	Open bool
	// Silence is how long an instrument that sent data may send none before it
	// is subscribed again; default 60 s, negative never.
	Silence time.Duration
	Log     *slog.Logger // default discards
}

// Engine is a feed without I/O: no socket, no clock, no goroutine. Everything
// that happens is a call, everything that it wants is an EngineAction.
type Engine struct {
	actions []EngineAction
	stats    Stats
}

// Stats counts what an engine did.
type Stats struct{}

// NewEngine checks cfg and returns an engine that has no line yet.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	if cfg.Venue == nil || cfg.Table == nil || cfg.Pub == nil {
		return nil, errors.New("feeds: engine: venue, table and publisher are required")
	}
	return &Engine{}, nil
}

// Catalogue takes the venue's list of instruments: the first or a later one.
func (e *Engine) Catalogue(ins []md.Instrument) {}

// Connected tells that a line is up at now, in ns: the engine subscribes.
func (e *Engine) Connected(line int, now int64) {}

// Disconnected tells that a line is down.
func (e *Engine) Disconnected(line int, now int64, reason string) {}

// Frame takes one whole message of a line, received at rxNs. The error is
// counted already.
func (e *Engine) Frame(line int, frame []byte, rxNs int64) error { return nil }

// Snapshot takes the answer to ActionFetch req, or why there is none.
func (e *Engine) Snapshot(req int, body []byte, err error, now int64) {}

// Tick does what is due at now.
func (e *Engine) Tick(now int64) {}

// NextTick is the time in ns at which Tick has something to do, at the latest.
func (e *Engine) NextTick() int64 { return 0 }

// Stats returns the counters; any goroutine may read them.
func (e *Engine) Stats() *Stats { return &e.stats }
