package xdp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkJudge is the program alone, frame by frame in the kernel's own
// repeat loop: no driver, warm caches.
func BenchmarkJudge(b *testing.B) {
	l := loadProgram(b, 8080, 1)
	addTestRules(l)
	for _, x := range []struct {
		name string
		spec frameSpec
	}{
		{"another port", frameSpec{src: "192.0.2.1", sport: 1, dport: 22}},
		{"denied", frameSpec{src: "10.9.0.1", sport: 1, dport: 8080, flags: flagSYN}},
		{"SYN over budget", frameSpec{src: "192.0.2.1", sport: 1, dport: 8080, flags: flagSYN}},
		{"ACK over budget", frameSpec{src: "192.0.2.1", sport: 1, dport: 8080, flags: flagACK}},
		{"IPv6 SYN over budget", frameSpec{src: "2001:db8::1", sport: 1, dport: 8080, flags: flagSYN}},
	} {
		frame := x.spec.frame()
		b.Run(x.name, func(b *testing.B) {
			_, took, err := l.obj.TickrelayXdp.Benchmark(frame, max(b.N, 1), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took.Nanoseconds()), "ns/op")
		})
	}
}

// BenchmarkFlood sends frames of one source over a veth pair and drops them: by
// this filter, by nftables at its earliest hook (ingress) and at prerouting, or
// by a bare XDP_DROP, the floor. Core 0 sends as fast as it can; the receiving
// queue runs in a kernel thread of its own on core 1, whose CPU time is what is
// divided by the packets dropped: drops/s is what one busy core could do, and
// other load on the machine makes it worse by cold caches only. A veth hands
// the frames over in memory; a NIC's driver adds its own cost to all alike.
func BenchmarkFlood(b *testing.B) {
	for _, flow := range []string{"denied", "over budget"} {
		for _, by := range []string{"bare XDP_DROP", "xdp native", "xdp generic", "nftables ingress", "nftables prerouting"} {
			b.Run(flow+"/"+by, func(b *testing.B) { benchFlood(b, flow, by) })
		}
	}
}

func benchFlood(b *testing.B, flow, by string) {
	fs := bpffs(b)
	server, client := cable(b)
	var dropped func() uint64
	if by == "bare XDP_DROP" {
		dropped = bareDrop(b, server)
	} else if mode, ok := strings.CutPrefix(by, "xdp "); ok {
		m := map[string]Mode{"native": ModeNative, "generic": ModeGeneric}[mode]
		c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080, Mode: m, SYN: Budget{Rate: 10, Burst: 20}}
		attach(b, server, c)
		f := open(b, server, c.Target)
		if flow == "denied" {
			if err := f.Add(Deny, Rule{Prefix: prefix("10.77.0.3/32")}); err != nil {
				b.Fatal(err)
			}
		}
		dropped = func() uint64 { st := stats(b, server, f); return st.Dropped() }
	} else {
		dropped = nftables(b, server, flow, strings.TrimPrefix(by, "nftables "))
	}
	if by != "xdp native" && by != "bare XDP_DROP" {
		napi(b, server)
	}
	busy := ownThread(b, server)
	send := liveFrames(b, client, frameSpec{src: "10.77.0.3", sport: 1000, dport: 8080, flags: flagSYN}.frame())
	send(1 << 14) // warm
	time.Sleep(20 * time.Millisecond)
	before, cpuBefore := dropped(), busy()
	for b.Loop() {
		send(1 << 14)
	}
	time.Sleep(20 * time.Millisecond)
	n, cpu := dropped()-before, busy()-cpuBefore
	if n == 0 {
		b.Fatal("nothing was dropped")
	}
	b.ReportMetric(float64(n)/cpu.Seconds(), "drops/s/core")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(n), "ns/drop")
	b.ReportMetric(0, "ns/op")
}

