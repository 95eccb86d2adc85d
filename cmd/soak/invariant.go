package soak

import "fmt"

// Invariant is a rule that holds at every time of a soak, whatever goes wrong.
type Invariant uint8

// The invariants, in the order of reports.
const (
	Chain Invariant = iota
	Once
	Complete
	Real
	Uncrossed
	Formed
	Whole
	Equal
	Explained
	Brought
	Left
	Alive
	Space
	FlatMemory
	FlatFiles
	FlatGoroutines
	FlatShm
	numInvariants
)

// rule is what an invariant says, and what one check of it is.
type rule struct{ name, says, unit string }

func rules() [numInvariants]rule {
	return [numInvariants]rule{
		Chain:          {"chain", "numbers of a topic follow each other, or a gap says which do not come; no epoch and no number goes back", "records and messages"},
		Once:           {"once", "no trade comes twice", "trades with an id that tells"},
		Complete:       {"complete", "no trade of the exchange is missing without a gap that counts it", "trades with consecutive ids"},
		Real:           {"real", "every price and size is one that the exchange sent", "prices with sizes"},
		Uncrossed:      {"uncrossed", "no book that is whole is crossed", "events of books"},
		Formed:         {"formed", "every record and message is valid, of a topic that was told before", "records and messages"},
		Whole:          {"whole", "after the faults every book of every reader is whole again within " + settleWithin.String(), "books"},
		Equal:          {"equal", "while the market stands still every reader's books equal the exchange's, level by level", "levels"},
		Explained:      {"explained", "a book that does not equal at once is one whose last update a fault had just taken away", "books that did not"},
		Brought:        {"brought", "while the market stands still every reader's last trade and quotes are the exchange's", "last trades and quotes"},
		Left:           {"left", "a connection on which the exchange sends no data any more is left within " + leftWithin.String() + " after the storm", "such connections"},
		Alive:          {"alive", "no process ends by itself; what is asked to end does so in time, with exit code 0; what was killed starts again", "lives"},
		Space:          {"space", "a full /dev/shm refuses new rings with that reason, and disturbs nobody else", "refusals"},
		FlatMemory:     {"memory", "no process's own memory grows", "readings of RssAnon"},
		FlatFiles:      {"descriptors", "no process holds more and more descriptors", "readings between storms"},
		FlatGoroutines: {"goroutines", "no process has more and more goroutines", "readings between storms"},
		FlatShm:        {"shm", "/dev/shm does not fill up, and is left empty", "readings between storms"},
	}
}

// String is the invariant's name.
func (i Invariant) String() string {
	if i >= numInvariants {
		return "unknown"
	}
	return rules()[i].name
}

// MarshalText gives the name.
func (i Invariant) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText takes the name.
func (i *Invariant) UnmarshalText(name []byte) error {
	for k, x := range rules() {
		if x.name == string(name) {
			*i = Invariant(k)
			return nil
		}
	}
	return fmt.Errorf("soak: no invariant %q", name)
}

// Outcome is how often an invariant was looked at, and how often it did not hold.
type Outcome struct {
	Name     string `json:"name"`
	Says     string `json:"says"`
	Unit     string `json:"unit"` // of Checks
	Checks   uint64 `json:"checks"`
	Violated uint64 `json:"violated"`
}

// tally counts by invariant.
type tally [numInvariants]uint64

func (t *tally) add(o *tally) {
	for i := range t {
		t[i] += o[i]
	}
}

// outcomes are the result's, in order.
func (r *Result) outcomes() []Outcome {
	var out []Outcome
	for i, x := range rules() {
		out = append(out, Outcome{x.name, x.says, x.unit, r.checks[i], r.violated[i]})
	}
	return out
}

// reportFunc tells of a violation.
type reportFunc func(i Invariant, topic, what string)
