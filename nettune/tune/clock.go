package tune

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockState is what adjtimex(2) says of CLOCK_REALTIME.
type clockState struct {
	synced   bool
	maxError time.Duration // bound
	estError time.Duration
}

// readClock asks the kernel, or reads the adjtimex file of a tree: lines
// "status N", "maxerror N", "esterror N", the fields of adjtimex(2).
func readClock(h *Host) (clockState, bool) {
	var status, maxErr, estErr int64
	if h.Live() {
		var tx unix.Timex
		if _, err := unix.Adjtimex(&tx); err != nil {
			return clockState{}, false
		}
		status, maxErr, estErr = int64(tx.Status), tx.Maxerror, tx.Esterror
	} else {
		data, err := h.ReadFile("/adjtimex")
		if err != nil {
			return clockState{}, false
		}
		keys := parseKeys(data)
		status, maxErr, estErr = keys["status"], keys["maxerror"], keys["esterror"]
	}
	return clockState{status&unix.STA_UNSYNC == 0, time.Duration(maxErr) * time.Microsecond, time.Duration(estErr) * time.Microsecond}, true
}

// looseClock is the error bound from which the clock is called loose. NTP over
// the internet stays below it; so do chrony and PTP by far.
const looseClock = 10 * time.Millisecond

func checkClock(s *survey) []Finding {
	c, ok := readClock(s.h)
	if !ok {
		return nil
	}
	source := s.clockDaemon()
	have := fmt.Sprintf("bound %v, estimate %v, by %s", c.maxError, c.estError, source)
	switch {
	case !c.synced:
		return []Finding{{Severity: Warn, Key: "adjtimex", Have: "not synchronised, " + have, Want: "synchronised",
			Text: "nothing disciplines the clock", Fix: "run chrony; on EC2 with server 169.254.169.123 or the PTP device of ENA (/dev/ptp0)"}}
	case c.maxError > looseClock:
		return []Finding{{Severity: Warn, Key: "adjtimex", Have: have, Want: "bound ≤ " + looseClock.String(),
			Text: "the clock is synchronised loosely", Fix: "a nearer time source, or PTP"}}
	}
	return []Finding{{Severity: OK, Key: "adjtimex", Have: have, Text: "the clock is synchronised"}}
}

// clockDaemon names who disciplines the clock, as far as processes and devices
// tell.
func (s *survey) clockDaemon() string {
	var found []string
	for _, p := range s.h.names("/proc") {
		if p[0] < '1' || p[0] > '9' {
			continue
		}
		switch c := s.h.text("/proc/" + p + "/comm"); c {
		case "chronyd", "ntpd", "systemd-timesyn", "phc2sys", "ptp4l":
			if !slices.Contains(found, c) {
				found = append(found, c)
			}
		}
	}
	if len(found) == 0 {
		return "nobody seen here"
	}
	return strings.Join(found, ", ")
}

func checkClockSource(s *survey) []Finding {
	const dir = "/sys/devices/system/clocksource/clocksource0/"
	now := s.h.text(dir + "current_clocksource")
	switch now {
	case "", "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter":
		return nil
	}
	best := "tsc"
	available := strings.Fields(s.h.text(dir + "available_clocksource"))
	f := Finding{Severity: Warn, Key: dir + "current_clocksource", Have: now, Want: best,
		Text: "each reading of the clock is a system call", Fix: "echo tsc > " + dir + "current_clocksource, and clocksource=tsc on the boot line"}
	if !slices.Contains(available, best) {
		f.Fix = "the kernel does not offer tsc here (" + strings.Join(available, ", ") + "); see dmesg for why it was found unstable"
	}
	return []Finding{f}
}
