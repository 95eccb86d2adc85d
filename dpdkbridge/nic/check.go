package nic

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Finding is one thing that DPDK needs.
type Finding struct {
	What  string `json:"what"`
	Found string `json:"found"`
	OK    bool   `json:"ok"`
	Fix   string `json:"fix,omitempty"` // the command, where something is missing
}

// Check looks at everything that a PCI device under DPDK needs. memoryMB is what
// the port will want of huge pages.
func (h Host) Check(memoryMB int) ([]Finding, []Device, error) {
	h = h.withDefaults()
	devices, err := h.Devices()
	if err != nil {
		return nil, nil, err
	}
	out := []Finding{h.checkNIC(devices), h.checkIOMMU(), h.checkVFIO(), h.checkHuge(memoryMB)}
	for _, d := range devices {
		if d.Vendor == amazon {
			out = append(out, h.checkENA(d)...)
		}
		if f, ok := h.checkNode(d, memoryMB); ok {
			out = append(out, f)
		}
	}
	return append(out, checkMemlock()), devices, nil
}

func (h *Host) checkNIC(devices []Device) Finding {
	f := Finding{What: "network card", OK: len(devices) > 0}
	var names []string
	for _, d := range devices {
		driver := d.Driver
		if driver == "" {
			driver = "no driver"
		}
		names = append(names, strings.TrimSpace(d.PCI+" "+driver+" "+d.Interface))
	}
	if f.Found = strings.Join(names, ", "); !f.OK {
		f.Found = "none on the PCI bus"
		f.Fix = "use a virtual device: device: af_xdp:INTERFACE"
	}
	return f
}

const noIOMMU = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

func (h *Host) checkIOMMU() Finding {
	groups, _ := filepath.Glob(h.path("sys/kernel/iommu_groups/*"))
	f := Finding{What: "IOMMU", OK: true, Found: fmt.Sprintf("%d groups", len(groups))}
	switch {
	case len(groups) > 0:
	case h.read(noIOMMU) == "Y" || h.read(noIOMMU) == "1":
		f.Found = "none; vfio works without one (the device can reach all memory)"
	default:
		f.OK, f.Found = false, "none"
		f.Fix = "boot with intel_iommu=on iommu=pt (amd_iommu=on); where there is none, as on most EC2 instances: echo 1 > /" + noIOMMU
	}
	return f
}

func (h *Host) checkVFIO() Finding {
	if h.exists("sys/bus/pci/drivers/vfio-pci") {
		return Finding{What: "vfio-pci", Found: "loaded", OK: true}
	}
	return Finding{What: "vfio-pci", Found: "not loaded", Fix: "modprobe vfio-pci (CONFIG_VFIO_PCI; without it only af_xdp, af_packet and mlx5 work)"}
}

// checkHuge counts free huge pages of the default size.
func (h *Host) checkHuge(memoryMB int) Finding {
	var free, sizeKB int
	for line := range strings.SplitSeq(h.read("proc/meminfo"), "\n") {
		if v, ok := strings.CutPrefix(line, "HugePages_Free:"); ok {
			free, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if v, ok := strings.CutPrefix(line, "Hugepagesize:"); ok {
			sizeKB, _ = strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")))
		}
	}
	if sizeKB == 0 {
		return Finding{What: "huge pages", Found: "this kernel has none", Fix: "a kernel with CONFIG_HUGETLBFS"}
	}
	f := Finding{What: "huge pages", Found: fmt.Sprintf("%d MiB free of %d kB each", free*sizeKB/1024, sizeKB), OK: free*sizeKB/1024 >= memoryMB}
	if !f.OK {
		f.Fix = fmt.Sprintf("sysctl vm.nr_hugepages=%d", (memoryMB*1024+sizeKB-1)/sizeKB)
	}
	return f
}

// checkNode looks at the huge pages of the card's own node.
func (h *Host) checkNode(d Device, memoryMB int) (Finding, bool) {
	if d.NUMANode < 0 {
		return Finding{}, false
	}
	dir := fmt.Sprintf("sys/devices/system/node/node%d/hugepages/hugepages-2048kB", d.NUMANode)
	free, err := strconv.Atoi(h.read(dir + "/free_hugepages"))
	if err != nil {
		return Finding{}, false
	}
	f := Finding{What: fmt.Sprintf("huge pages on node %d, that of %s", d.NUMANode, d.PCI), Found: fmt.Sprintf("%d MiB free", 2*free), OK: 2*free >= memoryMB}
	if !f.OK {
		f.Fix = fmt.Sprintf("echo %d > /%s/nr_hugepages", (memoryMB+1)/2, dir)
	}
	return f, true
}

// checkENA looks for write combining, without which ENA's low-latency queues,
// which the driver uses by default, are slow.
func (h *Host) checkENA(d Device) []Finding {
	wc := Finding{What: d.PCI + " ENA: write combining"}
	switch v := h.read("sys/module/igb_uio/parameters/wc_activate"); {
	case d.Driver == "igb_uio" && v == "1":
		wc.OK, wc.Found = true, "igb_uio with wc_activate=1"
	case d.Driver == "igb_uio":
		wc.Found, wc.Fix = "igb_uio without it", "rmmod igb_uio; insmod igb_uio.ko wc_activate=1"
	default:
		wc.Found = "not with vfio-pci as kernels ship it"
		wc.Fix = "a vfio-pci with Amazon's patch (amzn-drivers, userspace/dpdk/enav2-vfio-patch), or igb_uio with wc_activate=1"
	}
	bar := Finding{What: d.PCI + " ENA: low-latency queues (LLQ)", OK: h.exists(pciDevices + "/" + d.PCI + "/resource2"),
		Found: "device memory for them is there; in use unless args: enable_llq=0"}
	if !bar.OK {
		bar.Found, bar.Fix = "the device has no memory for them", "a newer Nitro instance type"
	}
	return []Finding{wc, bar}
}

func checkMemlock() Finding {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return Finding{What: "memlock", Found: err.Error()}
	}
	if l.Cur == unix.RLIM_INFINITY {
		return Finding{What: "memlock", Found: "unlimited", OK: true}
	}
	return Finding{What: "memlock", Found: fmt.Sprintf("%d MiB", l.Cur>>20), OK: l.Cur >= 1<<30,
		Fix: map[bool]string{false: "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity)"}[l.Cur >= 1<<30]}
}
