package xdp

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// child is a re-executed test binary.
func child(what string) int {
	c := Config{Target: Target{Interface: serverIf, BPFFS: os.Getenv("TICKRELAY_XDP_BPFFS")}, Port: 8080}
	switch what {
	case "unprivileged":
		if err := errors.Join(syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			fmt.Println(err)
			return 1
		}
		_, err := Attach(c)
		fmt.Println(err, errors.Is(err, ErrNotPermitted))
		_, err = Open(c.Target)
		fmt.Println(err)
		return 0
	default: // attach until the named step, then wait to be killed
		c.step = func(at string) {
			if at == what {
				fmt.Println("here")
				select {}
			}
		}
		if _, err := Attach(c); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("done")
		select {}
	}
}

// startChild runs the test binary again within s.
func startChild(t *testing.T, s *space, what, fs string) (*exec.Cmd, *bytes.Buffer, func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+what, "TICKRELAY_XDP_BPFFS="+fs)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &errs
	s.do(cmd.Start) // the child inherits the thread's namespace
	_ = w.Close()
	t.Cleanup(func() { _ = r.Close() })
	return cmd, &errs, func() string {
		buf := make([]byte, 4096)
		_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, _ := r.Read(buf)
		return string(buf[:n])
	}
}

// nothingLeft fails if a program or a pin is left.
func nothingLeft(t *testing.T, s *space, fs string) {
	t.Helper()
	s.do(func() error {
		dev, err := findDevice(serverIf)
		if err == nil && dev.program != 0 {
			t.Errorf("program %d is on the interface", dev.program)
		}
		return err
	})
	left, err := filepath.Glob(filepath.Join(fs, "tickrelay*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the bpffs: %v %v", left, err)
	}
}

func TestAttachDetach(t *testing.T) {
	fs := bpffs(t)
	server, _ := cable(t)
	for _, mode := range []Mode{ModeAuto, ModeNative, ModeGeneric} {
		c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080, Mode: mode}
		want := "native"
		if mode == ModeGeneric {
			want = "generic"
		}
		server.do(func() error {
			a, err := Attach(c)
			if err == nil && (a.Mode != want || a.TakenOver || a.Leftover || a.Fallback != "") {
				t.Errorf("%v: %+v", mode, a)
			}
			return err
		})
		f := open(t, server, c.Target)
		if st := stats(t, server, f); !st.Attached || st.Mode != want || st.Port != 8080 ||
			st.SYN != (Budget{Rate: DefaultSYNRate, Burst: DefaultSYNBurst}) || st.Packets != (Budget{Rate: DefaultPacketRate, Burst: DefaultPacketBurst}) {
			t.Errorf("%v: %+v", mode, st)
		}
		server.do(func() error {
			found, err := Detach(c.Target)
			if !found {
				t.Error("detach found nothing")
			}
			return err
		})
		nothingLeft(t, server, fs)
		server.do(func() error {
			if found, err := Detach(c.Target); found || err != nil {
				t.Errorf("second detach: %v %v", found, err)
			}
			if _, err := Open(c.Target); !errors.Is(err, ErrNotAttached) {
				t.Errorf("open: %v", err)
			}
			return nil
		})
	}
}

