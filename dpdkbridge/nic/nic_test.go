package nic

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netns"
)

// fakeNet is the kernel's side of the tree's interfaces.
type fakeNet struct {
	state    map[string]State
	down     []string
	restored map[string]State
	above    []string
}

func (n *fakeNet) Above(string) []string { return n.above }

func (n *fakeNet) State(i string) (State, error) { return n.state[i], nil }
func (n *fakeNet) Down(i string) error           { n.down = append(n.down, i); return nil }
func (n *fakeNet) Restore(i string, s State) error {
	n.restored[i] = s
	return nil
}
func (n *fakeNet) Holder(ip net.IP) string {
	for i, s := range n.state {
		for _, a := range s.Addresses {
			if strings.HasPrefix(a, ip.String()+"/") {
				return i
			}
		}
	}
	return ""
}

// tree makes a sysfs with two ENA cards and one disk, and plays the kernel's part
// when it is written to.
func tree(t *testing.T) (Host, *fakeNet) {
	t.Helper()
	root := t.TempDir()
	put := func(p, text string) {
		t.Helper()
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, driver := range []string{"ena", "vfio-pci", "nvme"} {
		put("sys/bus/pci/drivers/"+driver+"/unbind", "")
	}
	for pci, iface := range map[string]string{"0000:00:05.0": "ens5", "0000:00:06.0": "ens6", "0000:00:04.0": ""} {
		dir := "sys/bus/pci/devices/" + pci
		class, driver := "0x020000", "ena"
		if iface == "" {
			class, driver = "0x010802", "nvme"
		} else {
			put(dir+"/net/"+iface+"/mtu", "9001")
			put(dir+"/resource2", "")
		}
		put(dir+"/class", class)
		put(dir+"/vendor", "0x1d0f")
		put(dir+"/device", "0xec20")
		put(dir+"/numa_node", "0")
		put(dir+"/driver_override", "")
		if err := os.Symlink("../../drivers/"+driver, filepath.Join(root, dir, "driver")); err != nil {
			t.Fatal(err)
		}
	}
	put("proc/meminfo", "HugePages_Total: 8\nHugePages_Free: 8\nHugepagesize: 2048 kB\n")
	put("sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages", "8\n")
	n := &fakeNet{restored: map[string]State{}, state: map[string]State{
		"ens5": {MTU: 9001, Up: true, Addresses: []string{"10.0.0.5/24"}, Routes: []Route{{Gateway: "10.0.0.1"}}},
		"ens6": {MTU: 9001, Up: true, Addresses: []string{"10.0.1.6/24"}, Routes: []Route{{Dst: "10.9.0.0/16", Gateway: "10.0.1.1"}}},
	}}
	h := Host{Root: root, Network: n}
	h.Write = func(path, text string) error {
		rel, _ := filepath.Rel(root, path)
		pci := strings.TrimSpace(text)
		switch {
		case strings.HasSuffix(rel, "driver_override"):
			return os.WriteFile(path, []byte(text), 0o644)
		case strings.HasSuffix(rel, "/unbind"):
			dir := filepath.Join(root, pciDevices, pci)
			return errors.Join(os.Remove(dir+"/driver"), os.RemoveAll(dir+"/net"))
		case strings.HasSuffix(rel, "drivers_probe"):
			dir := filepath.Join(root, pciDevices, pci)
			b, _ := os.ReadFile(dir + "/driver_override")
			driver := strings.TrimSpace(string(b))
			if driver == "" {
				driver = "ena"
			}
			if driver == "ena" {
				put(pciDevices+"/"+pci+"/net/ens"+pci[9:10]+"/mtu", "1500")
			}
			return os.Symlink("../../drivers/"+driver, dir+"/driver")
		}
		return errors.New("nobody writes there: " + rel)
	}
	return h, n
}

func TestBindAndUnbind(t *testing.T) {
	h, n := tree(t)
	d, err := h.Bind("ens6", "vfio-pci", false)
	if err != nil || d.Driver != "vfio-pci" || d.Interface != "" || d.PCI != "0000:00:06.0" {
		t.Fatalf("%+v, %v", d, err)
	}
	if !reflect.DeepEqual(n.down, []string{"ens6"}) {
		t.Errorf("taken down: %v", n.down)
	}
	if _, err := h.Bind("00:06.0", "vfio-pci", false); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("bound twice: %v", err)
	}
	d, err = h.Unbind("0000:00:06.0")
	if err != nil || d.Driver != "ena" || d.Interface != "ens6" {
		t.Fatalf("%+v, %v", d, err)
	}
	if !reflect.DeepEqual(n.restored["ens6"], n.state["ens6"]) {
		t.Errorf("restored %+v", n.restored["ens6"])
	}
	if o := h.read(pciDevices + "/0000:00:06.0/driver_override"); o != "" {
		t.Errorf("override %q left", o)
	}
	if _, err := h.Unbind("0000:00:06.0"); err == nil || !strings.Contains(err.Error(), "not bound by this command") {
		t.Errorf("unbound twice: %v", err)
	}
}

