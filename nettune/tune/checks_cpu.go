package tune

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// dmaLatency is the device whose open descriptors bound the wake-up latency.
const dmaLatency = "/dev/cpu_dma_latency"

// slowExitUs is the exit latency from which an idle state is called deep.
const slowExitUs = 10

// checkWakeup looks for idle states that wake slowly while nobody holds the
// latency device. Without a cpuidle driver, as in many guests, the idle loop
// halts and asks nobody: then the device changes nothing.
func checkWakeup(s *survey) []Finding {
	const driver = "/sys/devices/system/cpu/cpuidle/current_driver"
	if s.h.text(driver) == "none" {
		return []Finding{{Severity: Info, Key: driver, Have: "none", Want: "a cpuidle driver",
			Text: "idle CPUs halt, and /dev/cpu_dma_latency has nothing to act on: every wake-up goes through the hypervisor",
			Fix:  "poll: busy on the feeds; in a KVM guest cpuidle_haltpoll.force=1 on the boot line"}}
	}
	deep := ""
	worst := int64(0)
	const dir = "/sys/devices/system/cpu/cpu0/cpuidle"
	for _, st := range s.h.names(dir) {
		us := number(s.h.text(dir + "/" + st + "/latency"))
		if us >= slowExitUs && us > worst && s.h.text(dir+"/"+st+"/disable") != "1" {
			deep, worst = s.h.text(dir+"/"+st+"/name"), us
		}
	}
	if deep == "" || s.holdsLatency() {
		return nil
	}
	return []Finding{{Severity: Warn, Key: dmaLatency, Have: fmt.Sprintf("%s, %d µs", deep, worst), Want: "0",
		Text: "idle CPUs enter a state that takes long to leave",
		Fix:  "cpu_latency_us: 0 in the relay's configuration; measure it with: tickrelay tune prove --group wakeup"}}
}

// holdsLatency says whether the process looked at has the device open.
func (s *survey) holdsLatency() bool {
	for _, fd := range s.h.names(s.proc + "/fd") {
		if s.h.base(s.proc+"/fd/"+fd) == "cpu_dma_latency" {
			return true
		}
	}
	return false
}

func checkQuota(s *survey) []Finding {
	c := s.cgroup
	if c.CPUs() == 0 {
		return nil
	}
	f := Finding{Severity: Warn, Key: c.path, Have: fmt.Sprintf("%.2f CPUs (%d of %d µs, cgroup v%d)", c.CPUs(), c.quotaUs, c.periodUs, c.version),
		Want: "no quota",
		Text: "a CPU quota is set; it has not stopped anything yet",
		Fix:  "start the container without --cpus; give it CPUs of its own with --cpuset-cpus"}
	if c.throttled > 0 {
		f.Severity = Critical
		f.Text = fmt.Sprintf("throttled in %d of %d periods, %s in all: every thread of the relay stood still",
			c.throttled, c.periods, seconds(c.throttledUs))
	}
	return []Finding{f}
}

func seconds(us int64) string {
	return strconv.FormatFloat(float64(us)/1e6, 'f', 3, 64) + " s"
}

func (s *survey) allowed() []int {
	status, err := s.h.ReadFile(s.proc + "/status")
	if err != nil {
		return nil
	}
	cpus, _ := parseCPUList(parseStatus(status, "Cpus_allowed_list"))
	return cpus
}

// checkAffinity says which CPUs the process may use, when one was named.
func checkAffinity(s *survey) []Finding {
	if s.o.PID == 0 {
		return nil
	}
	pinned := 0
	for _, tid := range s.h.names(s.proc + "/task") {
		status, err := s.h.ReadFile(s.proc + "/task/" + tid + "/status")
		cpus, err2 := parseCPUList(parseStatus(status, "Cpus_allowed_list"))
		if err == nil && err2 == nil && len(cpus) == 1 {
			pinned++
		}
	}
	if pinned > 0 || len(s.cpus) == 1 {
		return nil
	}
	return []Finding{{Severity: Info, Key: s.proc + "/task", Have: "no pinned thread", Want: "one CPU for each hot loop",
		Text: "no thread of the process has a CPU of its own", Fix: "set cpu: on each feed in the relay's configuration"}}
}

