package tune

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNormalize(t *testing.T) {
	f := func(format Format, in, want string) {
		t.Helper()
		got, err := format.normalize(in)
		if want == "" && err == nil || want != "" && (err != nil || got != want) {
			t.Errorf("%v %q: %q, %v, want %q", format, in, got, err, want)
		}
		if err == nil {
			if again, err := format.normalize(got); err != nil || again != got {
				t.Errorf("%v %q: not stable: %q, %v", format, in, again, err)
			}
		}
	}
	f(Int, "3\n", "3")
	f(Int, "-1", "-1")
	f(Int, "007", "7")
	f(Int, "18446744073709551615\n", "18446744073709551615")
	f(Int, "18446744073709551616", "")
	f(Int, "", "")
	f(Int, "1 2", "")
	f(Int, "0x10", "")
	f(Ints, "4096\t131072\t6291456\n", "4096 131072 6291456")
	f(Ints, "4096 x", "")
	f(Choice, "always [madvise] never\n", "madvise")
	f(Choice, "performance\n", "performance")
	f(Choice, "a b", "")
	f(OnOff, "on [fixed]", "on")
	f(OnOff, "maybe", "")
	f(Mask, "00000000,00000003\n", "3")
	f(Mask, "f", "f")
	f(Mask, "1,00000000", "1,00000000")
	f(Mask, "0", "0")
	f(Mask, "", "")
	f(Mask, "g", "")
	f(List, "0-3,8,9\n", "0-3,8-9")
	f(List, "3,1", "1,3")
	f(List, "0-7:1/4", "0,4")
	f(List, "0-99999", "")
	f(List, "3-1", "")
}

func TestAim(t *testing.T) {
	f := func(format Format, rule Rule, have, want, aim string) {
		t.Helper()
		k := Knob{Name: "x", Format: format, Rule: rule}
		got, err := k.aim(have, want)
		if aim == "" && err == nil || aim != "" && (err != nil || got != aim) {
			t.Errorf("rule %d have %s want %s: %q, %v; expected %q", rule, have, want, got, err, aim)
		}
	}
	f(Int, Exact, "5", "3", "3")
	f(Int, AtLeast, "5", "3", "5")
	f(Int, AtLeast, "2", "3", "3")
	f(Int, AtLeast, "18446744073709551615", "3", "18446744073709551615")
	f(Int, AtMost, "4294967295", "131072", "131072")
	f(Int, AtMost, "18446744073709551615", "7", "7")
	f(Int, AtMost, "5", "7", "5")
	f(Int, Bits, "1025", "3", "1027")
	f(Int, Bits, "3", "3", "3")
	f(Ints, AtLeast, "4096 131072 6291456", "4096 65536 16777216", "4096 131072 16777216")
	f(Ints, AtLeast, "1 2", "1 2 3", "")
	f(Choice, AtLeast, "a", "b", "b")
	f(Ints, Widen, "32768 60999", "10240 65535", "10240 65535")
	f(Ints, Widen, "1024 65000", "10240 65535", "1024 65535")
}

// TestWindow sizes buffers for paths.
func TestWindow(t *testing.T) {
	f := func(rtt time.Duration, bandwidth string, want int64) {
		t.Helper()
		s := &survey{o: Options{RTT: rtt}}
		if bandwidth != "" {
			bw, err := ParseBandwidth(bandwidth)
			if err != nil {
				t.Fatal(err)
			}
			s.o.Profile.Bandwidth = bw
		}
		if got := s.window(); got != want {
			t.Errorf("%v, %s: %d, want %d", rtt, bandwidth, got, want)
		}
	}
	f(time.Millisecond, "1Gbit", 1<<18)      // 2 × 125,000
	f(80*time.Millisecond, "1Gbit", 1<<25)   // 2 × 10 MB
	f(200*time.Millisecond, "10Gbit", 1<<29) // 2 × 250 MB
	f(time.Second, "1000Gbit", maxWindow)
	f(0, "1Gbit", 0)
	f(time.Second, "", 0)
}

