package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// childEnv selects what a re-executed test binary does instead of testing.
const childEnv = "TICKRELAY_XDP_CHILD"

// TestMain runs children, and fails a run that leaks descriptors.
func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(child(what))
	}
	before := countFds()
	code := m.Run()
	for end := time.Now().Add(2 * time.Second); countFds() > before+2 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := countFds(); code == 0 && n > before+2 { // Go's network poller keeps two
		fmt.Fprintf(os.Stderr, "leak: %d descriptors before the tests, %d after\n", before, n)
		code = 1
	}
	os.Exit(code)
}

func countFds() int {
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(e)
}

// needRoot skips where the kernel would refuse.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads eBPF programs and makes network namespaces")
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Skipf("no eBPF here, although root: %v", err)
	}
	_ = m.Close()
}

// bpffs mounts a bpffs of the test's own.
func bpffs(t testing.TB) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, "mode=0700"); err != nil {
		t.Skipf("no bpffs can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// space is a network namespace.
type space struct {
	t testing.TB
	h netns.NsHandle
}

func newSpace(t testing.TB) *space {
	t.Helper()
	needRoot(t)
	type made struct {
		h   netns.NsHandle
		err error
	}
	ch := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.New()
		ch <- made{h, err}
	}()
	m := <-ch
	if m.err != nil {
		t.Skipf("no network namespace of our own: %v", m.err)
	}
	s := &space{t: t, h: m.h}
	t.Cleanup(func() { _ = s.h.Close() })
	s.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return s
}

// do runs f on a thread within the namespace.
func (s *space) do(f func() error) {
	s.t.Helper()
	if err := s.try(f); err != nil {
		s.t.Fatal(err)
	}
}

func (s *space) try(f func() error) error {
	ch := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := netns.Set(s.h); err != nil {
			ch <- err
			return
		}
		ch <- f()
	}()
	return <-ch
}

// The two ends of a test's cable.
const (
	serverIf = "gw0"
	clientIf = "net0"
	server4  = "10.77.0.1"
	server6  = "fd77::1"
)

// cable joins two new namespaces by a veth pair. The client's end has the
// addresses 10.77.0.2 to .5, fd77::2 and fd78::2 (another /64).
func cable(t testing.TB) (server, client *space) {
	t.Helper()
	server, client = newSpace(t), newSpace(t)
	noVeth := false
	server.do(func() error {
		v := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: serverIf, HardwareAddr: serverMAC()},
			PeerName:  clientIf, PeerHardwareAddr: clientMAC(), PeerNamespace: netlink.NsFd(client.h),
		}
		if err := netlink.LinkAdd(v); errors.Is(err, unix.EOPNOTSUPP) {
			noVeth = true
			return nil
		} else if err != nil {
			return fmt.Errorf("veth: %w", err)
		}
		return up(serverIf, server4+"/24", server6+"/64", "fd78::1/64")
	})
	if noVeth {
		t.Skip("this kernel has no veth")
	}
	client.do(func() error {
		return up(clientIf, "10.77.0.2/24", "10.77.0.3/24", "10.77.0.4/24", "10.77.0.5/24", "fd77::2/64", "fd78::2/64")
	})
	return server, client
}

// The cable's addresses are those of the frames that frameSpec builds.
func serverMAC() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, 1} }
func clientMAC() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, 2} }

func up(name string, addrs ...string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		n, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		n.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(l, n); err != nil {
			return fmt.Errorf("%s on %s: %w", a, name, err)
		}
	}
	return netlink.LinkSetUp(l)
}

// attach attaches in s and detaches at the end of the test.
func attach(t testing.TB, s *space, c Config) Attached {
	t.Helper()
	var a Attached
	s.do(func() (err error) {
		a, err = Attach(c)
		return err
	})
	t.Cleanup(func() {
		if err := s.try(func() error { _, err := Detach(c.Target); return err }); err != nil {
			t.Error(err)
		}
	})
	return a
}

// open opens the filter in s until the end of the test.
func open(t testing.TB, s *space, target Target) *Filter {
	t.Helper()
	var f *Filter
	s.do(func() (err error) {
		f, err = Open(target)
		return err
	})
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// stats reads f in s.
func stats(t testing.TB, s *space, f *Filter) Stats {
	t.Helper()
	var st Stats
	s.do(func() (err error) {
		st, err = f.Stats()
		return err
	})
	return st
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
