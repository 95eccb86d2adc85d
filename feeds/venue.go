package feeds

import (
	"errors"
	"time"

	"tickrelay/ring/md"
)

// A Venue knows one exchange's dialect and nothing else: it builds and reads
// frames, states the integrity rule and maps symbols. It does no I/O, keeps no
// state between calls and starts no goroutine, so one value serves any number
// of feeds. One file implements it per exchange.
type Venue interface {
	// Spec returns the constant facts about the venue.
	Spec() *Spec

	// Subscribe appends the text frames that subscribe to subs, within the
	// venue's limits per frame, to dst and advances rq.ID by them.
	Subscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte
	// Unsubscribe is the reverse of Subscribe.
	Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte

	// Decode reads one complete message into d, which the caller has Reset.
	// Numbers keep the digits and the exponent of the wire. It allocates
	// nothing in steady state, never writes to frame and keeps no reference
	// to it. ErrUnsupported marks another dialect, any other error a frame that
	// violates the venue's document; d is then undefined.
	Decode(frame []byte, d *Decoded) error

	// Sequence judges a decoded book event against what the book holds.
	Sequence(b *BookState, ev *Event) Verdict

	// Checksum returns the venue's checksum of a book, as it would be sent in
	// Event.Checksum. Called only for events with HasChecksum.
	Checksum(b *Book) int64

	// SnapshotURL is the REST address of an instrument's book snapshot, below
	// base, or "" where snapshots come in band.
	SnapshotURL(base string, in *md.Instrument) string
	// DecodeSnapshot reads the REST answer into d as one Event for in with
	// Action Replace.
	DecodeSnapshot(body []byte, in *md.Instrument, d *Decoded) error

	// Catalogue are the REST requests, below base, for the instrument lists.
	Catalogue(base string) []Request
	// DecodeCatalogue calls each for every instrument of one list, or one page
	// of a list, that trades. more is what must be appended to the request's
	// address to get the next page, "" after the last.
	DecodeCatalogue(body []byte, each func(md.Instrument)) (more string, err error)

	// Native gives the venue's name of a symbol where no catalogue is at hand,
	// Symbol the reverse with the instrument's kind; false where no rule exists.
	// class is what Decode found beside the name (Bitget's instType), else "".
	Native(symbol string) (string, bool)
	Symbol(native, class string) (symbol string, kind md.InstrumentKind, ok bool)
}

// Requests numbers the requests of one connection and tells the time to those
// that must be signed.
type Requests struct {
	ID  int   // of the next request, starting at 1
	Now int64 // CLOCK_REALTIME, ns

	held   map[string]bool // streams that other subscriptions live from
	noting bool            // fill held and send nothing
	asked  map[int]asked   // requests by number, where they are noted
}

// asked is a request for some of the venue's streams, as it can be made again.
type asked struct {
	args  []string // that name the streams
	frame func(id int, arg string) []byte
}

// note notes the request that is about to be numbered.
func (rq *Requests) note(args []string, frame func(id int, arg string) []byte) {
	if rq.asked != nil {
		rq.asked[rq.ID] = asked{args, frame}
	}
}

// Held reports whether the connection carries a stream for other subscriptions,
// so that it is neither asked for again nor ended. A venue asks this of each
// stream, named in whatever way tells its streams apart.
func (rq *Requests) Held(stream string) bool {
	if rq.noting {
		rq.held[stream] = true
	}
	return rq.held[stream]
}

// Request is a REST request: GET, or with a Body (JSON) POST.
type Request struct {
	URL    string
	Body   []byte
	Header [][2]string // names and values beyond the usual
}

// What a venue may implement beside Venue, where its protocol asks for it.
type (
	// Opener has frames to send when a connection is up, before the
	// subscriptions: options, heartbeats, a log-in.
	Opener interface {
		Open(dst [][]byte, rq *Requests) [][]byte
	}
	// Stateful venues send frames that mean something only after what was said
	// before on the same connection.
	Stateful interface {
		// NewConn returns what is to be kept of one connection from its start.
		NewConn() Conn
	}
	// Bootstrapper venues tell by REST where to connect.
	Bootstrapper interface {
		// Bootstrap is the request, below base, to make before each connection.
		Bootstrap(base string) Request
		// Endpoint reads its answer: the WebSocket address, below ws where the
		// configuration names one ("" if not), for a connection called id.
		Endpoint(body []byte, ws, id string) (string, error)
	}
	// Credentialed venues show more, or anything at all, to those who log in.
	Credentialed interface {
		// WithCredentials returns a venue that logs in, whose Spec may differ,
		// or what is wrong with c. Nothing of c may appear in an error.
		WithCredentials(c Credentials) (Venue, error)
		// CredentialsFor says what they are needed for, for the docs.
		CredentialsFor() string
	}
	// Signer venues want the requests of book snapshots signed.
	Signer interface {
		// Sign adds to rq what proves the account at now (CLOCK_REALTIME, ns).
		// It is called right before the request is made, on any goroutine.
		Sign(rq *Request, now int64)
	}
)