func checkIsolated(s *survey) []Finding {
	if s.o.Profile.Base == "" || s.o.Profile.Base == "conservative" || len(s.cpus) < 4 {
		return nil
	}
	cmdline := strings.Fields(s.h.text("/proc/cmdline"))
	nohz := slices.ContainsFunc(cmdline, func(w string) bool { return strings.HasPrefix(w, "nohz_full=") })
	switch {
	case len(s.isolated) == 0:
		return []Finding{{Severity: Info, Key: "/sys/devices/system/cpu/isolated", Have: "none", Want: "one per hot loop",
			Text: "no CPU is kept free for hot loops",
			Fix:  "boot with isolcpus=managed_irq,domain,LIST nohz_full=LIST rcu_nocbs=LIST and set cpu: on the feeds"}}
	case !nohz:
		return []Finding{{Severity: Info, Key: "/proc/cmdline", Have: "isolcpus without nohz_full", Want: "nohz_full=" + formatCPUList(s.isolated),
			Text: "the timer tick still interrupts the isolated CPUs", Fix: "add nohz_full and rcu_nocbs to the boot line"}}
	}
	return nil
}

func checkSMT(s *survey) []Finding {
	if s.h.text("/sys/devices/system/cpu/smt/active") != "1" || s.o.Profile.Base == "" || s.o.Profile.Base == "conservative" {
		return nil
	}
	pair := s.h.text("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
	return []Finding{{Severity: Info, Key: "/sys/devices/system/cpu/smt/active", Have: "1", Want: "0, or idle siblings",
		Text: "hyper-threads are on; CPUs " + pair + " are one core", Fix: "keep the siblings of hot CPUs idle, or boot with nosmt (on EC2: threads per core 1)"}}
}

// checkProcessNode compares the CPUs that the process may use with the node of
// each device.
func checkProcessNode(s *survey) []Finding {
	if len(s.nodes) < 2 {
		return nil
	}
	allowed := s.allowed()
	var out []Finding
	for _, f := range s.ifaces {
		if f.node < 0 || len(allowed) == 0 {
			continue
		}
		far := map[int]bool{}
		for _, c := range allowed {
			if n := s.nodeOf(c); n >= 0 && n != f.node {
				far[n] = true
			}
		}
		if len(far) == 0 {
			continue
		}
		out = append(out, Finding{Severity: Warn, Place: f.name, Key: s.proc + "/status",
			Have: "CPUs " + formatCPUList(allowed), Want: "CPUs " + formatCPUList(f.cpus) + " (node " + strconv.Itoa(f.node) + ")",
			Text: fmt.Sprintf("the process may run on node %s, %s is on node %d", formatCPUList(sortedKeys(far)), f.name, f.node),
			Fix:  fmt.Sprintf("numactl --cpunodebind=%d --membind=%d tickrelay run …, or cpu: of the feeds from %s", f.node, f.node, formatCPUList(f.cpus))})
	}
	return out
}

// checkMemoryNode looks where the pages of the process and of its rings lie.
func checkMemoryNode(s *survey) []Finding {
	if len(s.nodes) < 2 {
		return nil
	}
	home := -1
	for _, f := range s.ifaces {
		if f.node >= 0 {
			home = f.node
			break
		}
	}
	data, err := s.h.ReadFile(s.proc + "/numa_maps")
	if err != nil || home < 0 {
		return nil
	}
	var out []Finding
	for _, what := range []struct{ match, name string }{{"/dev/shm/tickrelay/", "rings"}, {"anon=", "heap and stacks"}} {
		kb := parseNumaMaps(data, what.match)
		total, far, farNode := int64(0), int64(0), -1
		for n, v := range kb {
			total += v
			if n != home && (farNode < 0 || v > kb[farNode] || v == kb[farNode] && n < farNode) {
				farNode = n
			}
			if n != home {
				far += v
			}
		}
		if total == 0 || far*10 < total {
			continue // less than a tenth elsewhere
		}
		out = append(out, Finding{Severity: Warn, Place: what.name, Key: s.proc + "/numa_maps",
			Have: fmt.Sprintf("%d of %d KiB off node %d, most on node %d", far, total, home, farNode), Want: "node " + strconv.Itoa(home),
			Text: what.name + " lie on the wrong node", Fix: fmt.Sprintf("start the relay with numactl --membind=%d, or move them: migratepages PID %d %d", home, farNode, home)})
	}
	return out
}
