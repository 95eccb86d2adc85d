package tune

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// checkIRQBalance looks for a running irqbalance and for bans in its
// environment file.
func checkIRQBalance(s *survey) []Finding {
	running := false
	for _, p := range s.h.names("/proc") {
		if p[0] >= '1' && p[0] <= '9' && s.h.text("/proc/"+p+"/comm") == "irqbalance" {
			running = true
			break
		}
	}
	queues := 0
	for _, f := range s.ifaces {
		queues += len(f.irqs)
	}
	if !running || queues == 0 {
		return nil
	}
	for _, file := range []string{"/etc/default/irqbalance", "/etc/sysconfig/irqbalance"} {
		for line := range strings.SplitSeq(s.h.text(file), "\n") {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "#") {
				continue
			}
			if strings.Contains(line, "BANNED_CPU") || strings.Contains(line, "--banirq") || strings.Contains(line, "--policyscript") {
				return nil
			}
		}
	}
	var nums []string
	for _, f := range s.ifaces {
		for _, irq := range f.irqs {
			nums = append(nums, "--banirq="+strconv.Itoa(irq.num))
		}
	}
	return []Finding{{Severity: Warn, Key: "/etc/default/irqbalance", Have: "running, nothing banned", Want: "queue interrupts banned",
		Text: fmt.Sprintf("irqbalance will move the %d queue interrupts", queues),
		Fix:  "IRQBALANCE_ARGS=\"" + clipList(nums, 4) + "\", or stop irqbalance"}}
}

func clipList(words []string, n int) string {
	if len(words) > n {
		return strings.Join(words[:n], " ") + " …"
	}
	return strings.Join(words, " ")
}

// checkENA reads the counters with which ENA tells that an allowance of the
// instance was exceeded.
func checkENA(s *survey) []Finding {
	var out []Finding
	for _, f := range s.ifaces {
		if f.driver != "ena" {
			continue
		}
		for _, name := range []string{"bw_in_allowance_exceeded", "bw_out_allowance_exceeded", "pps_allowance_exceeded",
			"conntrack_allowance_exceeded", "linklocal_allowance_exceeded"} {
			v, err := s.h.nic.Get(f.name, "stat", name)
			if err != nil || v == "0" {
				continue
			}
			out = append(out, Finding{Severity: Critical, Place: f.name, Key: nicScheme + f.name + "/stat/" + name, Have: v, Want: "0",
				Text: "packets were queued or dropped because the instance's allowance was exceeded",
				Fix:  "a larger instance, fewer subscribers per instance, or security groups without connection tracking"})
		}
	}
	return out
}

// checkSoftnet adds up the drops and cut-short polls of all CPUs.
func checkSoftnet(s *survey) []Finding {
	data, err := s.h.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		return nil
	}
	dropped, squeezed := parseSoftnet(data)
	var out []Finding
	if dropped > 0 {
		out = append(out, Finding{Severity: Warn, Place: "dropped", Key: "/proc/net/softnet_stat", Have: strconv.FormatUint(dropped, 10), Want: "0",
			Text: "packets were dropped since boot because a CPU's backlog was full", Fix: "raise net.core.netdev_max_backlog, spread the queues"})
	}
	if squeezed > 0 {
		out = append(out, Finding{Severity: Info, Place: "squeezed", Key: "/proc/net/softnet_stat", Have: strconv.FormatUint(squeezed, 10), Want: "0",
			Text: "polls ended with packets left since boot", Fix: "raise net.core.netdev_budget"})
	}
	return out
}

// parseSoftnet sums columns 2 and 3 of /proc/net/softnet_stat, hex.
func parseSoftnet(data []byte) (dropped, squeezed uint64) {
	for line := range lines(data) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		d, err1 := strconv.ParseUint(f[1], 16, 32)
		q, err2 := strconv.ParseUint(f[2], 16, 32)
		if err1 == nil && err2 == nil {
			dropped += d
			squeezed += q
		}
	}
	return dropped, squeezed
}

