package tune

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// survey is what was found on a host: the ground on which wanted values are
// computed and checks run.
type survey struct {
	h    *Host
	o    Options
	proc string // /proc/PID of the process looked at

	cpus     []int // online
	isolated []int
	nodes    []node
	ifaces   []iface
	route    route
	routed   bool
	cgroup   cgroup
	limits   map[string]limit
	mounts   []mount
}

// node is a NUMA node.
type node struct {
	id   int
	cpus []int
}

// iface is a network device under consideration.
type iface struct {
	name     string
	driver   string
	physical bool  // has a device behind it
	node     int   // NUMA node; -1 unknown
	cpus     []int // of its node, without isolated ones; all if unknown
	speed    int   // Mbit/s; 0 unknown
	rxq, txq []string
	irqs     []interrupt // of its queues, in the order of the queues
}

// newSurvey reads the host. It fails only on a wrong choice of interfaces or
// process; what cannot be read is left empty.
func newSurvey(h *Host, o Options) (*survey, error) {
	s := &survey{h: h, o: o, proc: "/proc/self"}
	if o.PID > 0 {
		s.proc = "/proc/" + strconv.Itoa(o.PID)
		if !h.exists(s.proc) {
			return nil, fmt.Errorf("tune: no process %d", o.PID)
		}
	}
	s.cpus = s.cpuList("/sys/devices/system/cpu/online")
	if len(s.cpus) == 0 {
		s.cpus = []int{0}
	}
	s.isolated = s.cpuList("/sys/devices/system/cpu/isolated")
	s.findNodes()
	if data, err := h.ReadFile("/proc/net/route"); err == nil {
		s.route, s.routed = parseDefaultRoute(data)
	}
	if data, err := h.ReadFile("/proc/mounts"); err == nil {
		s.mounts = parseMounts(data)
	}
	if data, err := h.ReadFile(s.proc + "/limits"); err == nil {
		s.limits = parseLimits(data)
	}
	s.cgroup = findCgroup(h, s.proc, s.mounts)
	return s, s.findIfaces()
}

func (s *survey) cpuList(path string) []int {
	cpus, err := parseCPUList(s.h.text(path))
	if err != nil {
		return nil
	}
	return cpus
}

func (s *survey) findNodes() {
	const dir = "/sys/devices/system/node"
	for _, n := range s.h.names(dir) {
		id, err := strconv.Atoi(strings.TrimPrefix(n, "node"))
		if err != nil || !strings.HasPrefix(n, "node") {
			continue
		}
		s.nodes = append(s.nodes, node{id, s.cpuList(dir + "/" + n + "/cpulist")})
	}
	slices.SortFunc(s.nodes, func(a, b node) int { return a.id - b.id })
}

func (s *survey) nodeOf(cpu int) int {
	for _, n := range s.nodes {
		if slices.Contains(n.cpus, cpu) {
			return n.id
		}
	}
	return -1
}

// findIfaces takes the named interfaces, or else those with a device behind
// them that are up, and the one of the default route.
func (s *survey) findIfaces() error {
	const dir = "/sys/class/net/"
	irqs := []interrupt(nil)
	if data, err := s.h.ReadFile("/proc/interrupts"); err == nil {
		irqs = parseInterrupts(data)
	}
	all := s.h.names("/sys/class/net")
	var errs []error
	for _, want := range s.o.Ifaces {
		if !slices.Contains(all, want) {
			errs = append(errs, fmt.Errorf("tune: no interface %q; there are %s", want, strings.Join(all, ", ")))
		}
	}
	for _, name := range all {
		path := dir + name
		if !s.h.exists(path+"/queues") && !s.h.exists(path+"/operstate") {
			continue // bonding_masters and the like
		}
		physical := s.h.exists(path + "/device")
		up := s.h.text(path+"/operstate") != "down"
		chosen := slices.Contains(s.o.Ifaces, name)
		if len(s.o.Ifaces) == 0 {
			chosen = name != "lo" && (physical && up || s.routed && name == s.route.iface)
		}
		if chosen {
			s.ifaces = append(s.ifaces, s.describe(name, physical, irqs))
		}
	}
	return errors.Join(errs...)
}

func (s *survey) describe(name string, physical bool, irqs []interrupt) iface {
	path := "/sys/class/net/" + name
	i := iface{name: name, physical: physical, node: -1}
	i.driver, _ = s.h.nic.Get(name, "driver", "")
	if n, err := strconv.Atoi(s.h.text(path + "/device/numa_node")); err == nil {
		i.node = n
	}
	if v, err := strconv.Atoi(s.h.text(path + "/speed")); err == nil && v > 0 {
		i.speed = v
	}
	for _, q := range s.h.names(path + "/queues") {
		switch {
		case strings.HasPrefix(q, "rx-"):
			i.rxq = append(i.rxq, q)
		case strings.HasPrefix(q, "tx-"):
			i.txq = append(i.txq, q)
		}
	}
	byNumber := func(q []string) {
		sort.Slice(q, func(a, b int) bool { return trailingNumber(q[a]) < trailingNumber(q[b]) })
	}
	byNumber(i.rxq)
	byNumber(i.txq)
	i.cpus = s.cpus
	for _, n := range s.nodes {
		if n.id == i.node {
			i.cpus = intersect(n.cpus, s.cpus)
		}
	}
	if rest := without(i.cpus, s.isolated); len(rest) > 0 {
		i.cpus = rest
	}
	i.irqs = s.queueIRQs(name, irqs)
	return i
}

// queueIRQs picks the interrupts of a device's queues: those of its PCI
// function (its own msi_irqs, or its parent's for virtio) or with its name,
// without those for configuration and management.
func (s *survey) queueIRQs(name string, irqs []interrupt) []interrupt {
	path := "/sys/class/net/" + name + "/device"
	msi := map[string]bool{}
	for _, dir := range []string{"/msi_irqs", "/../msi_irqs"} {
		for _, n := range s.h.names(path + dir) {
			msi[n] = true
		}
		if len(msi) > 0 {
			break
		}
	}
	bus := s.h.base(path)
	var out []interrupt
	for _, irq := range irqs {
		mine := msi[strconv.Itoa(irq.num)] || irq.name == name || strings.HasPrefix(irq.name, name+"-") ||
			strings.HasPrefix(bus, "virtio") && strings.HasPrefix(irq.name, bus+"-")
		if mine && !isManagement(irq.name) && s.h.exists("/proc/irq/"+strconv.Itoa(irq.num)) {
			out = append(out, irq)
		}
	}
	slices.SortStableFunc(out, func(a, b interrupt) int { return trailingNumber(a.name) - trailingNumber(b.name) })
	return out
}

func isManagement(name string) bool {
	for _, w := range []string{"config", "mgmnt", "async", "control", "misc", "fdir", "other", "cmd", "health", "pages", "event"} {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}