// A taken-over filter keeps lists and counters, and gets the new settings.
func TestAttachAgain(t *testing.T) {
	fs := bpffs(t)
	server, _ := cable(t)
	c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080}
	attach(t, server, c)
	f := open(t, server, c.Target)
	if err := f.Add(Deny, Rule{Prefix: prefix("192.0.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	var before device
	server.do(func() (err error) { before, err = findDevice(serverIf); return err })
	c.Port, c.SYN = 9090, Budget{Rate: 7, Burst: 9}
	if a := attach(t, server, c); !a.TakenOver || a.Mode != "native" {
		t.Errorf("%+v", a)
	}
	st := stats(t, server, f)
	if st.Port != 9090 || st.SYN != (Budget{Rate: 7, Burst: 9}) || st.Denied != 1 || !st.Attached {
		t.Errorf("%+v", st)
	}
	server.do(func() error {
		now, err := findDevice(serverIf)
		if now.program == before.program || now.program == 0 {
			t.Errorf("program %d before, %d now: not replaced", before.program, now.program)
		}
		c.Mode = ModeGeneric
		if _, err := Attach(c); err == nil || !strings.Contains(err.Error(), "detach it first") {
			t.Errorf("change of mode: %v", err)
		}
		return err
	})
}

// A refused attach leaves the filter that runs as it was.
func TestRefusedAttachChangesNothing(t *testing.T) {
	fs := bpffs(t)
	server, _ := cable(t)
	c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080, Mode: ModeGeneric}
	attach(t, server, c)
	f := open(t, server, c.Target)
	before := stats(t, server, f)
	for name, again := range map[string]Config{
		"another mode": {Target: c.Target, Port: 9999, Mode: ModeNative},
		"program refused": {Target: c.Target, Port: 9999, SYN: Budget{Rate: 1},
			update: func(link.Link, *ebpf.Program) error { return syscall.EINVAL }},
	} {
		server.do(func() error {
			if a, err := Attach(again); err == nil || a.TakenOver {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
			return nil
		})
		now := stats(t, server, f)
		if now.Port != before.Port || now.SYN != before.SYN || now.Packets != before.Packets || !now.Attached || now.Mode != "generic" {
			t.Errorf("%s: %+v, was %+v", name, now, before)
		}
	}
}

// Killed at each step of attaching: what is left is documented, and the next
// attach and detach cope with it.
func TestKilledWhileAttaching(t *testing.T) {
	for _, x := range []struct {
		step               string
		attached           bool // after the kill
		leftover, takeOver bool // what the next attach finds
	}{
		{"maps pinned", false, true, false},
		{"attached", false, true, false}, // the link went with its process
		{"link pinned", true, false, true},
		{"done", true, false, true},
	} {
		for _, next := range []string{"attach", "detach"} {
			t.Run(x.step+", then "+next, func(t *testing.T) {
				fs := bpffs(t)
				server, _ := cable(t)
				cmd, errs, line := startChild(t, server, x.step, fs)
				if got := line(); got != "here\n" && got != "done\n" {
					t.Fatalf("child: %q %s", got, errs)
				}
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080}
				f := open(t, server, c.Target)
				if !until(func() bool { return stats(t, server, f).Attached == x.attached }) {
					t.Errorf("attached %v after the kill, want %v", !x.attached, x.attached)
				}
				if next == "attach" {
					if a := attach(t, server, c); a.Leftover != x.leftover || a.TakenOver != x.takeOver {
						t.Errorf("%+v", a)
					}
					if !stats(t, server, f).Attached {
						t.Error("not attached")
					}
				}
				server.do(func() error { _, err := Detach(c.Target); return err })
				nothingLeft(t, server, fs)
			})
		}
	}
}

// until waits up to five seconds: the kernel frees a killed process's link late.
func until(ok func() bool) bool {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

func TestInterfaceGone(t *testing.T) {
	fs := bpffs(t)
	server, _ := cable(t)
	c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080}
	attach(t, server, c)
	f := open(t, server, c.Target)
	server.do(func() error {
		l, err := netlink.LinkByName(serverIf)
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	})
	if stats(t, server, f).Attached {
		t.Error("attached to nothing")
	}
	server.do(func() error { // another of the same name
		if _, err := Attach(c); err == nil || !strings.Contains(err.Error(), "no interface") {
			t.Errorf("attach: %v", err)
		}
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: serverIf}, PeerName: "other"})
	})
	if a := attach(t, server, c); !a.Leftover || a.TakenOver {
		t.Errorf("%+v", a)
	}
	if !stats(t, server, f).Attached {
		t.Error("not attached again")
	}
}

