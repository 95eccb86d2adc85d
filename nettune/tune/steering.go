package tune

import "strconv"

// flowEntries is the size of the flow table of receive flow steering; the
// kernel's document suggests 32768 for a server of moderate load.
const flowEntries = 32768

// steer computes the values that depend on queues and CPUs.
func (s *survey) steer(name string, p place) (string, bool) {
	f := p.iface
	if name == "rfsall" {
		for i := range s.ifaces {
			if s.ifaces[i].steered() {
				return strconv.Itoa(flowEntries), true
			}
		}
		return "", false
	}
	if f == nil || len(f.cpus) == 0 {
		return "", false
	}
	switch name {
	case "rps":
		if !f.steered() {
			return "0", true
		}
		return formatMask(f.cpus), true
	case "rfs":
		if !f.steered() {
			return "0", true
		}
		return strconv.Itoa(flowEntries / len(f.rxq)), true
	case "xps":
		if len(f.txq) < 2 {
			return "", false // one queue: nothing to choose
		}
		var mine []int
		for i, c := range s.cpus {
			if i%len(f.txq) == p.index {
				mine = append(mine, c)
			}
		}
		return formatMask(mine), true
	case "irqcpu":
		return strconv.Itoa(f.cpus[p.index%len(f.cpus)]), true
	}
	return "", false
}

// steered says whether software steering is wanted: a device with a single
// receive queue and several CPUs to spread over.
func (f *iface) steered() bool { return len(f.rxq) == 1 && len(f.cpus) > 1 }
