//go:build dpdk

package dpdkbridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// checkHugePages wants mb MiB of free huge pages of the default size.
func checkHugePages(meminfo string, mb int) error {
	data, err := os.ReadFile(meminfo)
	if err != nil {
		return fmt.Errorf("dpdkbridge: huge pages: %w", err)
	}
	var free, sizeKB int
	for line := range strings.SplitSeq(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "HugePages_Free:":
			free, _ = strconv.Atoi(f[1])
		case "Hugepagesize:":
			sizeKB, _ = strconv.Atoi(f[1])
		}
	}
	if sizeKB == 0 {
		return errors.New("dpdkbridge: huge pages: this kernel has none")
	}
	if have := free * sizeKB / 1024; have < mb {
		return fmt.Errorf("dpdkbridge: huge pages: %d MiB are free, %d are needed: sysctl vm.nr_hugepages=%d, or set huge_pages: false",
			have, mb, (mb*1024+sizeKB-1)/sizeKB)
	}
	return nil
}

// checkInterface wants an interface of the kernel's that can carry the port.
func checkInterface(c *Config, name string) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("dpdkbridge: interface %s: %w", name, err)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return fmt.Errorf("dpdkbridge: interface %s is down: ip link set %s up", name, name)
	}
	if ifi.MTU < c.MTU {
		return fmt.Errorf("dpdkbridge: interface %s has an MTU of %d, below the configured %d", name, ifi.MTU, c.MTU)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return fmt.Errorf("dpdkbridge: interface %s: %w", name, err)
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || c.Shared {
			continue
		}
		for _, p := range c.Addresses {
			if n.IP.Equal(net.IP(p.Addr().AsSlice())) {
				return fmt.Errorf("dpdkbridge: the kernel has the address %v on %s too and would answer for it: remove it there (ip addr del), or set shared: true with af_xdp", p, name)
			}
		}
	}
	return nil
}

// checkQueues wants an AF_XDP socket on each receive queue of the interface: what
// the device puts on another one is never seen, and nothing tells.
func checkQueues(name string, queues int) error {
	have := receiveQueues(name)
	switch {
	case have == 0 || have == queues:
		return nil
	case have < queues:
		return fmt.Errorf("dpdkbridge: interface %s has %d receive queues, fewer than queues: %d", name, have, queues)
	}
	return fmt.Errorf("dpdkbridge: interface %s has %d receive queues and queues is %d: frames on the others would never be seen: ethtool -L %s combined %d (or rx %d), or queues: %d",
		name, have, queues, name, queues, queues, have)
}

// receiveQueues is how many the interface uses now; 0 unknown.
func receiveQueues(name string) int {
	if e, err := ethtool.NewEthtool(); err == nil {
		defer e.Close()
		if c, err := e.GetChannels(name); err == nil {
			return int(c.CombinedCount + c.RxCount)
		}
	}
	queues, _ := filepath.Glob("/sys/class/net/" + name + "/queues/rx-*")
	return len(queues)
}

// lockDevice keeps a second process from the same device: some drivers would
// let it in and both would answer every frame. The lock ends with the process.
func lockDevice(d device) (release func(), err error) {
	space := "0"
	if fi, err := os.Readlink("/proc/self/ns/net"); err == nil && d.driver != "pci" {
		space = strings.Trim(fi, "net:[]") // interface names are a namespace's own
	}
	name := "tickrelay-dpdk-" + space + "-" + strings.NewReplacer("/", "_", ":", "_").Replace(d.driver+"_"+d.name) + ".lock"
	var f *os.File
	for _, dir := range []string{"/run/lock", os.TempDir()} {
		if f, err = os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("dpdkbridge: lock the device: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner := make([]byte, 32)
		n, _ := f.ReadAt(owner, 0)
		f.Close()
		return nil, fmt.Errorf("dpdkbridge: %s %s: %w by process %s", d.driver, d.name, ErrBusy, strings.TrimSpace(string(owner[:n])))
	}
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	if d.driver == "pci" || d.driver == "memif" { // vfio, or the socket's path, keeps others out
		return func() { _ = f.Close() }, nil
	}
	free, err := lockName(d)
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { free(); _ = f.Close() }, nil
}

// lockName takes a name that belongs to the network namespace, as the interface
// does: a container with files of its own does not see the lock among ours.
func lockName(d device) (release func(), err error) {
	name := "@tickrelay-dpdk-" + d.driver + "-" + d.name
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err == nil {
		return func() { _ = l.Close() }, nil
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("dpdkbridge: lock the device: %w", err)
	}
	return nil, fmt.Errorf("dpdkbridge: %s %s: %w by process %s of another container", d.driver, d.name, ErrBusy, listenerOf(name))
}

// listenerOf is the process that listens on a name, as far as it can be seen from
// here.
func listenerOf(name string) string {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return "unknown"
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return "unknown"
	}
	pid := int32(0)
	_ = raw.Control(func(fd uintptr) {
		if u, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = u.Pid
		}
	})
	if pid <= 0 { // not of our process namespace
		return "unknown"
	}
	return strconv.Itoa(int(pid))
}

// hearSolicitations has the interface receive the multicasts by which neighbours
// ask for our IPv6 addresses: the kernel has not these addresses, so it has its
// NIC drop them, and the drivers cannot ask for more.
func hearSolicitations(name string, addrs []netip.Prefix) (release func(), err error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("dpdkbridge: interface %s: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0 receives nothing
	if err != nil {
		return nil, fmt.Errorf("dpdkbridge: interface %s: %w", name, os.NewSyscallError("socket", err))
	}
	for _, a := range append([]netip.Addr{linkLocal(addrs)}, sixes(addrs)...) {
		b := a.As16()
		m := unix.PacketMreq{Ifindex: int32(ifi.Index), Type: unix.PACKET_MR_MULTICAST, Alen: 6, Address: [8]byte{0x33, 0x33, 0xff, b[13], b[14], b[15]}}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("dpdkbridge: interface %s: multicasts that ask for %v: %w", name, a, err)
		}
	}
	return func() { _ = unix.Close(fd) }, nil
}

// sixes are the IPv6 addresses among addrs.
func sixes(addrs []netip.Prefix) (out []netip.Addr) {
	for _, p := range addrs {
		if p.Addr().Is6() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// linkLocal is our link-local IPv6 address: not the one that the kernel makes of
// the same hardware address, so that neighbours tell the two apart.
func linkLocal(addrs []netip.Prefix) netip.Addr {
	h := fnv.New64a()
	for _, p := range addrs {
		b := p.Addr().As16()
		_, _ = h.Write(b[:])
	}
	ip := [16]byte{0xfe, 0x80}
	binary.BigEndian.PutUint64(ip[8:], h.Sum64())
	ip[8] &^= 2 // not derived from a global identifier (RFC 4291, appendix A)
	return netip.AddrFrom16(ip)
}

// iface is the kernel's interface under the device, "" if there is none.
func (d device) iface() string {
	if d.driver == "af_xdp" || d.driver == "af_packet" {
		return d.name
	}
	return ""
}