// Commands at the same time wait for each other.
func TestAttachAndDetachAtOnce(t *testing.T) {
	fs := bpffs(t)
	server, _ := cable(t)
	c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 8 {
				err := server.try(func() error {
					if _, err := Attach(c); err != nil {
						return fmt.Errorf("attach: %w", err)
					}
					_, err := Detach(c.Target)
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	nothingLeft(t, server, fs)
}

// foreign loads a program that is not ours.
func foreign(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "somebody_elses", Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestBesideAnotherProgram(t *testing.T) {
	for name, flags := range map[string]link.XDPAttachFlags{"native": link.XDPDriverMode, "generic": link.XDPGenericMode} {
		t.Run(name, func(t *testing.T) {
			fs := bpffs(t)
			server, _ := cable(t)
			prog := foreign(t)
			c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: 8080}
			server.do(func() error {
				dev, err := findDevice(serverIf)
				if err != nil {
					return err
				}
				l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: dev.index, Flags: flags})
				if err != nil {
					return err
				}
				defer l.Close()
				_, err = Attach(c)
				if !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), `"somebody_elses"`) || !strings.Contains(err.Error(), name) {
					t.Errorf("attach: %v", err)
				}
				return nil
			})
			server.do(func() error { // the other way round: ours is not replaced either
				if _, err := Attach(c); err != nil {
					return err
				}
				dev, err := findDevice(serverIf)
				if err != nil {
					return err
				}
				if l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: dev.index, Flags: flags}); err == nil {
					_ = l.Close()
					t.Error("another program attached over ours")
				}
				_, err = Detach(c.Target)
				return err
			})
			nothingLeft(t, server, fs)
		})
	}
}

// An interface without native mode gets the generic one, and that is said.
func TestGenericFallBack(t *testing.T) {
	fs := bpffs(t)
	s := newSpace(t)
	c := Config{Target: Target{Interface: "lo", BPFFS: fs}, Port: 8080, Mode: ModeNative}
	s.do(func() error {
		if _, err := Attach(c); err == nil || !strings.Contains(err.Error(), "refuses native mode") {
			t.Errorf("native on loopback: %v", err)
		}
		return nil
	})
	if left, _ := filepath.Glob(filepath.Join(fs, "tickrelay*", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	c.Mode = ModeAuto
	if a := attach(t, s, c); a.Mode != "generic" || a.Fallback == "" {
		t.Errorf("%+v", a)
	}
	if st := stats(t, s, open(t, s, c.Target)); st.Mode != "generic" || !st.Attached {
		t.Errorf("%+v", st)
	}
}

func TestUnprivileged(t *testing.T) {
	fs := bpffs(t)
	if err := unix.Chmod(filepath.Dir(fs), 0o755); err != nil {
		t.Fatal(err)
	}
	server, _ := cable(t)
	cmd, errs, line := startChild(t, server, "unprivileged", fs)
	err := cmd.Wait()
	out := line()
	if err != nil || strings.Count(out, "run as root, or with CAP_BPF") != 2 || !strings.Contains(out, "true") {
		t.Errorf("%v %s %s", err, out, errs)
	}
	nothingLeft(t, server, fs)
}

func TestConfigRefused(t *testing.T) {
	for _, x := range []struct {
		c    Config
		want string
	}{
		{Config{Port: 1}, "no interface"},
		{Config{Target: Target{Interface: "eth0"}}, "no port"},
		{Config{Target: Target{Interface: "eth0"}, Port: 1, SYN: Budget{Rate: 1e9}}, "SYN budget"},
		{Config{Target: Target{Interface: "no-such-if"}, Port: 1}, "no interface"},
		{Config{Target: Target{Interface: "lo", BPFFS: "/tmp"}, Port: 1}, "no bpffs"},
	} {
		if _, err := Attach(x.c); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q", x.c, err, x.want)
		}
	}
}
