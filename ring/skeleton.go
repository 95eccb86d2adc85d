package ring

import (
	"context"
	"errors"
	"time"

	"tickrelay/ring/md"
)

// ErrProducerGone is returned by a drained Consumer whose producer ended.
var ErrProducerGone = errors.New("ring: producer gone")

// Meta describes a ring at its creation; the zero value works.
type Meta struct {
	Name, Strategy, Relay string
	TableID               uint64
	MaxTopics             int // topics with counters of their own; 0 means DefaultMaxTopics
}

// Perm says who besides the relay's user may read; the zero value: nobody.
type Perm struct{ Group int }

// Segment is the memory of one ring.
type Segment struct{ meta Meta }

func NewHeap(capacity int, m Meta) *Segment { return &Segment{m} }
func CreateShm(dir, name string, capacity int, m Meta, perm Perm) (*Segment, error) {
	return nil, errors.ErrUnsupported
}
func (s *Segment) Name() string     { return s.meta.Name }
func (s *Segment) Strategy() string { return s.meta.Strategy }
func (s *Segment) Capacity() int    { return 0 }
func (s *Segment) Info() Info       { return Info{} }
func (s *Segment) Close() error     { return nil }

type Info struct {
	Name, Strategy, Path string
	Capacity             int
	Depth                int
	Err                  string
}

func List(dir string) ([]Info, error)                { return nil, nil }
func Stat(dir, name string) (Info, error)            { return Info{}, nil }
func ReclaimDead(base string) ([]string, error)      { return nil, nil }
func Leftover(dir, name string) ([]md.Record, error) { return nil, nil }

type Dir struct{}

// DefaultBase is where relays keep their directories.
const DefaultBase = "/dev/shm/tickrelay"

func OpenDir(base, relay string, perm Perm) (*Dir, error) { return &Dir{}, nil }
func (d *Dir) Path() string                               { return "" }
func (d *Dir) CreateRing(name string, capacity int, m Meta) (*Segment, error) {
	return nil, errors.ErrUnsupported
}
func (d *Dir) CreateTable(entries int) (*md.Table, error) { return nil, errors.ErrUnsupported }
func (d *Dir) Close() error                               { return nil }

// OpenTable maps a relay's instrument table read-only; close unmaps it.
func OpenTable(dir string) (v *md.TableView, close func() error, err error) { return nil, nil, nil }

type BookSource interface { // Chunk(cur *book.Cursor, dst []md.Record) (n int, done bool), once ring/book is there
}

type TopicID int32

type PublisherConfig struct {
	Venue     md.Venue
	Epoch     int64
	Heartbeat time.Duration // 0: 1 s
	Now       func() int64
}

type Publisher struct{}

func NewPublisher(PublisherConfig) *Publisher                                          { return &Publisher{} }
func (p *Publisher) AddTopic(instrument uint32, ch md.Channel, src BookSource) TopicID { return 0 }
func (p *Publisher) Publish(t TopicID, event []md.Record)                              {}
func (p *Publisher) Gap(t TopicID, reason md.GapReason, missing uint32, tsRecv int64)  {}
func (p *Publisher) Rebuilt(t TopicID, tsRecv int64)                                   {}
func (p *Publisher) InstrumentChanged(instrument uint32, rec md.Record)                {}
func (p *Publisher) Flush()                                                            {}
func (p *Publisher) Turn(now int64) (more bool)                                        { return false }
func (p *Publisher) Attach(seg *Segment, want func(instrument uint32, ch md.Channel) bool) (*Producer, error) {
	return nil, nil
}
func (p *Publisher) Detach(*Producer)          {}
func (p *Publisher) TopicSeq(t TopicID) uint64 { return 0 }
func (p *Publisher) Broken(t TopicID) bool     { return false }

type Producer struct{}

func (p *Producer) Segment() *Segment { return nil }
func (p *Producer) Err() error        { return nil }

type WaitMode uint8

const (
	WaitSpin WaitMode = iota
	WaitYield
	WaitBlock
)

type Consumer struct{}

func OpenConsumer(seg *Segment) (*Consumer, error)    { return &Consumer{}, nil }
func Open(dir, name string) (*Consumer, error)        { return &Consumer{}, nil }
func (c *Consumer) Name() string                      { return "" }
func (c *Consumer) Poll(dst []md.Record) (int, error) { return 0, nil }
func (c *Consumer) Lend(max int, f func([]md.Record)) (int, error) {
	return 0, nil
}

// Wait returns true when there is something to read, false after timeout or Interrupt.
func (c *Consumer) Wait(mode WaitMode, timeout time.Duration) (bool, error) { return false, nil }

// Interrupt ends a Wait of another goroutine.
func (c *Consumer) Interrupt()          {}
func (c *Consumer) Epoch() int64        { return 0 }
func (c *Consumer) TableID() uint64     { return 0 }
func (c *Consumer) Capacity() int       { return 0 }
func (c *Consumer) Depth() int          { return 0 }
func (c *Consumer) Lag(now int64) int64 { return 0 }
func (c *Consumer) ProducerAlive() bool { return true }
func (c *Consumer) Close() error        { return nil }

// Poller reads several rings in turn.
type Poller struct{}

func NewPoller(cs ...*Consumer) *Poller                                   { return &Poller{} }
func (p *Poller) Poll(dst []md.Record) (int, error)                       { return 0, nil }
func (p *Poller) Wait(mode WaitMode, timeout time.Duration) (bool, error) { return false, nil }
func (p *Poller) Interrupt()                                              {}
func (p *Poller) Consumers() []*Consumer                                  { return nil }
func (p *Poller) Table() *md.TableView                                    { return nil }
func (p *Poller) Close() error                                            { return nil }

type AttachRequest struct {
	Strategy string   `json:"strategy"`
	Topics   []string `json:"topics"`
	Capacity int      `json:"capacity,omitempty"`
	UID, GID uint32   `json:"-"`
	PID      int32    `json:"-"`
}
type AttachHandler func(AttachRequest) (segments []*Segment, detach func(), err error)

func SocketPath(relay string) string                                              { return "" }
func Serve(ctx context.Context, path string, handler AttachHandler) error         { return nil }
func Attach(ctx context.Context, path string, req AttachRequest) (*Poller, error) { return nil, nil }