// Credentials are an account's keys at a venue, for market data only.
type Credentials struct {
	Key, Secret, Passphrase string
}

// Conn decodes the frames of one connection of a Stateful venue.
type Conn interface {
	// Decode is Venue.Decode with what the connection has said before.
	Decode(frame []byte, d *Decoded) error
	// Unsubscribe is Venue.Unsubscribe likewise.
	Unsubscribe(dst [][]byte, subs []Sub, rq *Requests) [][]byte
}

// Route is a class of channels that a venue serves at an address of its own.
type Route struct {
	Path     string // appended to the address's path
	Channels []md.Channel
}

// Spec holds the constant facts about a venue.
type Spec struct {
	Name  string   // as in topics and configuration
	Venue md.Venue // its number
	Doc   string   // where the protocol is documented

	URL  string // default WebSocket address
	REST string // default REST base, "" if unused
	// Header are names and values that go with the WebSocket handshake and with
	// every REST request.
	Header [][2]string

	Channels []ChannelSpec
	// Routes are set where channels are served at several addresses: each
	// channel is in exactly one. Empty: all at URL.
	Routes []Route

	// Exponents of prices and sizes where no catalogue says better.
	PriceExp, SizeExp int8

	// Ping is the text frame that keeps the connection alive, sent every
	// PingEvery; nil where protocol pings or nothing are wanted.
	Ping      []byte
	PingEvery time.Duration
	// DeadAfter without any frame from the venue the connection is dead.
	DeadAfter time.Duration
	// MaxFrame is the largest message accepted, in bytes.
	MaxFrame int
	// SubsPerFrame and SubsPerConn bound the venue's streams in a request and on a
	// connection, 0 for no bound.
	SubsPerFrame, SubsPerConn int
	// SendEvery is the least time between frames that we send.
	SendEvery time.Duration
	// SnapshotEvery is the least time between REST snapshots (rate limit).
	SnapshotEvery time.Duration
	// ConsecutiveTrades says that an instrument's trade ids grow by one, so that
	// a loss is counted exactly and a repetition is recognised.
	ConsecutiveTrades bool
	// RisingTrades says that an instrument's trade ids grow, with holes, so that
	// a repetition is recognised though a loss is not.
	RisingTrades bool
	// UniqueTrades says that trade ids are the same on every connection though
	// neither consecutive nor rising (UUIDs, hashes): a repetition is
	// recognised among the last thousands.
	UniqueTrades bool
	// MergeBooks says that book events carry numbers that are the same on every
	// connection, so that lines can be merged event by event. Otherwise each
	// line keeps its own book and one is on standby.
	MergeBooks bool
	// BlindBooks says that updates of books carry nothing by which the loss of
	// one is sure to be noticed: no number, at most a checksum of some levels.
	BlindBooks bool
	// BookTime is the unit of SeqLast where book events are ordered by the venue's
	// time alone; 0 where they are numbered, or not ordered at all.
	BookTime time.Duration
	// BookDepth is the number of levels per side that the venue maintains
	// without telling which ones leave; 0 where it tells. An event may say
	// otherwise.
	BookDepth int
	// ReplacesSubs says that a subscription request replaces what was subscribed
	// on the connection before: Subscribe always gets all.
	ReplacesSubs bool
	// WholeRequests says that a request with one stream that the venue does not
	// know is refused as a whole, and that answers tell its number
	// (Decoded.Request).
	WholeRequests bool
	// BlindRefusals says that such a request may be refused as a whole, and that the
	// answer tells neither its number nor the stream: what brought nothing is asked
	// for again in ever smaller requests.
	BlindRefusals bool
	// WaitReady says that subscriptions wait for a frame with ControlReady.
	WaitReady bool
	// ConnSeq, for the docs, is the rule of numbers that count all frames of a
	// connection (Decoded.ConnSeq), "" if there are none.
	ConnSeq string
}

