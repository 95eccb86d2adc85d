package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one way in which an exchange, or the way to it, misbehaves. The
// names of the closed list below are what flags and configuration use.
type Fault uint8

// The faults. "Next" is per connection; faults of connections act on every
// open one when injected by Server.Inject, on one of them when seeded.
const (
	FaultNone          Fault = iota
	FaultCutMidFrame         // the next data frame ends in its middle with the connection
	FaultGarbage             // a text frame that is not JSON
	FaultHugeFrame           // a text frame of HugeFrameSize bytes
	FaultBadChecksum         // the next book frame with a checksum carries a wrong one
	FaultMissingSeq          // the next book update is never sent
	FaultDuplicate           // the next data frame is sent twice
	FaultReorder             // the next two book updates of an instrument change places
	FaultStall               // nothing is sent for Faults.For, then all that waited
	FaultSilent              // nothing is sent any more, not even a pong; connections of the next Faults.For get their acks and no more
	FaultMute                // pings are answered and requests acked, market data is not sent any more; also connections of the next Faults.For
	FaultSlowDrip            // bytes one by one for Faults.For
	FaultRESTError           // the next REST answer is a 500
	FaultRESTTruncated       // the next REST body ends in its middle
	FaultRESTStale           // the next book snapshot is the one at the start of the server
	FaultREST429             // REST answers 429 with Retry-After for Faults.For
	FaultRefuse              // no listening socket for Faults.For; open connections live on
	FaultGoingAway           // close frame 1001, then the connection ends
	FaultLose                // the next data frame, of whatever stream, is never sent
	FaultTruncate            // the next data frame ends in its middle, as a whole message
	FaultCorrupt             // the next data frame has a byte that is no JSON
	FaultNotice              // the venue's announcement of a shutdown, the close 1001 after Faults.For
	numFaults
)

// HugeFrameSize is the payload size of FaultHugeFrame, in bytes.
const HugeFrameSize = 10 << 20

// faultNames are the names in the order of the constants.
func faultNames() [numFaults]string {
	return [numFaults]string{
		"none", "cut-mid-frame", "garbage", "huge-frame", "bad-checksum", "missing-seq", "duplicate",
		"reorder", "stall", "silent", "mute", "slow-drip", "rest-error", "rest-truncated", "rest-stale",
		"rest-429", "refuse", "going-away", "lose", "truncate", "corrupt", "notice",
	}
}

// String is the fault's name.
func (f Fault) String() string {
	if f >= numFaults {
		return "fault(" + strconv.Itoa(int(f)) + ")"
	}
	return faultNames()[f]
}

// ParseFault is the reverse of String; the error lists the names.
func ParseFault(name string) (Fault, error) {
	names := faultNames()
	if i := slices.Index(names[:], name); i > 0 {
		return Fault(i), nil
	}
	return FaultNone, fmt.Errorf("sim: unknown fault %q, want one of %s", name, strings.Join(names[1:], " "))
}

// AllFaults lists every fault.
func AllFaults() []Fault {
	all := make([]Fault, 0, numFaults-1)
	for f := FaultNone + 1; f < numFaults; f++ {
		all = append(all, f)
	}
	return all
}

// rest says whether the fault is one of REST answers.
func (f Fault) rest() bool { return f >= FaultRESTError && f <= FaultREST429 }

// Faults says which faults happen by themselves, and how long the lasting ones
// last. The zero value injects nothing.
type Faults struct {
	// Seed makes the plan: the same seed and Every give the same faults at the
	// same market events.
	Seed uint64
	// Every is the mean number of market events from one fault of a kind to
	// the next, at least 1.
	Every map[Fault]int
	// For is how long stall, slow-drip, refuse, rest-429, notice and the
	// welcome of silent and mute last; 0 means 2 s.
	For time.Duration
	// Possible leaves out the faults of Every that make no sense at the venue,
	// instead of refusing them.
	Possible bool
	// Oldest makes them happen to the oldest connection only, as if the way to it
	// alone were bad.
	Oldest bool
}

// possible is f without the faults that a venue does not support.
func (f Faults) possible(d dialect) Faults {
	every := make(map[Fault]int, len(f.Every))
	for k, n := range f.Every {
		if d.supports(k) == nil {
			every[k] = n
		}
	}
	f.Every = every
	return f
}

func (f Faults) withDefaults() Faults {
	if f.For == 0 {
		f.For = 2 * time.Second
	}
	return f
}

func (f Faults) validate() error {
	if f.For < 0 {
		return fmt.Errorf("sim: faults: for %s is negative", f.For)
	}
	for k, n := range f.Every {
		if k == FaultNone || k >= numFaults {
			return fmt.Errorf("sim: faults: %s is not a fault", k)
		}
		if n < 1 {
			return fmt.Errorf("sim: faults: %s every %d events, want at least 1", k, n)
		}
	}
	return nil
}

// ParseFaults reads a list as command lines give it, for example
// "garbage=5000,stall=20000,for=3s,seed=7": NAME=MEAN in market events, for a
// duration, seed a number. The empty string is no fault.
func ParseFaults(s string) (Faults, error) {
	f := Faults{}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return Faults{}, fmt.Errorf("sim: fault %q: want NAME=EVENTS", part)
		}
		var err error
		switch name {
		case "seed":
			f.Seed, err = strconv.ParseUint(value, 10, 64)
		case "for":
			f.For, err = time.ParseDuration(value)
		default:
			var k Fault
			if k, err = ParseFault(name); err != nil {
				return Faults{}, err
			}
			if f.Every == nil {
				f.Every = make(map[Fault]int)
			}
			f.Every[k], err = strconv.Atoi(value)
		}
		if err != nil {
			return Faults{}, fmt.Errorf("sim: fault %q: %w", part, err)
		}
	}
	return f, f.validate()
}
