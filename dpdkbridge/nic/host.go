package nic

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Host is the machine, or a tree of files that looks like one. The zero value is
// this machine.
type Host struct {
	Root    string  // default "/"
	Network Network // default the kernel's, by netlink
	// SSH is the environment's SSH_CONNECTION: "client port server port".
	SSH     string
	Journal string // folder; default /var/lib/tickrelay-host/dpdk below Root
	// Write writes to a file of sysfs; default os.WriteFile.
	Write func(path, text string) error
}

func (h Host) withDefaults() Host {
	if h.Root == "" {
		h.Root = "/"
	}
	if h.Network == nil {
		h.Network = kernelNetwork{}
	}
	if h.Journal == "" {
		h.Journal = h.path("var/lib/tickrelay-host/dpdk")
	}
	if h.Write == nil {
		h.Write = func(path, text string) error { return os.WriteFile(path, []byte(text), 0o200) }
	}
	return h
}

func (h *Host) path(p string) string { return filepath.Join(h.Root, p) }

// read returns a file's text without the space around it, "" if there is none.
func (h *Host) read(p string) string {
	b, err := os.ReadFile(h.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (h *Host) exists(p string) bool {
	_, err := os.Lstat(h.path(p))
	return err == nil
}

// Device is a network card on the PCI bus.
type Device struct {
	PCI        string `json:"pci"`
	Vendor     string `json:"vendor"` // 0x1d0f is Amazon
	Model      string `json:"model"`
	Driver     string `json:"driver"`    // "" none
	Interface  string `json:"interface"` // of the kernel; "" when another driver has it
	NUMANode   int    `json:"numa_node"` // -1 unknown
	IOMMUGroup string `json:"iommu_group,omitempty"`
}

// amazon is the vendor of ENA.
const amazon = "0x1d0f"

const pciDevices = "sys/bus/pci/devices"

// Devices lists the network cards.
func (h Host) Devices() ([]Device, error) {
	h = h.withDefaults()
	dirs, err := os.ReadDir(h.path(pciDevices))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // no PCI bus: a small virtual machine
	}
	if err != nil {
		return nil, fmt.Errorf("nic: %w", err)
	}
	var out []Device
	for _, d := range dirs {
		if strings.HasPrefix(h.read(filepath.Join(pciDevices, d.Name(), "class")), "0x0200") {
			out = append(out, h.device(d.Name()))
		}
	}
	return out, nil
}

func (h *Host) device(pci string) Device {
	dir := filepath.Join(pciDevices, pci)
	d := Device{PCI: pci, Vendor: h.read(dir + "/vendor"), Model: h.read(dir + "/device"), NUMANode: -1}
	if l, err := os.Readlink(h.path(dir + "/driver")); err == nil {
		d.Driver = filepath.Base(l)
	}
	if l, err := os.Readlink(h.path(dir + "/iommu_group")); err == nil {
		d.IOMMUGroup = filepath.Base(l)
	}
	if n, err := strconv.Atoi(h.read(dir + "/numa_node")); err == nil {
		d.NUMANode = n
	}
	if names, err := filepath.Glob(h.path(dir + "/net/*")); err == nil && len(names) > 0 {
		d.Interface = filepath.Base(names[0])
		return d
	}
	// virtio keeps the interface one level further down.
	if names, err := filepath.Glob(h.path(dir + "/virtio*/net/*")); err == nil && len(names) > 0 {
		d.Interface = filepath.Base(names[0])
	}
	return d
}

// Find returns the card with a PCI address or an interface name.
func (h Host) Find(name string) (Device, error) {
	h = h.withDefaults()
	all, err := h.Devices()
	if err != nil {
		return Device{}, err
	}
	if strings.Count(name, ":") == 1 {
		name = "0000:" + name
	}
	i := slices.IndexFunc(all, func(d Device) bool { return d.PCI == name || d.Interface == name && name != "" })
	if i < 0 {
		return Device{}, fmt.Errorf("nic: no network card %q; tickrelay dpdk check lists them", name)
	}
	return all[i], nil
}
