package ring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"tickrelay/ring/md"
)

// Info is what can be seen of a ring from outside, without disturbing it.
type Info struct {
	Name      string       `json:"name"`
	Path      string       `json:"path"` // of the .data file; "" for a ring on the heap
	Relay     string       `json:"relay"`
	Strategy  string       `json:"strategy"`
	Venue     md.Venue     `json:"-"`
	VenueName string       `json:"venue"`
	State     string       `json:"state"` // open, closed, broken, dead (its relay died)
	Epoch     int64        `json:"epoch"` // ns since 1970 UTC, 0 before a feed took it
	TableID   uint64       `json:"table_id"`
	CreatedNs int64        `json:"created_ns"`
	Capacity  int          `json:"capacity"`  // records
	Node      int32        `json:"numa_node"` // where its pages were found at creation, -1 unknown
	Bytes     int          `json:"bytes"`     // of both parts
	Head      uint64       `json:"head"`      // records ever written
	Tail      uint64       `json:"tail"`      // records ever read or skipped
	Depth     int          `json:"depth"`     // records that wait
	LagNs     int64        `json:"lag_ns"`    // age of the oldest record that waits: since this host received it
	Attached  uint64       `json:"attached"`  // consumers that ever opened it
	Sleeping  bool         `json:"sleeping"`  // the consumer sleeps in the kernel
	Wake      string       `json:"wake"`      // how the consumer said it waits: block, eventfd, spin, yield
	Producer  PeerInfo     `json:"producer"`
	Consumer  PeerInfo     `json:"consumer"`
	Broadcast bool         `json:"broadcast"`         // any number of readers, none of which holds it back
	Readers   []ReaderInfo `json:"readers,omitempty"` // of a broadcast ring
	Counters  Counters     `json:"counters"`
	Topics    []TopicInfo  `json:"topics"`
	Err       string       `json:"err,omitempty"` // why the rest could not be read
}

// PeerInfo is one side of a ring.
type PeerInfo struct {
	PID    int   `json:"pid"`     // for display: pids differ between containers
	Alive  bool  `json:"alive"`   // holds its lock
	BeatNs int64 `json:"beat_ns"` // last sign of life, ns since 1970 UTC; 0 if never
}

// List tells of every ring in a relay's directory, by name. A file that is no
// ring is listed with Err set.
func List(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("ring: list: %w", err)
	}
	var out []Info
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), dataSuffix)
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		in, err := Stat(dir, name)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed while we looked
		}
		if err != nil {
			in = Info{Name: name, Path: filepath.Join(dir, e.Name()), State: "unreadable", Err: err.Error()}
		}
		out = append(out, in)
	}
	return out, nil
}

// Stat tells of one ring of a relay's directory. It maps both files read-only,
// takes no lock and changes nothing.
func Stat(dir, name string) (Info, error) {
	s, err := openShm(dir, name, true)
	if err != nil {
		return Info{}, fmt.Errorf("ring: stat %w", err)
	}
	defer s.Close()
	return s.Info(), nil
}