// ChannelSpec is one channel of a venue.
type ChannelSpec struct {
	Channel md.Channel
	Native  string // the venue's name of the stream, for the docs
	Rule    string // the integrity rule that is checked, for the docs; "" if none
}

// Sub is one subscription: an instrument's channel.
type Sub struct {
	Channel    md.Channel
	Instrument *md.Instrument
}

// ErrUnsupported is returned by Decode for a frame in a dialect of the exchange
// that this venue's page does not list.
var ErrUnsupported = errors.New("unsupported dialect")

// Control is what a frame says about the session rather than the market.
type Control uint8

// Control classes of a decoded frame.
const (
	ControlNone        Control = iota // market data, or nothing of interest
	ControlAck                        // a request was accepted
	ControlError                      // a request was refused; Decoded.Text says why
	ControlPong                       // answer to Spec.Ping
	ControlReply                      // Decoded.Text is to be sent back at once (application-level ping)
	ControlReconnect                  // the venue is about to close this connection
	ControlNotice                     // Decoded.Text is worth a log line
	ControlReady                      // subscriptions may be sent now, see Spec.WaitReady
	ControlMaintenance                // the venue pauses: nothing it showed is current until it sends anew
	ControlHeld                       // as ControlError, because the connection has one of the streams already
)

// Action says how a book event's records relate to the book.
type Action uint8

// Actions of book events.
const (
	ActionUpdate  Action = iota // absolute sizes of some levels
	ActionReplace               // the whole book
)

// Event is one decoded market event: the records Decoded.Recs[From:To], all of
// one topic, in the order of the venue.
type Event struct {
	Channel md.Channel
	Action  Action
	// Native is the venue's instrument name, a slice of the frame; Class what
	// else is needed to tell instruments apart.
	Native []byte
	Class  []byte
	// From and To delimit the records in Decoded.Recs. Only Kind, Flags (IDHash),
	// TsEvent, Price, Size, ID, Side, Level, the exponents and Count are set;
	// the exponents are the wire's (minus the number of decimals), mantissas
	// keep trailing zeros.
	From, To int
	// The venue's sequence numbers as its rule needs them; 0 where not sent,
	// -1 where the venue says so.
	SeqFirst, SeqLast, SeqPrev int64
	Checksum                   int64
	HasChecksum                bool
	// Text is the full text of a trade id that did not fit 64 bits.
	Text []byte
	// Depth overrides Spec.BookDepth where the frame says how deep the book is.
	Depth int
}

// Decoded receives what a frame holds. Its slices are reused from frame to
// frame; growth stops once the largest frame was seen.
type Decoded struct {
	Events  []Event
	Recs    []md.Record
	Control Control
	Text    []byte // a slice of the frame, or constant
	Request int    // number of the request that Control answers, 0 where not told
	// Native and Channel are what ControlAck says is subscribed; nil where not told.
	Native  []byte
	Channel md.Channel
	// Refused counts the statistics left out because no int64 mantissa holds
	// their digits; the rest of the frame is good.
	Refused int
	// ConnSeq, with HasConnSeq, numbers the frames of a connection by one,
	// whatever they hold: after a hole everything on it may be wrong.
	ConnSeq    int64
	HasConnSeq bool
}

// Reset empties d and keeps its memory.
func (d *Decoded) Reset() {
	d.Events, d.Recs = d.Events[:0], d.Recs[:0]
	d.Control, d.Text, d.Request, d.Native, d.Refused = ControlNone, nil, 0, nil, 0
	d.ConnSeq, d.HasConnSeq = 0, false
}

// Verdict is the outcome of a sequence rule.
type Verdict uint8

// Verdicts on a book event.
const (
	VerdictApply  Verdict = iota // chains: apply
	VerdictIgnore                // older than the book, or a keep-alive: count and drop
	VerdictGap                   // does not chain: the book is broken
	VerdictWait                  // cannot be judged before a REST snapshot: buffer
)

// BookState is what a venue's sequence rule may look at.
type BookState struct {
	Seq      int64 // SeqLast of the last event applied, 0 if none
	FromREST bool  // the book was set by a REST snapshot and no live event was applied since
	// Covered: the REST snapshot is not older than the first event held for it,
	// if there was one. Of use where events have times and no numbers.
	Covered bool
	Time    int64 // TsEvent of the last event applied, 0 if none or unknown
	Empty   bool  // no snapshot yet: only ActionReplace can start the book
}
