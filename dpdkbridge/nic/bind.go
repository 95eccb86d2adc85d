package nic

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrInUse is wrapped when an interface is the way into the host.
var ErrInUse = errors.New("it is the way into this host")

// entry is the journal of one card.
type entry struct {
	PCI       string `json:"pci"`
	Driver    string `json:"driver"` // the kernel's
	Interface string `json:"interface"`
	State     State  `json:"state"`
}

// comeBack bounds the wait for the kernel's interface after Unbind.
const comeBack = 10 * time.Second

// Bind gives a card to driver (vfio-pci, igb_uio). force allows the interface
// that carries the default route or the SSH session.
func (h Host) Bind(name, driver string, force bool) (Device, error) {
	h = h.withDefaults()
	d, err := h.Find(name)
	if err != nil {
		return d, err
	}
	if d.Driver == driver {
		return d, fmt.Errorf("nic: %s is bound to %s already", d.PCI, driver)
	}
	if !h.exists("sys/bus/pci/drivers/" + driver) {
		return d, fmt.Errorf("nic: the driver %s is not loaded: modprobe %s", driver, driver)
	}
	e := entry{PCI: d.PCI, Driver: d.Driver, Interface: d.Interface}
	if d.Interface != "" {
		if e.State, err = h.Network.State(d.Interface); err != nil {
			return d, err
		}
		if why := h.wayIn(d.Interface, e.State); why != "" && !force {
			return d, fmt.Errorf("nic: %s (%s) %s: %w; take another card, or --force with a console at hand", d.PCI, d.Interface, why, ErrInUse)
		}
	}
	if _, err := os.Stat(h.file(d.PCI)); err == nil {
		return d, fmt.Errorf("nic: %s has a journal already (%s): unbind it first", d.PCI, h.file(d.PCI))
	}
	if err := h.save(e); err != nil {
		return d, err
	}
	if d.Interface != "" {
		if err := h.Network.Down(d.Interface); err != nil {
			return d, errors.Join(err, os.Remove(h.file(d.PCI)))
		}
	}
	if err := h.move(d, driver); err != nil {
		return d, errors.Join(err, h.undo(e))
	}
	return h.device(d.PCI), nil
}

// wayIn says why an interface must not be taken, "" if it may.
func (h *Host) wayIn(iface string, s State) string {
	for _, r := range s.Routes {
		if r.Dst == "" {
			return "carries the default route"
		}
	}
	if above := h.Network.Above(iface); len(above) > 0 {
		return "is a part of " + strings.Join(above, ", ") + ", which loses it for good"
	}
	if f := strings.Fields(h.SSH); len(f) == 4 {
		if ip := net.ParseIP(f[2]); ip != nil && h.Network.Holder(ip) == iface {
			return "carries this SSH session"
		}
	}
	return ""
}

// move takes the card from its driver and has the named one probe it.
func (h *Host) move(d Device, driver string) error {
	dir := filepath.Join(h.path(pciDevices), d.PCI)
	if err := h.Write(dir+"/driver_override", driver+"\n"); err != nil {
		return fmt.Errorf("nic: %s: driver_override: %w", d.PCI, err)
	}
	if h.exists(filepath.Join(pciDevices, d.PCI, "driver")) {
		if err := h.Write(dir+"/driver/unbind", d.PCI); err != nil {
			return fmt.Errorf("nic: %s: unbind from %s: %w", d.PCI, d.Driver, err)
		}
	}
	if err := h.Write(h.path("sys/bus/pci/drivers_probe"), d.PCI); err != nil {
		return fmt.Errorf("nic: %s: probe: %w", d.PCI, err)
	}
	now := h.device(d.PCI)
	if driver != "" && now.Driver != driver || now.Driver == "" {
		return fmt.Errorf("nic: %s: %s did not take it (dmesg says why)", d.PCI, driver)
	}
	return nil
}

// Unbind gives a card back to the kernel's driver and restores the interface.
func (h Host) Unbind(pci string) (Device, error) {
	h = h.withDefaults()
	d, err := h.Find(pci)
	if err != nil {
		return d, err
	}
	data, err := readOurs(h.file(d.PCI))
	if errors.Is(err, os.ErrNotExist) {
		return d, fmt.Errorf("nic: %s was not bound by this command (no %s)", d.PCI, h.file(d.PCI))
	}
	var e entry
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err == nil && e.PCI != d.PCI {
		err = fmt.Errorf("it is of %q", e.PCI)
	}
	if err != nil {
		return d, fmt.Errorf("nic: journal %s: %w", h.file(d.PCI), err)
	}
	if err := h.undo(e); err != nil {
		return d, err
	}
	return h.device(d.PCI), nil
}

// undo puts back what the journal says and removes it when all is done.
func (h *Host) undo(e entry) error {
	d := h.device(e.PCI)
	if d.Driver != e.Driver {
		if err := h.move(d, e.Driver); err != nil {
			return err
		}
	}
	// No override from now on: the next boot decides as ever.
	if err := h.Write(filepath.Join(h.path(pciDevices), e.PCI, "driver_override"), "\n"); err != nil {
		return fmt.Errorf("nic: %s: driver_override: %w", e.PCI, err)
	}
	if e.Interface != "" {
		until := time.Now().Add(comeBack)
		for d = h.device(e.PCI); d.Interface == ""; d = h.device(e.PCI) {
			if time.Now().After(until) {
				return fmt.Errorf("nic: %s: %s made no interface in %v; the journal stays", e.PCI, e.Driver, comeBack)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err := h.Network.Restore(d.Interface, e.State); err != nil {
			return fmt.Errorf("%w; the journal stays", err)
		}
	}
	return os.Remove(h.file(e.PCI))
}
