package tune

import (
	"fmt"
	"strings"
)

// Severity grades a finding. Its text form is what JSON carries.
type Severity uint8

// Severities, least first.
const (
	OK       Severity = iota // as wanted
	Info                     // worth knowing, nothing to fear
	Warn                     // costs latency or safety margin
	Critical                 // loses data or stalls the relay now
)

// String returns "ok", "info", "warn" or "crit".
func (s Severity) String() string { return [...]string{"ok", "info", "warn", "crit"}[s&3] }

// MarshalText writes String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity reads what String writes.
func ParseSeverity(text string) (Severity, error) {
	for s := OK; s <= Critical; s++ {
		if s.String() == text {
			return s, nil
		}
	}
	return OK, fmt.Errorf("tune: severity %q: want ok, info, warn or crit", text)
}

// Group names knobs that are tried together by Prove.
type Group string

// The groups, in the order in which they are listed and tried.
const (
	GroupFastOpen   Group = "fastopen"
	GroupBuffers    Group = "buffers"
	GroupTCP        Group = "tcp"
	GroupBacklog    Group = "backlog"
	GroupKeepalive  Group = "keepalive"
	GroupBusyPoll   Group = "busypoll"
	GroupSteering   Group = "steering"
	GroupIRQ        Group = "irq"
	GroupCoalescing Group = "coalescing"
	GroupRings      Group = "rings"
	GroupOffloads   Group = "offloads"
	GroupCPU        Group = "cpu"
	GroupWakeup     Group = "wakeup"
	GroupKernel     Group = "kernel"
	GroupNUMA       Group = "numa"
	GroupMemory     Group = "memory"
	GroupLimits     Group = "limits"
	GroupContainer  Group = "container"
	GroupClock      Group = "clock"
)

// Groups lists all groups in their order.
func Groups() []Group {
	return []Group{GroupFastOpen, GroupBuffers, GroupTCP, GroupBacklog, GroupKeepalive, GroupBusyPoll,
		GroupSteering, GroupIRQ, GroupCoalescing, GroupRings, GroupOffloads, GroupCPU, GroupWakeup,
		GroupKernel, GroupNUMA, GroupMemory, GroupLimits, GroupContainer, GroupClock}
}

// Rule says when a value is as wanted and what to write when it is not.
type Rule uint8

// Rules.
const (
	Exact   Rule = iota // equal
	AtLeast             // each number at least the wanted one; larger ones stay
	AtMost              // each number at most the wanted one; smaller ones stay
	Bits                // the wanted bits are set; others stay
	Widen               // two numbers: the first at most, the second at least the wanted one
)

// Persistence says whether a value outlives a reboot and what makes it.
type Persistence string

// Kinds of persistence.
const (
	PersistSysctl Persistence = "sysctl.d with --persist"
	PersistNone   Persistence = "until reboot or device reset"
	PersistHeld   Persistence = "while a process holds it"
	PersistAdvice Persistence = "advice only, never written"
)

// Need is what changing a knob takes, beside root.
type Need string

// Needs.
const (
	NeedRoot    Need = "root"
	NeedDriver  Need = "root, driver support"
	NeedRestart Need = "root, new sockets only"
	NeedReboot  Need = "a reboot"
	NeedOwner   Need = "whoever started the process or container"
)

// Want is the value of a knob under each built-in profile; empty leaves the
// knob alone. Words in braces are filled in per host and place, see expand.
type Want struct {
	Conservative, LowLatency, AWSENA string
}

func everywhere(v string) Want { return Want{v, v, v} }
func lowLatency(v string) Want { return Want{"", v, v} }

// Knob is one row of the table: a setting of the host, or a check of something
// that no program should change by itself.
type Knob struct {
	Name  string // sysctl name, or a dotted name of ours
	Group Group

	// Path is the file, or "nic:{iface}/CLASS/NAME" for what ethtool reads.
	// {iface}, {rxq}, {txq}, {cpu} and {irq} make one setting per place.
	Path   string
	Format Format
	Rule   Rule
	Want   Want

	Severity Severity // of a finding when the value is not as wanted
	PerNetns bool     // one value per network namespace

	Why     string
	Source  string // kernel document, manual page or vendor's guide
	Risk    string // of changing it
	Persist Persistence
	Needs   Need

	check func(*survey) []Finding // for rows with PersistAdvice
}

// ReadBack says how the value is read again after a write.
func (k *Knob) ReadBack() string {
	switch {
	case k.Persist == PersistAdvice:
		return "audit"
	case k.Persist == PersistHeld:
		return "/proc/PID/fd of the holder"
	case strings.HasPrefix(k.Path, nicScheme):
		return "ethtool request to the driver"
	}
	return "the file, " + k.Format.readBack()
}

// Writable says whether Apply may write the knob.
func (k *Knob) Writable() bool { return k.Persist == PersistSysctl || k.Persist == PersistNone }

// Table returns every knob and check, a fresh copy.
func Table() []Knob {
	var t []Knob
	for _, part := range [][]Knob{tcpKnobs(), coreKnobs(), nicKnobs(), cpuKnobs(), hostChecks()} {
		t = append(t, part...)
	}
	for i := range t {
		k := &t[i]
		if k.Path == "" && k.check == nil {
			k.Path = sysctlPath(k.Name)
		}
		if k.Persist == "" {
			k.Persist = PersistNone
			if strings.HasPrefix(k.Path, procSys) {
				k.Persist = PersistSysctl
			}
		}
		if k.Needs == "" {
			k.Needs = NeedRoot
		}
	}
	return t
}

const (
	procSys   = "/proc/sys/"
	nicScheme = "nic:"
)

// sysctlPath is the file of a sysctl name. Dots in interface names do not
// occur in the table.
func sysctlPath(name string) string { return procSys + strings.ReplaceAll(name, ".", "/") }

// sysctlName is the inverse of sysctlPath, or "" for other files.
func sysctlName(path string) string {
	rest, ok := strings.CutPrefix(path, procSys)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(rest, "/", ".")
}
