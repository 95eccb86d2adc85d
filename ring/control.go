package ring

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// The control socket, a Unix stream socket. One connection is one lease: its
// rings live until it closes.
//
//	→ {"op":"attach","strategy":"alpha","topics":["binance.>"],"capacity":65536}\n
//	← {"op":"attached","relay":"r","dir":"…","table":true,"rings":[{"name":"…"},…]}\n
//	→ {"op":"subscribe","topics":["okx.trades.*"]}\n       or unsubscribe
//	← {"op":"subscribed","topics":["binance.>","okx.trades.*"],"rings":[…]}\n
//	← {"op":"error","code":"…","message":"…","nearest":["…"]}\n
//
// An answer's first byte carries its descriptors (SCM_RIGHTS), the second those
// for which the kernel had no room there: that of the instrument table if there
// is one, that to wake by if it was asked for, then .data and .ctl of each ring
// that is new, in order. An error in answer to
// attach ends the connection; one in answer to a change leaves all as it was.
const (
	maxRequest  = 64 << 10 // bytes of a request line
	maxAnswer   = 64 << 10
	maxRings    = 126 // two descriptors each
	maxPassed   = 253 // descriptors that the kernel passes at once (SCM_MAX_FD)
	maxPatterns = 1024
	maxLeases   = 256
	// maxAsked bounds the capacity that a client can ask for: 256 MiB per ring.
	maxAsked     = 1 << 22
	answerWithin = 5 * time.Second
)

// Codes of refused requests.
const (
	CodeBadRequest = "bad_request" // not understood, or out of range
	CodeBadTopic   = "bad_topic"   // a pattern does not parse
	CodeDenied     = "denied"      // the peer may not attach
	CodeRefused    = "refused"     // the relay said no; the message says why
	CodeBusy       = "busy"        // too many leases
	CodeNoSpace    = "no_space"    // the rings do not fit into shared memory
	CodeBadVersion = "bad_version" // the relay writes another layout version
)

// Ways to wait that AttachRequest.Wake names.
const (
	WakeBlock   = "block"   // sleeps on a futex
	WakeSpin    = "spin"    // never sleeps
	WakeYield   = "yield"   // never sleeps, but lets others run
	WakeEventFD = "eventfd" // sleeps on a descriptor, as event loops do
)

// AttachRequest asks for rings with some topics. The relay makes one ring per
// feed that serves any of them.
type AttachRequest struct {
	// Strategy names who asks, for display; 1 to 63 bytes.
	Strategy string `json:"strategy"`
	// Topics are patterns, 1 to 1024.
	Topics []string `json:"topics"`
	// Capacity of each ring in records, at most 4,194,304, rounded up; 0:
	// DefaultCapacity.
	Capacity int `json:"capacity,omitempty"`
	// Wake is how the client will wait, a Wake constant; "" is WakeBlock. Only
	// WakeEventFD changes what the relay does; the others are shown by ring stat.
	Wake string `json:"wake,omitempty"`
	// Version of the ring's layout that the client reads; 0: this one.
	Version int `json:"version,omitempty"`

	// Who asks, as the kernel says (SO_PEERCRED, unix(7)); set by Serve.
	UID uint32 `json:"-"`
	GID uint32 `json:"-"`
	PID int32  `json:"-"`
}

// validate returns the code and the reason why a request is refused, "" if not.
func (r *AttachRequest) validate() (code string, err error) {
	switch {
	case r.Strategy == "" || len(r.Strategy) >= nameSize:
		return CodeBadRequest, fmt.Errorf("strategy: want a name of 1 to %d bytes", nameSize-1)
	case len(r.Topics) == 0 || len(r.Topics) > maxPatterns:
		return CodeBadRequest, fmt.Errorf("topics: want 1 to %d patterns, got %d", maxPatterns, len(r.Topics))
	case r.Capacity < 0 || r.Capacity > maxAsked:
		return CodeBadRequest, fmt.Errorf("capacity: want 0 to %d records, got %d", maxAsked, r.Capacity)
	}
	switch r.Wake {
	case "", WakeBlock, WakeSpin, WakeYield, WakeEventFD:
	default:
		return CodeBadRequest, fmt.Errorf("wake %q: want %s, %s, %s or %s", r.Wake, WakeBlock, WakeSpin, WakeYield, WakeEventFD)
	}
	if r.Version != 0 && r.Version != Version {
		return CodeBadVersion, fmt.Errorf("the client reads layout version %d, this relay writes %d; take the client of the same release", r.Version, Version)
	}
	return checkPatterns(r.Topics)
}

