package nettune

import (
	"errors"
	"net/netip"
	"os"
	"time"
)

// Transport makes pollers: it is a TCP stack seen from one event loop. The
// kernel's is KernelTransport; a user-space stack implements the same
// interfaces. A Transport is safe for concurrent use, a Poller is not.
type Transport interface {
	// Name is a short constant name for logs and status pages, such as "kernel".
	Name() string
	// NewPoller returns a poller that the caller must Close.
	NewPoller(PollerConfig) (Poller, error)
}

// PollerConfig configures a poller. The zero value sleeps in Poll and is fit
// for everything that need not react within microseconds.
type PollerConfig struct {
	// Busy makes Poll never sleep: it asks the stack again and again, yielding
	// between turns, until there is an event, a Wake, or wait has passed. It
	// burns the CPU that it runs on.
	Busy bool
}

// Poller is one event loop's view of a transport. All methods except Wake, and
// all methods of its streams and listeners, belong to one goroutine.
type Poller interface {
	// Dial starts to connect and returns at once. An event with Connected, or
	// with Closed and the reason, follows in a later Poll. An error that is
	// known at once (no route, no local address, out of descriptors) is
	// returned instead, and then there is no stream and no event.
	Dial(DialOptions) (Stream, error)
	// Listen opens a listener; Accept events follow.
	Listen(ListenOptions) (Listener, error)
	// Poll appends ready streams and listeners to dst. It waits until something
	// is ready or Wake is called: for ever with wait < 0, not at all with 0, at
	// most wait otherwise, with the precision of the host's timer (well below a
	// millisecond where the host can). It may return early with no event.
	//
	// Events are level-triggered: Readable repeats in each Poll while bytes or
	// the end of the stream are unread, Writable while wanted and possible.
	// An event may name a stream that the caller closed while it worked on an
	// earlier event of the same Poll; its methods then return net.ErrClosed. A
	// stream may be named twice: whoever gives one away (Release) looks out.
	Poll(dst []Event, wait time.Duration) ([]Event, error)
	// Release lets go of a stream without closing it, so that a poller in
	// another goroutine can Adopt it: the owner calls Release, hands the stream
	// over (channel), the new owner calls Adopt. Between the two only Close may
	// be called.
	Release(Stream) error
	// Adopt takes a stream that another poller of the same transport has
	// Released. ErrNotReleased, ErrForeign and net.ErrClosed say why not.
	Adopt(Stream) error
	// Wake makes a Poll that runs now, or else the next one, return. Safe from
	// any goroutine, also after Close. Wakes before a Poll coalesce.
	Wake()
	// Close closes every stream and listener that the poller owns.
	Close() error
}

// EventFlags say what is ready.
type EventFlags uint8

// Event flags; several may be set at once.
const (
	// Readable: Read will return bytes, io.EOF or the stream's error; rarely
	// ErrWouldBlock (half a TLS record, a caller that has read since).
	Readable EventFlags = 1 << iota
	// Writable: WantWrite is on and Write will take bytes.
	Writable
	// Connected: a dialled stream, or the handshake of a TLS stream, is done.
	// With TCP Fast Open a plain stream is Connected before the peer has been
	// asked: nothing is sent until the first Write, and a refused connection
	// then shows in Read.
	Connected
	// Closed: the stream never came up, Event.Err says why; its resources are
	// freed and Close does nothing. The end of a stream that was Connected is
	// not reported so: it is Readable and Read returns the reason.
	Closed
	// Accept: Listener.Accept will return a stream.
	Accept
)

// Event is one ready stream or listener.
type Event struct {
	Stream   Stream   // nil for Accept
	Listener Listener // nil except for Accept
	Flags    EventFlags
	Err      error // with Closed
}

