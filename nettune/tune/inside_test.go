package tune

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Scenarios that need namespaces of their own run in a copy of the test binary:
// the parent starts it with new network and mount namespaces, the copy runs
// TestInside with the scenario's name in the environment.
const (
	envScenario = "TUNE_TEST_SCENARIO"
	envArg      = "TUNE_TEST_ARG"
)

func scenarios() map[string]func(t *testing.T) {
	return map[string]func(t *testing.T){
		"sysctls":     insideSysctls,
		"crash":       insideCrash,
		"steering":    insideSteering,
		"tap":         insideTap,
		"otherns":     insideOtherNetns,
		"prove":       insideProve,
		"applyDie":    insideApplyDie,
		"revertDie":   insideRevertDie,
		"applyNormal": insideApplyNormal,
		"proveDie":    insideProveDie,
	}
}

// TestInside runs one scenario when it was started by another test.
func TestInside(t *testing.T) {
	name := os.Getenv(envScenario)
	if name == "" {
		t.Skip("started by the tests that need namespaces")
	}
	scenarios()[name](t)
}

// inNamespaces runs a scenario as root in fresh network and mount namespaces.
func inNamespaces(t *testing.T, scenario string) {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("needs root: it creates a network namespace and writes its settings")
	}
	cmd := again(scenario, "")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	text := string(out)
	switch {
	case err != nil && strings.Contains(err.Error(), "operation not permitted"):
		t.Skipf("needs CAP_SYS_ADMIN for namespaces: %v", err)
	case err != nil:
		t.Fatalf("%s: %v\n%s", scenario, err, text)
	case strings.Contains(text, "--- SKIP"):
		t.Skip(text)
	}
	t.Log(text)
}

// again is this test binary, set to run a scenario.
func again(scenario, arg string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInside$", "-test.v", "-test.timeout=240s")
	cmd.Env = append(os.Environ(), envScenario+"="+scenario, envArg+"="+arg)
	return cmd
}

// ownSys gives the namespace its own view of /sys/class/net and brings lo up.
func ownSys(t *testing.T) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	linkUp(t, "lo")
}

// vethPair creates the devices va and vb, with so many queues each way.
func vethPair(t *testing.T, queues int) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "va", queues, queues
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "vb"}); err != nil {
		t.Skipf("needs veth devices in the kernel: %v", err)
	}
}

// linkUp sets IFF_UP, by ioctl, so that it needs no program.
func linkUp(t *testing.T, name string) {
	t.Helper()
	withIfreq(t, name, func(fd int, r *unix.Ifreq) error {
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
			return err
		}
		r.SetUint16(r.Uint16() | unix.IFF_UP)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
	})
}

// linkAddr gives an interface an address of a /24.
func linkAddr(t *testing.T, name string, addr [4]byte) {
	t.Helper()
	withIfreq(t, name, func(fd int, r *unix.Ifreq) error {
		if err := r.SetInet4Addr(addr[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r); err != nil {
			return err
		}
		if err := r.SetInet4Addr([]byte{255, 255, 255, 0}); err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, r)
	})
}

func withIfreq(t *testing.T, name string, f func(fd int, r *unix.Ifreq) error) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = f(fd, r)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// newTap creates a TAP device in the calling thread's namespace and brings it
// up with an address.
func newTap(t *testing.T, name string, addr [4]byte) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("needs /dev/net/tun: %v", err)
	}
	r, err := unix.NewIfreq(name)
	if err == nil {
		r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err != nil {
		unix.Close(fd)
		t.Fatalf("tap %s: %v", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	linkAddr(t, name, addr)
	linkUp(t, name)
	return f
}

func argNumber(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv(envArg))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