// ownThread moves the receiving queue of the server's end into a kernel thread
// on core 1 and returns that thread's CPU time.
func ownThread(b *testing.B, s *space) (cpu func() time.Duration) {
	dir := b.TempDir()
	s.do(func() error { // sysfs shows the namespace that it was mounted in
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("sysfs", dir, "sysfs", 0, ""); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "class/net", serverIf, "threaded"), []byte("1"), 0)
	})
	comms, _ := filepath.Glob("/proc/[0-9]*/comm")
	newest := 0
	for _, c := range comms {
		name, _ := os.ReadFile(c)
		if pid, _ := strconv.Atoi(strings.Split(c, "/")[2]); strings.HasPrefix(string(name), "napi/"+serverIf) {
			newest = max(newest, pid)
		}
	}
	if newest == 0 {
		b.Skip("the kernel's threads are not visible here")
	}
	var one unix.CPUSet
	one.Set(1 % runtime.NumCPU())
	if err := unix.SchedSetaffinity(newest, &one); err != nil {
		b.Fatal(err)
	}
	return func() time.Duration {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", newest))
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return time.Duration(ns)
	}
}

// bareDrop attaches a program of one instruction, for what the rest costs.
func bareDrop(b *testing.B, s *space) (dropped func() uint64) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bare_drop", Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	s.do(func() error {
		dev, err := findDevice(serverIf)
		if err != nil {
			return err
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: dev.index, Flags: link.XDPDriverMode})
		if err == nil {
			b.Cleanup(func() { _ = l.Close() })
		}
		return err
	})
	return func() (n uint64) { // the interface counts what it received
		s.do(func() error {
			l, err := netlink.LinkByName(serverIf)
			if err == nil {
				n = l.Attrs().Statistics.RxPackets
			}
			return err
		})
		return n
	}
}

// nftables drops the same packets by the same rule, and counts them.
func nftables(b *testing.B, s *space, flow, hook string) (dropped func() uint64) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		b.Skip("nft is missing: apt-get install nftables")
	}
	run := func(args ...string) string {
		var out []byte
		s.do(func() (err error) {
			if out, err = exec.Command(nft, args...).CombinedOutput(); err != nil {
				return fmt.Errorf("nft %s: %w: %s", args, err, out)
			}
			return nil
		})
		return string(out)
	}
	family, chain := "netdev", "type filter hook ingress device "+serverIf+" priority -500;"
	if hook == "prerouting" {
		family, chain = "ip", "type filter hook prerouting priority raw;"
	}
	rule := "tcp dport 8080 ip saddr @deny counter drop"
	if flow != "denied" {
		rule = "tcp dport 8080 tcp flags & (syn|ack) == syn update @sources { ip saddr limit rate over 10/second burst 20 packets } counter drop"
	}
	run(fmt.Sprintf(`table %s bench {
		set deny { type ipv4_addr; flags interval; elements = { 10.77.0.3, 10.9.0.0/16 } }
		set sources { type ipv4_addr; size 65536; flags dynamic; timeout 1m; }
		chain c { %s policy accept; %s; }
	}`, family, chain, rule))
	count := regexp.MustCompile(`counter packets (\d+)`)
	return func() uint64 {
		m := count.FindStringSubmatch(run("list", "chain", family, "bench", "c"))
		if m == nil {
			b.Fatal("no counter in nft's list")
		}
		n, _ := strconv.ParseUint(m[1], 10, 64)
		return n
	}
}

// napi lets the server's end take frames without an XDP program: generic
// receive offload starts its receive queue.
func napi(b *testing.B, s *space) {
	s.do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Change(serverIf, map[string]bool{"rx-gro": true})
	})
}

// liveFrames returns a function that sends frame n times from the client's end
// by the kernel's own generator (BPF_F_TEST_XDP_LIVE_FRAMES), on one core.
func liveFrames(b *testing.B, s *space, frame []byte) (send func(n uint32)) {
	var index int
	s.do(func() error {
		l, err := netlink.LinkByName(clientIf)
		if err == nil {
			index = l.Attrs().Index
		}
		return err
	})
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "generator", Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(index)), asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(), asm.Return(),
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	return func(n uint32) {
		s.do(func() error {
			var one unix.CPUSet
			one.Set(0)
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				return err
			}
			_, err := p.Run(&ebpf.RunOptions{Data: frame, Repeat: n, Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, BatchSize: 64})
			return err
		})
	}
}
