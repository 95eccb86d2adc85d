package wsconn

import (
	crand "crypto/rand"
	"math/rand/v2"

	"tickrelay/nettune"
)

// Op is a message's opcode.
type Op uint8

// Data opcodes, RFC 6455 section 5.2.
const (
	OpText   Op = 1
	OpBinary Op = 2

	opContinuation Op = 0
	opClose        Op = 8
	opPing         Op = 9
	opPong         Op = 10
)

// Limits that Config does not set.
const (
	maxControl = 125      // payload of a control frame, RFC 6455 section 5.5
	maxHeader  = 14       // frame header with 64-bit length and mask
	maxAnswer  = 16 << 10 // header of the server's answer to the handshake
	pongRoom   = 64 << 10 // unsent output beyond which pings go unanswered
)

// Config describes a connection. Host and Path are what the request asks for.
type Config struct {
	Host       string      // Host header, "stream.example.com" or with ":port"; required
	Path       string      // request target with query; "" is "/"
	Header     [][2]string // further request headers, in order
	MaxMessage int         // largest message, bytes; 0: 16 MiB
	MaxPending int         // largest unsent output, bytes; 0: 1 MiB
	ReadBuffer int         // first size of the read buffer, bytes; 0: 64 KiB
}

// withDefaults fills in the zero fields.
func (c Config) withDefaults() Config {
	if c.Path == "" {
		c.Path = "/"
	}
	if c.MaxMessage <= 0 {
		c.MaxMessage = 16 << 20
	}
	if c.MaxPending <= 0 {
		c.MaxPending = 1 << 20
	}
	if c.ReadBuffer <= 0 {
		c.ReadBuffer = 64 << 10
	}
	c.ReadBuffer = max(c.ReadBuffer, 512)
	return c
}

// state is where a connection stands.
type state uint8

const (
	idle    state = iota // nothing sent
	opening              // request sent, answer incomplete
	open
	failed // Conn.err says why, for good
)

// Stats are totals of one connection. Frames and Bytes count what was received.
type Stats struct {
	Messages, Frames, Bytes uint64
	Pings, Pongs            uint64 // received
	PongsDropped            uint64 // pings left unanswered because output was stuck
}

// Conn is a client connection. All methods belong to one goroutine, that of the
// stream's poller.
type Conn struct {
	s   nettune.Stream
	cfg Config
	st  state
	err error // sticky, in state failed

	// buf[r:w] is received and not parsed. While a message is incomplete its
	// payload so far lies in buf[msg:end], end ≤ r.
	buf       []byte
	peak      int // most of buf that was needed since it was looked at
	emptied   int // times that buf was empty since then
	r, w      int
	msg, end  int
	op        Op // of the incomplete message, 0 if none
	drained   bool
	lastRecv  int64
	stats     Stats
	scanned   int // handshake: bytes searched for the end of the header
	closeSent bool

	out    []byte // out[outPos:] waits for the stream
	outPos int
	rng    *rand.ChaCha8
	key    [24]byte // Sec-WebSocket-Key
}

// New prepares a connection over s, which is connected or about to be.
// Nothing is sent before Handshake.
func New(s nettune.Stream, cfg Config) *Conn {
	cfg = cfg.withDefaults()
	c := &Conn{s: s, cfg: cfg, buf: make([]byte, cfg.ReadBuffer)}
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails, crypto/rand
	// Masks must not be predictable by the application (RFC 6455 section 10.3).
	c.rng = rand.NewChaCha8(seed)
	return c
}

// Stream returns the stream underneath.
func (c *Conn) Stream() nettune.Stream { return c.s }

// Open reports whether the handshake is done and neither side has begun to
// close.
func (c *Conn) Open() bool { return c.st == open && !c.closeSent }

// LastRecv is the receive time of the last bytes of any kind (pongs too),
// CLOCK_REALTIME ns, 0 before the first.
func (c *Conn) LastRecv() int64 { return c.lastRecv }

// Pending is the number of bytes of output that wait for Flush.
func (c *Conn) Pending() int { return len(c.out) - c.outPos }

// Stats returns the totals so far.
func (c *Conn) Stats() Stats { return c.stats }

// fail makes err the connection's end.
func (c *Conn) fail(err error) error {
	c.st, c.err = failed, err
	return err
}