// Stream is a non-blocking connection. Its methods belong to its poller's
// goroutine.
type Stream interface {
	// Read returns at least one byte or an error: ErrWouldBlock when nothing is
	// there, io.EOF when the peer has finished sending (writing may still work),
	// net.ErrClosed after Close, else what broke the connection. rxTimeNs is
	// when the (last) bytes returned reached this host, CLOCK_REALTIME ns: by
	// the stack if Options.Timestamps was granted and a stamp came along,
	// otherwise the time at which Read returned.
	Read(p []byte) (n int, rxTimeNs int64, err error)
	// Write takes all of p, or a part and an error. With ErrWouldBlock the n
	// bytes were taken and the rest must be offered again after a Writable
	// event (see WantWrite). Plain streams may take a part; TLS streams take
	// all of p or, when too much is unsent, nothing.
	Write(p []byte) (n int, err error)
	// Close ends the stream in both directions and frees it. Idempotent.
	Close() error
	// Granted reads the options back from the stack: what is in force, not what
	// was asked. The zero Options after Close. A slow call, not for hot paths.
	Granted() Options
	// WantWrite switches Writable events on or off; off at first.
	WantWrite(on bool)
	// SetData keeps a value of the caller's with the stream; Data returns it.
	SetData(any)
	Data() any
	// RemoteAddr is the peer, LocalAddr this end (invalid while unknown).
	RemoteAddr() netip.AddrPort
	LocalAddr() netip.AddrPort
}

// Listener accepts streams for the poller that opened it.
type Listener interface {
	// Accept returns a stream owned by the listener's poller, or ErrWouldBlock.
	// Any other error is of one connection or temporary (out of descriptors):
	// the listener itself stays open.
	Accept() (Stream, error)
	// Addr is the bound address, with the port that was chosen for port 0.
	Addr() netip.AddrPort
	// Granted is Stream.Granted for the listener.
	Granted() Options
	// Close stops listening; accepted streams stay. Idempotent.
	Close() error
}

// Sharer is implemented by listeners whose socket another process can take over.
type Sharer interface {
	// File returns a duplicate of the listening socket, which the caller closes.
	File() (*os.File, error)
}

// DialOptions says where to connect and how.
type DialOptions struct {
	Addr    netip.AddrPort // peer, IPv4 or IPv6
	Bind    netip.Addr     // local address; zero: the stack chooses
	Options Options        // zero: DefaultOptions
	Timeout time.Duration  // until Connected; 0: 10 s, negative: the stack's own
}

// ListenOptions says where to listen and how.
type ListenOptions struct {
	Addr      netip.AddrPort // unspecified address: all of that family
	Options   Options        // of the listener and its streams; zero: DefaultOptions
	Backlog   int            // queued connections; 0: 1024
	ReusePort bool           // several listeners share the port, the stack spreads
	// Inherited, if not nil, is a listening socket made by somebody else (another
	// process, systemd) to use instead of a new one: Addr, Backlog and ReusePort are
	// not looked at. The listener keeps a duplicate of it, the caller closes it.
	// ErrNotSupported where the stack is not the kernel's.
	Inherited *os.File
}

// wouldBlock is the type of ErrWouldBlock.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nettune: operation would block" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// ErrWouldBlock says that a non-blocking call had nothing to do; wait for an
// event. It is a net.Error with Timeout and Temporary true, which is what
// crypto/tls asks of an error after which it resumes.
var ErrWouldBlock error = wouldBlock{}

// Errors that callers decide on.
var (
	// ErrNotReleased: Adopt of a stream that its poller still owns.
	ErrNotReleased = errors.New("nettune: stream is still owned by a poller: call Release first")
	// ErrForeign: a stream of another transport, or not of this poller.
	ErrForeign = errors.New("nettune: stream does not belong to this poller")
	// ErrNotSupported: the transport or the stream cannot do this.
	ErrNotSupported = errors.New("nettune: not supported by this transport")
	// ErrDialTimeout: DialOptions.Timeout passed before the peer answered.
	ErrDialTimeout = errors.New("nettune: connect timed out")
	// ErrHandshakeTimeout: the TLS deadline passed.
	ErrHandshakeTimeout = errors.New("nettune: TLS handshake timed out")
)