func (s *survey) limitFinding(name string, least int64, f Finding) []Finding {
	l, ok := s.limits[name]
	if !ok || l.soft < 0 || l.soft >= least {
		return nil
	}
	f.Key = s.proc + "/limits"
	f.Have = strconv.FormatInt(l.soft, 10)
	f.Want = "at least " + strconv.FormatInt(least, 10)
	if l.hard < 0 || l.hard >= least {
		f.Text += "; the hard limit would allow it"
	}
	return []Finding{f}
}

func checkMemlock(s *survey) []Finding {
	return s.limitFinding("Max locked memory", 64<<20, Finding{Severity: Info,
		Text: "few rings can be locked in memory", Fix: "LimitMEMLOCK=infinity in the unit, --ulimit memlock=-1 for a container"})
}

func checkNofile(s *survey) []Finding {
	return s.limitFinding("Max open files", 65535, Finding{Severity: Warn,
		Text: "the gateway runs out of descriptors before it runs out of memory", Fix: "LimitNOFILE=1048576 in the unit, --ulimit nofile=1048576 for a container"})
}

func checkRtprio(s *survey) []Finding {
	return s.limitFinding("Max realtime priority", 1, Finding{Severity: Info,
		Text: "no real-time priority without CAP_SYS_NICE", Fix: "LimitRTPRIO=50 in the unit, --ulimit rtprio=50 for a container, only for pinned threads"})
}

// inContainer says by which sign the process seems to run in a container, or "".
func (s *survey) inContainer() string {
	switch {
	case s.h.exists("/.dockerenv"):
		return "/.dockerenv"
	case s.h.exists("/run/.containerenv"):
		return "/run/.containerenv"
	}
	for _, l := range parseCgroup([]byte(s.h.text(s.proc + "/cgroup"))) {
		for _, w := range []string{"docker", "kubepods", "containerd", "libpod", "lxc"} {
			if strings.Contains(l.path, w) {
				return "cgroup " + l.path
			}
		}
	}
	return ""
}

// checkContainerNetwork recognises the veth of a bridge or NAT from inside: the
// default route leaves by a device whose other end is in another namespace.
func checkContainerNetwork(s *survey) []Finding {
	for _, f := range s.ifaces {
		if !s.routed || f.name != s.route.iface || f.physical {
			continue
		}
		path := "/sys/class/net/" + f.name
		index, link := s.h.text(path+"/ifindex"), s.h.text(path+"/iflink")
		if f.driver != "veth" && (index == "" || index == link) {
			continue
		}
		sign := s.inContainer()
		text := "the default route leaves by " + f.name + ", one end of a pair into another namespace"
		if s.route.gateway.IsPrivate() {
			text += "; its gateway " + s.route.gateway.String() + " is private, so addresses are most likely translated"
		}
		if sign != "" {
			text += " (container: " + sign + ")"
		}
		return []Finding{{Severity: Warn, Place: f.name, Key: "/proc/net/route", Have: "bridge or NAT", Want: "the host's network",
			Text: text, Fix: "docker run --network host, or hostNetwork: true, or a macvlan, ipvlan or SR-IOV device"}}
	}
	return nil
}

const leastShm = 512 << 20

func checkShm(s *survey) []Finding {
	size, known := int64(0), false
	if s.h.Live() {
		var st unix.Statfs_t
		if unix.Statfs("/dev/shm", &st) == nil {
			size, known = int64(st.Blocks)*st.Bsize, true
		}
	} else {
		for _, m := range s.mounts {
			if m.path == "/dev/shm" && m.typ == "tmpfs" {
				if text, ok := m.option("size"); ok {
					size, known = parseSize(text)
				}
			}
		}
	}
	if !known || size >= leastShm {
		return nil
	}
	return []Finding{{Severity: Critical, Key: "/dev/shm", Have: fmt.Sprintf("%d MiB", size>>20), Want: fmt.Sprintf("%d MiB", leastShm>>20),
		Text: "a few rings fill it", Fix: "docker run --shm-size=1g, or share the host's with --ipc=host"}}
}
