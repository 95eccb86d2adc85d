package proxy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Severity says what a finding means for a WebSocket.
type Severity string

// Severities, the worst first.
const (
	// Error: the handshake fails, or a living connection is cut for sure.
	Error Severity = "error"
	// Warning: connections are cut or delayed under circumstances that will come.
	Warning Severity = "warning"
	// Note: worth knowing, harmless as it stands.
	Note Severity = "note"
)

// Finding is one setting that does harm, or that is missing.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"` // of the setting, or of what lacks it; from 1
	Severity Severity `json:"severity"`
	Setting  string   `json:"setting"` // the directive, with its value where it has one
	Why      string   `json:"why"`
	Fix      string   `json:"fix"`
}

// String is the finding on one line, file:line first as compilers write it.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s: %s; %s", f.File, f.Line, f.Severity, f.Setting, f.Why, f.Fix)
}

// Report is what a check found.
type Report struct {
	Kind     string        `json:"kind"` // nginx or haproxy
	Ping     time.Duration `json:"ping_interval_ns"`
	Files    []string      `json:"files"`  // all that were read, in that order
	Judged   []string      `json:"judged"` // what passes WebSockets: locations, pairs of frontend and backend
	Findings []Finding     `json:"findings"`
}

// Failed reports whether something is worse than a note.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity != Note })
}

// add keeps a finding unless the same is there already: a setting that several
// locations inherit is told once.
func (r *Report) add(f Finding) {
	same := func(o Finding) bool {
		return o.File == f.File && o.Line == f.Line && o.Severity == f.Severity && o.Setting == f.Setting && o.Why == f.Why
	}
	if !slices.ContainsFunc(r.Findings, same) {
		r.Findings = append(r.Findings, f)
	}
}

// sort orders by file in reading order, then line.
func (r *Report) sort() {
	order := map[string]int{}
	for i, f := range r.Files {
		order[f] = i
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line))
	})
}

// place is where something stands.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

func (p place) finding(s Severity, setting, why, fix string) Finding {
	return Finding{File: p.file, Line: p.line, Severity: s, Setting: setting, Why: why, Fix: fix}
}