func TestParsers(t *testing.T) {
	irqs := parseInterrupts([]byte("  CPU0\n  8:  0  0 IO-APIC 8-edge rtc0\nNMI: 0 Non-maskable\n 28: 1 PCI-MSI 5-edge eth0-Tx-Rx-0\n"))
	if !reflect.DeepEqual(irqs, []interrupt{{8, "rtc0"}, {28, "eth0-Tx-Rx-0"}}) {
		t.Errorf("interrupts: %v", irqs)
	}
	for name, want := range map[string]int{"eth0-Tx-Rx-3": 3, "mlx5_comp12@pci:0000:af:00.1": 12, "virtio2-input.0": 0, "rtc": -1, "": -1} {
		if got := trailingNumber(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
	r, ok := parseDefaultRoute([]byte("Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n" +
		"wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0\neth0 00000000 010011AC 0003 0 0 100 00000000 0 0 0\neth0 000011AC 00000000 1 0 0 0 0000FFFF 0 0 0\n"))
	if !ok || r.iface != "eth0" || r.gateway.String() != "172.17.0.1" {
		t.Errorf("route: %+v, %v", r, ok)
	}
	kb := parseNumaMaps([]byte("7f00 default file=/dev/shm/tickrelay/a N0=2 N1=1 kernelpagesize_kB=2048\n7f01 default anon=3 N0=3 kernelpagesize_kB=4\n"), "/dev/shm/tickrelay/")
	if !reflect.DeepEqual(kb, map[int]int64{0: 4096, 1: 2048}) {
		t.Errorf("numa_maps: %v", kb)
	}
	for text, want := range map[string]int64{"65536k": 64 << 20, "1g": 1 << 30, "512M": 512 << 20, "4096": 4096, "x": -1, "": -1, "99999999999g": -1} {
		got, ok := parseSize(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("size %q: %d, %v", text, got, ok)
		}
	}
	if m := parseMounts([]byte("shm /dev/my\\040shm tmpfs rw,size=1k 0 0\nbad\n")); len(m) != 1 || m[0].path != "/dev/my shm" {
		t.Errorf("mounts: %+v", m)
	}
	for text, want := range map[string]int64{"1Gbit": 1e9, "250mbit": 25e7, "64kbit": 64e3, "1000": 1000, "1G": 0, "-1kbit": 0, "": 0, "99999999Gbit": 0} {
		if got, err := ParseBandwidth(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("bandwidth %q: %d, %v", text, got, err)
		}
	}
}

// TestCgroups finds quotas in both versions, also where both are mounted and
// where the tightest one is a parent's.
func TestCgroups(t *testing.T) {
	type files map[string]string
	f := func(name string, fs files, version int, cpus float64, throttled int64) {
		t.Helper()
		dir := t.TempDir()
		for path, text := range fs {
			if err := writeAtomic(dir+path, []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		h := openTree(t, dir)
		c := findCgroup(h, "/proc/self", parseMounts([]byte(h.text("/proc/mounts"))))
		if c.version != version || fmt.Sprintf("%.2f", c.CPUs()) != fmt.Sprintf("%.2f", cpus) || c.throttled != throttled {
			t.Errorf("%s: %+v (%.2f CPUs), want v%d %.2f %d", name, c, c.CPUs(), version, cpus, throttled)
		}
	}
	f("v1 beside v2", files{
		"/proc/self/cgroup":               "4:cpu,cpuacct:/docker/abc\n0::/",
		"/proc/mounts":                    "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0",
		"/sys/fs/cgroup/unified/cpu.stat": "usage_usec 1",
		"/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us":  "50000",
		"/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
		"/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.stat":          "nr_periods 9\nnr_throttled 4\nthrottled_time 7000000",
		"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":             "-1",
	}, 1, 0.5, 4)
	f("v1 inside a container", files{ // the path is the host's, the mount the container's
		"/proc/self/cgroup":                    "4:cpu,cpuacct:/docker/abc",
		"/proc/mounts":                         "cgroup /sys/fs/cgroup/cpu cgroup ro,cpu,cpuacct 0 0",
		"/sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "200000",
		"/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
		"/sys/fs/cgroup/cpu/cpu.stat":          "nr_throttled 0",
	}, 1, 2, 0)
	f("v2, the parent is tighter", files{
		"/proc/self/cgroup":           "0::/a/b",
		"/proc/mounts":                "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0",
		"/sys/fs/cgroup/a/b/cpu.max":  "400000 100000",
		"/sys/fs/cgroup/a/b/cpu.stat": "nr_throttled 1",
		"/sys/fs/cgroup/a/cpu.max":    "100000 100000",
		"/sys/fs/cgroup/a/cpu.stat":   "nr_throttled 8",
	}, 2, 1, 8)
	f("none", files{
		"/proc/self/cgroup":       "0::/",
		"/proc/mounts":            "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0",
		"/sys/fs/cgroup/cpu.stat": "usage_usec 5",
	}, 2, 0, 0)
}

func TestEthtoolText(t *testing.T) {
	h, dir := fixture(t, "numa2")
	for key, want := range map[string]string{"coalesce/adaptive-rx": "on", "coalesce/rx-usecs": "8", "ring/rx": "1024", "ring/rx-max": "8192",
		"feature/large-receive-offload": "on", "driver/": "mlx5_core"} {
		if got, err := h.Get("nic:ens1f0/" + key); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
	for _, key := range []string{"feature/rx-gro-hw", "ring/rx mini", "coalesce/sample-interval", "coalesce/nothing"} {
		if got, err := h.Get("nic:ens1f0/" + key); err == nil {
			t.Errorf("%s: %q, want it absent", key, got)
		}
	}
	if err := h.Set("nic:ens1f0/coalesce/adaptive-tx", "off"); err != nil {
		t.Fatal(err)
	}
	if text := rawFile(t, dir+"/ethtool/ens1f0/coalesce"); !strings.Contains(text, "Adaptive RX: on  TX: off\n") || !strings.Contains(text, "rx-usecs:\t8\n") {
		t.Errorf("after the write:\n%s", text)
	}
}

// FuzzProc feeds every parser of /proc and /sys text.
func FuzzProc(f *testing.F) {
	for _, s := range []string{" 28: 1 PCI-MSI 5-edge eth0-Tx-Rx-0\n", "Max open files  1024  unlimited files\n", "4:cpu,cpuacct:/a\n0::/b\n",
		"shm /dev/shm tmpfs rw,size=64k 0 0\n", "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n", "7f N0=1 kernelpagesize_kB=4\n",
		"0000 0001 000f\n", "0-3,8-31:1/4", "ffffffff,00000001", "Adaptive RX: on  TX: off\nrx-usecs: 3\n", "always [madvise] never"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(data)
		parseInterrupts(data)
		parseLimits(data)
		parseCgroup(data)
		parseMounts(data)
		parseDefaultRoute(data)
		parseNumaMaps(data, "")
		parseSoftnet(data)
		parseKeys(data)
		parseStatus(data, "Cpus_allowed_list")
		parseSize(text)
		trailingNumber(text)
		for _, v := range ethtoolValues("ring", text) {
			if text[v.at:v.at+len(v.text)] != v.text {
				t.Fatalf("value %q is not at %d of %q", v.text, v.at, text)
			}
		}
		for format := Int; format <= List; format++ {
			n, err := format.normalize(text)
			if err != nil {
				continue
			}
			if again, err := format.normalize(n); err != nil && n != "" || again != n {
				t.Fatalf("format %d: %q became %q and then %q, %v", format, text, n, again, err)
			}
		}
		if cpus, err := parseCPUList(text); err == nil && len(cpus) > 0 {
			back, err := parseCPUList(formatCPUList(cpus))
			mask, err2 := parseMask(formatMask(cpus))
			if err != nil || err2 != nil || !slices.Equal(back, cpus) || !slices.Equal(mask, cpus) {
				t.Fatalf("%q: %v became %v and %v", text, cpus, back, mask)
			}
		}
	})
}

// FuzzJournal wants any bytes read or refused, and what was read written back
// the same.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"tune_journal":1,"boot":"b","netns":1,"profile":"p"}` + "\n" + `{"knob":"net.ipv4.tcp_rmem","group":"g","key":"/proc/sys/net/ipv4/tcp_rmem","format":1,"old":"1 2","new":"2 3"}` + "\n" +
		`{"drop_in":"/etc/sysctl.d/90-tickrelay.conf","old":null,"written":"y"}` + "\n" + `{"done":"/proc/sys/net/ipv4/tcp_rmem","read":"2 3"}` + "\n"))
	f.Add([]byte(`{"tune_journal":1}` + "\n" + `{"key":"/sys/x","old`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := parseJournal(data)
		if err != nil {
			return
		}
		j.path = t.TempDir() + "/j"
		if err := j.save(); err != nil {
			t.Fatal(err)
		}
		k, err := loadJournal(j.path)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if !reflect.DeepEqual(j.entries, k.entries) || j.head != k.head || (j.dropIn == nil) != (k.dropIn == nil) {
			t.Fatalf("%q: %+v became %+v", data, j, k)
		}
	})
}
