package feeds

import "time"

// LineState is where a line is in its life.
type LineState uint8

// States of a line, in the order in which they are passed.
const (
	LineIdle        LineState = iota // not started, or stopped
	LineBackoff                      // waiting before the next attempt
	LineResolving                    // looking up the host's addresses
	LineDialling                     // TCP handshake
	LineTLS                          // TLS handshake
	LineHandshaking                  // WebSocket upgrade
	LineLive                         // connected; subscriptions sent or being sent
)

var lineStateNames = [...]string{"idle", "backoff", "resolving", "dialling", "tls", "handshaking", "live"}

// String returns the state's name in lower case.
func (s LineState) String() string {
	if int(s) < len(lineStateNames) {
		return lineStateNames[s]
	}
	return "unknown"
}

// Health is a picture of a feed at one moment.
type Health struct {
	Name  string // of the feed
	Venue string
	URL   string
	State string // "live" if a line is, else the state of the line that got furthest
	Since int64  // wall ns of the last change of State

	Lines []LineHealth

	Catalogue      string // "none", "cached", "fetched", or "failed: …"
	Instruments    int    // in the last catalogue that was read
	CatalogueAt    int64  // wall ns of that, 0 if none
	RESTRequests   uint64
	RESTFailures   uint64
	MailboxRefused uint64 // messages refused because the mailbox was full

	Latency Latency // venue's event time to reception, last seconds
	Publish Latency // reception to the record's publication, last seconds
}

// LineHealth is the picture of one connection.
type LineHealth struct {
	Line  int
	State LineState
	Since int64 // wall ns of the last change of State

	Remote    string   // address last dialled
	Options   []string // socket options that the kernel really granted, "nodelay=1"
	Connects  uint64   // WebSocket connections made
	Attempts  uint64   // connection attempts made
	LastError string   // what ended the last attempt or connection, "" if nothing did
	LastFault string   // its reason, one of the names in Faults
	LastAt    int64    // wall ns of that
	Retry     time.Duration
	LastFrame int64 // wall ns at which bytes last came

	Frames uint64 // messages read
	Bytes  uint64 // in them
	Sent   uint64 // messages sent

	Faults map[string]uint64 // ended attempts and connections by reason; all reasons are present
}

// Latency holds percentiles over the last seconds, in ns. Count 0 means no
// sample; Negative counts samples below zero (clocks), which are in no
// percentile.
type Latency struct {
	Count    uint64
	Negative uint64
	P50, P99 int64
	Max      int64
}
