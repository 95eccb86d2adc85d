package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Finding is one thing that is not as the profile wants it, or one fact about
// the host that matters.
type Finding struct {
	Severity Severity `json:"severity"`
	Knob     string   `json:"knob"`
	Group    Group    `json:"group"`
	Place    string   `json:"place,omitempty"` // device, queue, CPU or interrupt
	Key      string   `json:"key,omitempty"`   // file or nic:IFACE/CLASS/NAME
	Have     string   `json:"have,omitempty"`
	Want     string   `json:"want,omitempty"`
	Text     string   `json:"text"`          // what it means
	Fix      string   `json:"fix,omitempty"` // what to do
}

// Report is the outcome of an audit.
type Report struct {
	Profile  string    `json:"profile"`
	Ifaces   []string  `json:"interfaces"`
	Worst    Severity  `json:"worst"`
	Good     int       `json:"good"`   // settings as wanted
	Absent   int       `json:"absent"` // settings that this host does not have
	Findings []Finding `json:"findings"`
}

// Audit reads the host, compares it with the profile and runs the checks. It
// writes nothing.
func Audit(h *Host, o Options) (*Report, error) {
	s, err := newSurvey(h, o)
	if err != nil {
		return nil, err
	}
	table := Table()
	r := &Report{Profile: o.Profile.title(), Findings: []Finding{}, Ifaces: []string{}}
	for _, f := range s.ifaces {
		r.Ifaces = append(r.Ifaces, f.name)
	}
	for _, set := range s.settings(table) {
		st := read(h, set)
		switch {
		case errors.Is(st.err, fs.ErrNotExist):
			r.Absent++
		case st.err != nil:
			r.add(Finding{Info, set.knob.Name, set.knob.Group, set.place, set.key, "", set.want,
				fmt.Sprintf("cannot be read: %v", st.err), "run as root"})
		case st.have == st.aim:
			r.Good++
		default:
			r.add(Finding{set.knob.Severity, set.knob.Name, set.knob.Group, set.place, set.key, st.have, st.aim,
				set.knob.Why, "tickrelay tune plan"})
		}
	}
	for i := range table {
		k := &table[i]
		if k.check == nil || !s.picked(k.Group) || s.o.Profile.Values[k.Name] == skip {
			continue
		}
		for _, f := range k.check(s) {
			f.Knob, f.Group = k.Name, k.Group
			r.add(f)
		}
	}
	groups := Groups()
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if a.Severity != b.Severity {
			return int(b.Severity) - int(a.Severity)
		}
		return slices.Index(groups, a.Group) - slices.Index(groups, b.Group)
	})
	return r, nil
}

func (r *Report) add(f Finding) {
	r.Findings = append(r.Findings, f)
	r.Worst = max(r.Worst, f.Severity)
}

// state is what a setting holds and what should be written; they are equal
// when nothing has to be.
type state struct {
	have, aim string
	err       error
}

func read(h *Host, set setting) state {
	raw, err := h.Get(set.key)
	if err != nil {
		return state{err: err}
	}
	have, err := set.knob.Format.normalize(raw)
	if err != nil {
		return state{err: err}
	}
	want, err := set.knob.Format.normalize(set.want)
	if err != nil {
		return state{err: fmt.Errorf("wanted value: %w", err)}
	}
	aim, err := set.knob.aim(have, want)
	return state{have, aim, err}
}

// Change is one line of a plan.
type Change struct {
	Knob    string      `json:"knob"`
	Group   Group       `json:"group"`
	Place   string      `json:"place,omitempty"`
	Key     string      `json:"key"`
	Old     string      `json:"old"`
	New     string      `json:"new"`
	Why     string      `json:"why"`
	Source  string      `json:"source"`
	Risk    string      `json:"risk"`
	Persist Persistence `json:"persistence"`
	Needs   Need        `json:"needs"`
	Blocked string      `json:"blocked,omitempty"` // why it cannot be written here

	format   Format
	perNetns bool
}

// Plan lists what Apply would write, as a diff. Reading is all it does.
func Plan(h *Host, o Options) ([]Change, error) {
	s, err := newSurvey(h, o)
	if err != nil {
		return nil, err
	}
	out := []Change{}
	for _, set := range s.settings(Table()) {
		st := read(h, set)
		if st.err != nil || st.have == st.aim {
			continue
		}
		k := set.knob
		c := Change{Knob: k.Name, Group: k.Group, Place: set.place, Key: set.key, Old: st.have, New: st.aim,
			Why: k.Why, Source: k.Source, Risk: k.Risk, Persist: k.Persist, Needs: k.Needs, format: k.Format, perNetns: k.PerNetns}
		if !h.writable(set.key) {
			c.Blocked = "no permission to write here: not root, or not the host's own network namespace"
		}
		out = append(out, c)
	}
	return out, nil
}
