package tune

import (
	"bufio"
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// interrupt is one line of /proc/interrupts.
type interrupt struct {
	num  int
	name string // last column: the action's name
}

// parseInterrupts reads the numbered lines of /proc/interrupts (proc(5)).
func parseInterrupts(data []byte) []interrupt {
	var out []interrupt
	for line := range lines(data) {
		num, rest, ok := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimSpace(num))
		fields := strings.Fields(rest)
		if !ok || err != nil || n < 0 || len(fields) == 0 {
			continue
		}
		out = append(out, interrupt{n, fields[len(fields)-1]})
	}
	return out
}

// lines are the lines of data; the iterator stops early when the loop does.
func lines(data []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		sc := bufio.NewScanner(bytes.NewReader(data))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if !yield(sc.Text()) {
				return
			}
		}
	}
}

// limit is one row of /proc/PID/limits; -1 is unlimited.
type limit struct{ soft, hard int64 }

// parseLimits reads /proc/PID/limits by its column titles' names.
func parseLimits(data []byte) map[string]limit {
	out := map[string]limit{}
	for line := range lines(data) {
		for _, name := range []string{"Max open files", "Max locked memory", "Max realtime priority"} {
			rest, ok := strings.CutPrefix(line, name)
			f := strings.Fields(rest)
			if !ok || len(f) < 2 {
				continue
			}
			soft, okS := parseLimit(f[0])
			hard, okH := parseLimit(f[1])
			if okS && okH {
				out[name] = limit{soft, hard}
			}
		}
	}
	return out
}

func parseLimit(w string) (int64, bool) {
	if w == "unlimited" {
		return -1, true
	}
	n, err := strconv.ParseInt(w, 10, 64)
	return n, err == nil && n >= 0
}

// parseKeys reads lines of "key value" or "key: value" into numbers; other
// lines are passed over. cpu.stat, meminfo and adjtimex dumps look so.
func parseKeys(data []byte) map[string]int64 {
	out := map[string]int64{}
	for line := range lines(data) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
			out[strings.TrimSuffix(f[0], ":")] = n
		}
	}
	return out
}

// parseStatus is the text after "Name:" in /proc/PID/status.
func parseStatus(data []byte, name string) string {
	for line := range lines(data) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// cgroupLine is one line of /proc/PID/cgroup: hierarchy, controllers, path.
type cgroupLine struct {
	controllers []string // none for version 2
	path        string
}

// parseCgroup reads /proc/PID/cgroup (cgroups(7)).
func parseCgroup(data []byte) []cgroupLine {
	var out []cgroupLine
	for line := range lines(data) {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		var c []string
		if parts[1] != "" {
			c = strings.Split(parts[1], ",")
		}
		out = append(out, cgroupLine{c, parts[2]})
	}
	return out
}

// mount is one line of /proc/mounts.
type mount struct {
	path, typ string
	options   []string
}

// parseMounts reads /proc/mounts (fstab(5)); \040 and its kin are undone.
func parseMounts(data []byte) []mount {
	var out []mount
	for line := range lines(data) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		out = append(out, mount{unescape(f[1]), f[2], strings.Split(f[3], ",")})
	}
	return out
}

func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// option is the value of "name=value" in a mount's options.
func (m mount) option(name string) (string, bool) {
	for _, o := range m.options {
		if v, ok := strings.CutPrefix(o, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// parseSize reads a tmpfs size option: bytes, or with k, m or g.
func parseSize(s string) (int64, bool) {
	shift := 0
	if s != "" {
		switch s[len(s)-1] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, false
	}
	return n << shift, true
}

// route is the default route of /proc/net/route.
type route struct {
	iface   string
	gateway netip.Addr
}

// parseDefaultRoute finds the default route with the lowest metric in
// /proc/net/route: hex words in host order, little-endian here.
func parseDefaultRoute(data []byte) (best route, found bool) {
	bestMetric := int64(0)
	for line := range lines(data) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		gw, err := strconv.ParseUint(f[2], 16, 32)
		metric, err2 := strconv.ParseInt(f[6], 10, 64)
		if err != nil || err2 != nil || found && metric >= bestMetric {
			continue
		}
		best = route{f[0], netip.AddrFrom4([4]byte{byte(gw), byte(gw >> 8), byte(gw >> 16), byte(gw >> 24)})}
		bestMetric, found = metric, true
	}
	return best, found
}

// parseNumaMaps adds up resident pages per node of those mappings in
// /proc/PID/numa_maps whose line contains match; page sizes differ, so the sum
// is in kilobytes.
func parseNumaMaps(data []byte, match string) map[int]int64 {
	out := map[int]int64{}
	for line := range lines(data) {
		if !strings.Contains(line, match) {
			continue
		}
		page, pages := int64(4), map[int]int64{}
		for _, f := range strings.Fields(line) {
			key, val, ok := strings.Cut(f, "=")
			n, err := strconv.ParseInt(val, 10, 64)
			if !ok || err != nil || n < 0 || n > 1<<40 {
				continue
			}
			if key == "kernelpagesize_kB" && n <= 1<<24 {
				page = n
			} else if rest, isNode := strings.CutPrefix(key, "N"); isNode {
				if node, err := strconv.Atoi(rest); err == nil && node >= 0 && node < 1024 {
					pages[node] += n
				}
			}
		}
		for node, n := range pages {
			out[node] += n * page
		}
	}
	return out
}

// trailingNumber is the last run of digits in an interrupt's name before any
// '@' or ':', such as the 3 of "eth0-Tx-Rx-3"; -1 without one.
func trailingNumber(name string) int {
	name, _, _ = strings.Cut(name, "@")
	end := strings.LastIndexAny(name, "0123456789") + 1
	start := end
	for start > 0 && name[start-1] >= '0' && name[start-1] <= '9' {
		start--
	}
	n, err := strconv.Atoi(name[start:end])
	if err != nil {
		return -1
	}
	return n
}

func intersect(a, b []int) []int {
	var out []int
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

func without(a, b []int) []int {
	var out []int
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}
