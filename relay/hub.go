package relay

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"tickrelay/ring/md"
)

// hub reads the rings, keeps every topic's state and makes the frames. Everything
// that concerns the order of a topic's messages is decided here, by one goroutine.
type hub struct {
	table  *md.TableView
	shown  atomic.Pointer[md.TableView] // table, for HTTP
	unmap  func() error                 // table, if it came over a control socket
	reopen func() (*md.TableView, error)
	limits Limits
	shards []*shard
	stats  *hubStats
	log    *slog.Logger
	mono   func() int64 // ns, never steps
	now    int64        // mono at the start of the turn
	turns  atomic.Uint64

	inputs []*input
	source *input // whose records are being consumed
	inbox  inbox[request]
	bell   chan struct{}

	archive Archive      // of replays; nil: none
	past    bool         // of one replay: makes no candles
	clock   func() int64 // wall, in tests and replays; nil: the system's

	byKey   [][]*topic        // by instrument, then channel
	byName  map[string]*topic //
	topics  []*topic          // in order of appearance
	streams []*stream         // by id
	epochs  map[md.Venue]int64
	lastRec atomic.Int64 // wall ns of the newest record's ts_recv, for /readyz

	clients  map[*conn]*client
	patterns map[patternKey]*patternHolders

	historySpare int // records that histories may still allocate

	paced   []*stream   // conflated streams with something to send
	scratch []md.Record // of snapshots and windows
	one     [1]md.Record
	merged  []md.Record // scratch of catchUpSlow
	packer  packer
	text    []byte      // of JSON
	bar     []md.Record // of a candle

	began                   int64     // wall ns: the epoch of what the gateway makes itself
	candling, candlingSpare []*series // with a running bar, or something to tell
	spare                   []request

	waiting              []aheadRequest       // resumptions of clients who were told more than is here
	deferred             []request            // taken from inbox, not served yet; part of spare
	replays              map[replayKey]*frame // made in this turn
	replayLeft, turnLeft int                  // bytes that may be encoded from histories: request, turn
	stateLeft            int                  // bytes of snapshots that the turn may cost
}

// maxStaged is how many deliveries a shard may be behind before the hub waits.
const maxStaged = 1 << 16

func newHub(cfg *Config, stats *hubStats) *hub {
	h := &hub{
		table: cfg.Table, limits: cfg.Limits, stats: stats, log: cfg.Log,
		bell:     make(chan struct{}, 1),
		byName:   map[string]*topic{},
		epochs:   map[md.Venue]int64{},
		clients:  map[*conn]*client{},
		patterns: map[patternKey]*patternHolders{},
		replays:  map[replayKey]*frame{},
		text:     make([]byte, headerRoom, 4096),

		historySpare: cfg.Limits.HistoryBytes / md.RecordSize,
	}
	h.shown.Store(cfg.Table)
	h.reopen, h.archive = cfg.OpenTable, cfg.Archive
	start := time.Now()
	h.mono = func() int64 { return int64(time.Since(start)) }
	h.inbox.wake = h.ring
	h.began = h.wall()
	return h
}

// wall is CLOCK_REALTIME in ns.
func (h *hub) wall() int64 {
	if h.clock != nil {
		return h.clock()
	}
	return time.Now().UnixNano()
}

// ring makes the hub's loop look round. Safe from any goroutine.
func (h *hub) ring() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// run is the hub's goroutine. waiters runs the ring waiters, so that the caller can
// wait for them.
func (h *hub) run(ctx context.Context, waiters func(func())) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer h.closeInputs()
	for ctx.Err() == nil {
		h.turns.Add(1)
		h.now = h.mono()
		h.requests(ctx, waiters)
		busy := h.readRings(ctx, waiters)
		h.sendPaced()
		h.candlesDue()
		h.flush(ctx)
		if busy || h.inbox.len() > 0 || len(h.deferred) > 0 {
			continue
		}
		timer.Reset(h.nextDue())
		select {
		case <-h.bell:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// requests serves what was asked, in order. When that has taken a turn's worth of
// encoding the rest waits, so that the rings are read in between.
func (h *hub) requests(ctx context.Context, waiters func(func())) {
	if len(h.deferred) == 0 {
		h.spare = h.inbox.take(h.spare)
		h.deferred = h.spare
	}
	h.turnLeft, h.stateLeft = turnReplay, turnState
	if len(h.waiting) > 0 {
		h.serveAhead(ctx, waiters)
	}
	n := 0
	for n < len(h.deferred) && !h.spent() {
		h.request(&h.deferred[n], ctx, waiters)
		n++
	}
	clear(h.deferred[:n])
	h.deferred = h.deferred[n:]
	clear(h.replays)
}

// spent reports whether the turn has done as much for requests as it may.
func (h *hub) spent() bool { return h.turnLeft <= 0 || h.stateLeft <= 0 }

// nextDue is the time until the first conflated stream may send.
func (h *hub) nextDue() time.Duration {
	now := h.mono()
	wait := h.candleWait(now)
	if len(h.waiting) > 0 {
		wait = min(wait, aheadLook)
	}
	for _, st := range h.paced {
		wait = min(wait, time.Duration(max(0, st.due-now)))
	}
	return wait
}

func (h *hub) sendPaced() {
	rest := h.paced[:0]
	for _, st := range h.paced {
		if h.now < st.due {
			rest = append(rest, st)
			continue
		}
		st.queued = false
		h.emitPaced(st)
	}
	clear(h.paced[len(rest):])
	h.paced = rest
}

// flush hands what was staged to the shards. A shard that is far behind (the
// processors are overloaded) holds the hub up, and thereby the ring: its overrun
// rules then say what is lost.
func (h *hub) flush(ctx context.Context) {
	for _, s := range h.shards {
		if len(s.staged) == 0 {
			continue
		}
		for s.inbox.len() > maxStaged && ctx.Err() == nil {
			h.stats.stalls.Add(1)
			time.Sleep(time.Millisecond)
		}
		s.inbox.put(s.staged...)
		clear(s.staged)
		s.staged = s.staged[:0]
	}
}
