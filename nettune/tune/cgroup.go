package tune

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// cgroup is the CPU bandwidth of a process's control group: the tightest quota
// on the way to the root, with the throttling of its group.
type cgroup struct {
	version     int    // 1 or 2; 0 unknown
	path        string // where the quota stands
	quotaUs     int64  // -1 none
	periodUs    int64
	periods     int64 // enforcement intervals so far
	throttled   int64 // of them, throttled
	throttledUs int64
}

// CPUs is the quota in CPUs; 0 without a quota.
func (c cgroup) CPUs() float64 {
	if c.quotaUs <= 0 || c.periodUs <= 0 {
		return 0
	}
	return float64(c.quotaUs) / float64(c.periodUs)
}

// findCgroup looks for the quota in version 2 (cpu.max) and in version 1
// (cpu.cfs_quota_us), on hosts that mount both as well. Inside a container the
// mount point is already the container's own group while /proc/self/cgroup may
// name the host's path, so the path is tried and then each parent up to the
// mount.
func findCgroup(h *Host, proc string, mounts []mount) cgroup {
	best := cgroup{quotaUs: -1}
	data, err := h.ReadFile(proc + "/cgroup")
	if err != nil {
		return best
	}
	for _, l := range parseCgroup(data) {
		for _, m := range mounts {
			v2 := m.typ == "cgroup2" && len(l.controllers) == 0
			v1 := m.typ == "cgroup" && slices.Contains(l.controllers, "cpu") && slices.Contains(m.options, "cpu")
			if !v1 && !v2 {
				continue
			}
			for p := path.Clean(l.path); ; p = path.Dir(p) {
				c, ok := readCgroup(h, path.Join(m.path, p), v2)
				if ok && (best.version == 0 || c.CPUs() > 0 && (best.CPUs() == 0 || c.CPUs() < best.CPUs())) {
					best = c
				}
				if p == "/" {
					break
				}
			}
		}
	}
	return best
}

func readCgroup(h *Host, dir string, v2 bool) (cgroup, bool) {
	c := cgroup{version: 1, path: dir, quotaUs: -1}
	stat, err := h.ReadFile(dir + "/cpu.stat")
	if v2 {
		c.version = 2
		fields := strings.Fields(h.text(dir + "/cpu.max"))
		if len(fields) == 2 {
			c.quotaUs = number(fields[0])
			c.periodUs = number(fields[1])
		} else if err != nil {
			return c, false
		}
	} else {
		text := h.text(dir + "/cpu.cfs_quota_us")
		if text == "" {
			return c, false
		}
		c.quotaUs = number(text)
		c.periodUs = number(h.text(dir + "/cpu.cfs_period_us"))
	}
	keys := parseKeys(stat)
	c.periods, c.throttled = keys["nr_periods"], keys["nr_throttled"]
	c.throttledUs = keys["throttled_usec"]
	if !v2 {
		c.throttledUs = keys["throttled_time"] / 1000 // version 1 counts ns
	}
	return c, true
}

// number is a decimal number, or -1 for "max" and anything else.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