// Info tells of the ring. Any goroutine, not after Close.
func (s *Segment) Info() (in Info) {
	h, c := s.hdr, s.ctl
	in = Info{
		Name: s.Name(), Strategy: s.Strategy(), Relay: text(h.relay[:]),
		Venue: md.Venue(atomic.LoadUint32(&h.venue)), Epoch: atomic.LoadInt64(&h.epoch),
		TableID: h.tableID, Node: h.numaNode, CreatedNs: h.createdNs, Capacity: int(s.cap), Bytes: len(s.data) + len(s.ctlMem),
		Counters: s.Counters(), Topics: s.Topics(),
		Producer: PeerInfo{PID: int(h.producerPID), Alive: true, BeatNs: atomic.LoadInt64(&h.beatNs)},
	}
	in.VenueName = in.Venue.String()
	if s.shm != nil {
		in.Path = s.shm.path(dataSuffix)
		in.Producer.Alive = s.producerHolds()
	}
	in.State = stateName(atomic.LoadUint32(&h.state), in.Producer.Alive)
	defer s.forgiveFault(func() { in.Err = "its .ctl file was cut short" })()
	if s.readers != nil {
		in.cast(s)
		return in
	}
	in.Tail = atomic.LoadUint64(&c.tail) // before head, which only grows
	in.Head = atomic.LoadUint64(&h.head)
	if d := in.Head - in.Tail; d <= s.cap {
		in.Depth = int(d)
		in.LagNs = s.lag(in.Tail, in.Depth)
	} else {
		in.Err = ErrCorrupt.Error()
	}
	in.Attached = atomic.LoadUint64(&c.attachGen)
	in.Wake = wakeName(atomic.LoadUint32(&c.wakeMode))
	in.Sleeping = atomic.LoadUint32(&c.sleeper) != 0
	in.Consumer = PeerInfo{PID: int(atomic.LoadUint32(&c.consumerPID)), BeatNs: atomic.LoadInt64(&c.beatNs)}
	if in.Consumer.Alive = s.reading.Load(); s.shm != nil && !in.Consumer.Alive {
		in.Consumer.Alive = lockHeld(s.shm.ctlFD.fd)
	}
	return in
}

// lag is the age of the record at a position, 0 if none waits there. The record
// may be overwritten meanwhile; then its successor's age is as good.
func (s *Segment) lag(pos uint64, depth int) int64 {
	if depth == 0 {
		return 0
	}
	at := atomic.LoadInt64(&s.slots[pos&(s.cap-1)].TsRecv)
	if at == 0 {
		return 0
	}
	return max(0, time.Now().UnixNano()-at)
}

// cast fills in what differs for a broadcast ring: it is as deep as its slowest
// reader is behind.
func (in *Info) cast(s *Segment) {
	in.Broadcast = true
	in.Head = atomic.LoadUint64(&s.hdr.head)
	in.Attached = atomic.LoadUint64(&s.ctl.attachGen)
	in.Sleeping = atomic.LoadUint32(&s.ctl.sleeper) != 0
	in.Wake = WakeBlock
	in.Readers = s.readerInfos(in.Head)
	for _, r := range in.Readers {
		in.Depth = max(in.Depth, r.Depth)
		in.Consumer.Alive = true
		in.Consumer.PID, in.Consumer.BeatNs = r.PID, max(in.Consumer.BeatNs, r.BeatNs)
	}
	in.Tail = in.Head - uint64(in.Depth)
	in.LagNs = s.lag(in.Tail, in.Depth)
}

func wakeName(mode uint32) string {
	switch mode {
	case waitsBlock:
		return WakeBlock
	case waitsFD:
		return WakeEventFD
	case waitsSpin:
		return WakeSpin
	case waitsYield:
		return WakeYield
	}
	return "unknown"
}

func stateName(state uint32, alive bool) string {
	switch {
	case state == stateClosed:
		return "closed"
	case state == stateBroken:
		return "broken"
	case !alive:
		return "dead"
	case state == stateOpen:
		return "open"
	}
	return "new"
}

// Leftover returns what lies between tail and head of a ring whose relay died,
// oldest first, and changes nothing. ErrBusy if the relay lives: such a ring
// belongs to its consumer.
func Leftover(dir, name string) ([]md.Record, error) {
	s, err := openShm(dir, name, true)
	if err != nil {
		return nil, fmt.Errorf("ring: open %w", err)
	}
	defer s.Close()
	if s.producerHolds() {
		return nil, fmt.Errorf("ring: leftover of %s: %w: its relay is running", name, ErrBusy)
	}
	if s.readers != nil {
		return nil, fmt.Errorf("ring: leftover of %s: %w: a broadcast ring has no reader's position", name, ErrFormat)
	}
	tail, head := atomic.LoadUint64(&s.ctl.tail), atomic.LoadUint64(&s.hdr.head)
	if head-tail > s.cap {
		return nil, fmt.Errorf("ring: leftover of %s: %w: head %d, tail %d", name, ErrCorrupt, head, tail)
	}
	out := make([]md.Record, head-tail)
	n := copy(out, s.slots[tail&(s.cap-1):])
	copy(out[n:], s.slots)
	return out, nil
}
