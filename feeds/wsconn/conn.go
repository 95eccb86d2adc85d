package wsconn

import "tickrelay/nettune"

// Op is a message's opcode.
type Op uint8

// Data opcodes, RFC 6455 section 5.2.
const (
	OpText   Op = 1
	OpBinary Op = 2
)

// Config describes a connection. Host and Path are what the request asks for.
type Config struct {
	Host       string      // Host header, "stream.example.com" or with ":port"; required
	Path       string      // request target with query; "" is "/"
	Header     [][2]string // further request headers, in order
	MaxMessage int         // largest message, bytes; 0: 16 MiB
	MaxPending int         // largest unsent output, bytes; 0: 1 MiB
}

// Conn is a client connection. All methods belong to one goroutine.
type Conn struct {
	s nettune.Stream
}

// New prepares a connection over s, which is connected or about to be.
// Nothing is sent before Handshake.
func New(s nettune.Stream, cfg Config) *Conn { return &Conn{s: s} }

// Handshake sends the opening request and reads the answer. Call it when the
// stream is Connected and again at each Readable or Writable until it returns
// nil (open) or an error other than nettune.ErrWouldBlock (failed).
func (c *Conn) Handshake() error { return nettune.ErrNotSupported }

// Open reports whether the handshake is done and neither side has closed.
func (c *Conn) Open() bool { return false }

// Read returns the next complete message, or nettune.ErrWouldBlock. Payload
// lies in the connection's buffer and is valid until the next Read. rxNs is the
// receive time of the bytes that completed it. Call until ErrWouldBlock.
func (c *Conn) Read() (op Op, payload []byte, rxNs int64, err error) {
	return 0, nil, 0, nettune.ErrNotSupported
}

// WriteText sends a text message; what the stream does not take is buffered
// and Writable events are asked for (call Flush on them). ErrPendingFull when
// more than MaxPending would wait.
func (c *Conn) WriteText(p []byte) error { return nettune.ErrNotSupported }

// WriteBinary is WriteText for a binary message.
func (c *Conn) WriteBinary(p []byte) error { return nettune.ErrNotSupported }

// Ping sends a ping with up to 125 bytes of data.
func (c *Conn) Ping(data []byte) error { return nettune.ErrNotSupported }

// Flush sends buffered output; call it at Writable events. nil when nothing is
// left, nettune.ErrWouldBlock when some is.
func (c *Conn) Flush() error { return nettune.ErrNotSupported }

// Close sends a close frame with code (1000, 1001 …) and reason. The stream
// stays open: Read until *ErrClosed, or give up and close the stream.
func (c *Conn) Close(code uint16, reason string) error { return nettune.ErrNotSupported }

// Stream returns the stream underneath.
func (c *Conn) Stream() nettune.Stream { return c.s }

// LastRecv is the receive time of the last bytes of any kind (pongs too),
// CLOCK_REALTIME ns, 0 before the first.
func (c *Conn) LastRecv() int64 { return 0 }

// Pending is the number of bytes of output that wait for Flush.
func (c *Conn) Pending() int { return 0 }