func checkPatterns(topics []string) (code string, err error) {
	for _, t := range topics {
		if _, err := md.ParsePattern(t); err != nil {
			return CodeBadTopic, &TopicError{Topic: t, Why: err}
		}
	}
	return "", nil
}

// TopicError refuses a topic that nobody serves.
type TopicError struct {
	Topic   string
	Nearest []string // topics that exist, the most similar first
	Why     error    // nil: no feed serves it
}

// Error names the topic and its nearest neighbours.
func (e *TopicError) Error() string {
	text := fmt.Sprintf("no feed serves topic %q", e.Topic)
	if e.Why != nil {
		text = e.Why.Error()
	}
	if len(e.Nearest) > 0 {
		text += "; nearest: " + strings.Join(e.Nearest, ", ")
	}
	return text
}

// ErrNotRunning: nobody listens on the control socket.
var ErrNotRunning = errors.New("relay not running")

// AttachError is a refusal that the relay sent.
type AttachError struct {
	Code    string // one of the Code constants
	Message string
	Nearest []string // with CodeBadTopic: topics that exist
}

// Error gives the code and the message of the relay.
func (e *AttachError) Error() string {
	return fmt.Sprintf("ring: refused (%s): %s", e.Code, e.Message)
}

type wireRequest struct {
	Op string `json:"op"` // attach, subscribe or unsubscribe
	AttachRequest
}

type wireAnswer struct {
	Op      string     `json:"op"`
	Code    string     `json:"code,omitempty"`
	Message string     `json:"message,omitempty"`
	Nearest []string   `json:"nearest,omitempty"`
	Version int        `json:"version,omitempty"`
	Relay   string     `json:"relay,omitempty"`
	Dir     string     `json:"dir,omitempty"`
	Table   bool       `json:"table,omitempty"`
	EventFD bool       `json:"eventfd,omitempty"`
	Topics  []string   `json:"topics,omitempty"`
	Rings   []wireRing `json:"rings,omitempty"`
}

type wireRing struct {
	Name     string `json:"name"`
	Capacity int    `json:"capacity"`
}

// line is v as one JSON line.
func line(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	return append(b, '\n')
}

// readLine reads one bounded JSON line into v.
func readLine(br *bufio.Reader, v any) error {
	b, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("line longer than %d bytes", br.Size())
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

const runDir = "/run/tickrelay"

// SocketPath is where a relay listens: /run/tickrelay/NAME.sock if this user
// can write there, else $XDG_RUNTIME_DIR/tickrelay/NAME.sock. The directory is
// Serve's to make.
func SocketPath(relay string) string {
	if os.Geteuid() == 0 || unix.Access(runDir, unix.W_OK) == nil {
		return filepath.Join(runDir, relay+".sock")
	}
	return userSocket(relay)
}

// FindSocket is where a client finds a relay's socket: the first of the two
// places where one is, or, where none is yet, that at which a relay of this user
// will listen.
func FindSocket(relay string) string {
	p := filepath.Join(runDir, relay+".sock")
	if exists(p) {
		return p
	}
	if p = userSocket(relay); exists(p) {
		return p
	}
	return SocketPath(relay)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func userSocket(relay string) string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = fmt.Sprintf("/run/user/%d", os.Geteuid())
	}
	return filepath.Join(dir, "tickrelay", relay+".sock")
}