func TestBindRefusesTheWayIn(t *testing.T) {
	h, n := tree(t)
	if _, err := h.Bind("ens5", "vfio-pci", false); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "default route") {
		t.Errorf("default route: %v", err)
	}
	h.SSH = "203.0.113.9 50000 10.0.1.6 22"
	if _, err := h.Bind("ens6", "vfio-pci", false); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "SSH") {
		t.Errorf("ssh: %v", err)
	}
	h.SSH, n.above = "", []string{"bond0"}
	if _, err := h.Bind("ens6", "vfio-pci", false); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "bond0") {
		t.Errorf("member of a bond: %v", err)
	}
	n.above = nil
	if len(n.down) != 0 {
		t.Errorf("taken down: %v", n.down)
	}
	if _, err := h.Bind("ens5", "vfio-pci", true); err != nil {
		t.Errorf("forced: %v", err)
	}
	if _, err := h.Bind("eth9", "vfio-pci", true); err == nil {
		t.Error("a card that does not exist was bound")
	}
	if _, err := h.Bind("ens6", "uio_pci_generic", true); err == nil || !strings.Contains(err.Error(), "modprobe uio_pci_generic") {
		t.Errorf("driver not loaded: %v", err)
	}
}

// A driver that does not take the card: everything is as before.
func TestBindRollsBack(t *testing.T) {
	h, n := tree(t)
	write := h.Write
	h.Write = func(path, text string) error {
		override := h.read(pciDevices + "/0000:00:06.0/driver_override")
		if strings.HasSuffix(path, "drivers_probe") && override == "vfio-pci" {
			return errors.New("no IOMMU group")
		}
		return write(path, text)
	}
	if _, err := h.Bind("ens6", "vfio-pci", false); err == nil || !strings.Contains(err.Error(), "IOMMU") {
		t.Fatalf("%v", err)
	}
	d, err := h.Find("ens6")
	if err != nil || d.Driver != "ena" || !reflect.DeepEqual(n.restored["ens6"], n.state["ens6"]) {
		t.Errorf("%+v, %v, restored %+v", d, err, n.restored)
	}
	if left, _ := filepath.Glob(h.Root + "/var/lib/tickrelay-host/dpdk/*"); len(left) != 0 {
		t.Errorf("journal left: %v", left)
	}
}

// TestForeignJournal: root takes no orders from a journal that others can write.
func TestForeignJournal(t *testing.T) {
	h, n := tree(t)
	if _, err := h.Bind("ens6", "vfio-pci", false); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.Root, "var/lib/tickrelay-host/dpdk")
	for path, modes := range map[string][2]os.FileMode{filepath.Join(dir, "0000_00_06.0.json"): {0o666, 0o600}, dir: {0o777, 0o700}} {
		if err := os.Chmod(path, modes[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Unbind("0000:00:06.0"); !errors.Is(err, ErrNotOurs) || len(n.restored) != 0 {
			t.Errorf("%s of mode %v: %v, restored %v", path, modes[0], err, n.restored)
		}
		if err := os.Chmod(path, modes[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Unbind("0000:00:06.0"); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	h, _ := tree(t)
	list, devices, err := h.Check(256)
	if err != nil || len(devices) != 2 {
		t.Fatalf("%v, %v", devices, err)
	}
	want := map[string]bool{"network card": true, "IOMMU": false, "vfio-pci": true, "huge pages": false,
		"0000:00:05.0 ENA: write combining": false, "0000:00:05.0 ENA: low-latency queues (LLQ)": true, "huge pages on node 0, that of 0000:00:05.0": false}
	seen := 0
	for _, f := range list {
		if ok, known := want[f.What]; known {
			seen++
			if f.OK != ok {
				t.Errorf("%s: %+v", f.What, f)
			}
		}
		if !f.OK && f.Fix == "" {
			t.Errorf("%s is missing and no command is named", f.What)
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d findings: %+v", seen, len(want), list)
	}
}

// TestRestoreInNamespace takes a real interface's settings and gives them back.
func TestRestoreInNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip")
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with its namespace
		if _, err := netns.New(); err != nil {
			failed <- err
			return
		}
		failed <- restoreHere()
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func restoreHere() error {
	ip := func(line string) error {
		out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		if err != nil {
			return errors.New("ip " + line + ": " + string(out))
		}
		return nil
	}
	make := func() error {
		return errors.Join(ip("link add nic0 type veth peer name nic1"), ip("link set nic1 up"))
	}
	if err := errors.Join(make(), ip("link set nic0 mtu 1400"), ip("addr add 10.5.0.2/24 dev nic0"), ip("addr add fd05::2/64 dev nic0 nodad"),
		ip("link set nic0 up"), ip("route add default via 10.5.0.1 dev nic0 metric 7"), ip("route add 10.77.0.0/16 via 10.5.0.9 dev nic0")); err != nil {
		return err
	}
	k := kernelNetwork{}
	want, err := k.State("nic0")
	if err != nil {
		return err
	}
	if len(want.Routes) != 2 || len(want.Addresses) != 2 || want.MTU != 1400 || !want.Up || k.Holder(net.ParseIP("10.5.0.2")) != "nic0" {
		return errors.New("state was not read")
	}
	if above := k.Above("nic0"); above != nil {
		return errors.New("nothing stands on it, and yet " + strings.Join(above, ", "))
	}
	if err := errors.Join(ip("link add link nic0 name nic0.7 type vlan id 7"), ip("link add br7 type bridge"), ip("link set nic1 master br7")); err == nil {
		if a, b := k.Above("nic0"), k.Above("nic1"); !reflect.DeepEqual(a, []string{"nic0.7"}) || !reflect.DeepEqual(b, []string{"br7"}) {
			return errors.New("VLAN and bridge were not seen: " + strings.Join(append(a, b...), ", "))
		}
	}
	if err := errors.Join(k.Down("nic0"), ip("link del nic0"), make(), k.Restore("nic0", want)); err != nil {
		return err
	}
	got, err := k.State("nic0")
	if err == nil && !reflect.DeepEqual(got, want) {
		err = errors.New("the settings came back otherwise")
	}
	return err
}
