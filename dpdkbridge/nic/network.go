package nic

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// State is what of an interface is restored.
type State struct {
	MTU       int      `json:"mtu"`
	Up        bool     `json:"up"`
	Addresses []string `json:"addresses"`
	Routes    []Route  `json:"routes"`
}

// Route is one route of the main table by the interface.
type Route struct {
	Dst     string `json:"dst"` // "" the default
	Gateway string `json:"gateway,omitempty"`
	Source  string `json:"source,omitempty"`
	Metric  int    `json:"metric,omitempty"`
}

// Network is the kernel's side of an interface.
type Network interface {
	State(iface string) (State, error)
	Down(iface string) error
	Restore(iface string, s State) error
	// Above names the interfaces that stand on this one: its bond or bridge,
	// its VLANs.
	Above(iface string) []string
	// Holder returns the interface that has the address, "" for none.
	Holder(ip net.IP) string
}

// kernelNetwork is Network by netlink.
type kernelNetwork struct{}

// State reads an interface's settings.
func (kernelNetwork) State(iface string) (State, error) {
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return State{}, fmt.Errorf("nic: %s: %w", iface, err)
	}
	s := State{MTU: l.Attrs().MTU, Up: l.Attrs().Flags&net.FlagUp != 0}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return s, fmt.Errorf("nic: %s: addresses: %w", iface, err)
	}
	for _, a := range addrs {
		if !a.IP.IsLinkLocalUnicast() { // the kernel makes these itself
			s.Addresses = append(s.Addresses, a.IPNet.String())
		}
	}
	routes, err := netlink.RouteList(l, netlink.FAMILY_ALL)
	if err != nil {
		return s, fmt.Errorf("nic: %s: routes: %w", iface, err)
	}
	const byKernel = 2 // RTPROT_KERNEL: comes with the address
	for _, r := range routes {
		if r.Protocol == byKernel {
			continue
		}
		x := Route{Metric: r.Priority}
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones > 0 {
				x.Dst = r.Dst.String()
			}
		}
		if r.Gw != nil {
			x.Gateway = r.Gw.String()
		}
		if r.Src != nil {
			x.Source = r.Src.String()
		}
		s.Routes = append(s.Routes, x)
	}
	return s, nil
}

// Above asks for all links: a master is the link's own, a VLAN names its parent.
func (kernelNetwork) Above(iface string) []string {
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return nil
	}
	all, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	var out []string
	for _, other := range all {
		a := other.Attrs()
		child := a.ParentIndex == l.Attrs().Index && other.Type() != "veth" // whose "parent" is its peer
		if a.Index == l.Attrs().MasterIndex || child {
			out = append(out, a.Name)
		}
	}
	return out
}

// Down takes an interface down: a driver is not taken from one in use.
func (kernelNetwork) Down(iface string) error {
	l, err := netlink.LinkByName(iface)
	if err == nil {
		err = netlink.LinkSetDown(l)
	}
	if err != nil {
		return fmt.Errorf("nic: %s down: %w", iface, err)
	}
	return nil
}

// Restore gives an interface its settings back; what is there already stays.
func (kernelNetwork) Restore(iface string, s State) error {
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return fmt.Errorf("nic: %s: %w", iface, err)
	}
	var errs []error
	note := func(what string, err error) {
		if err != nil && !errors.Is(err, os.ErrExist) {
			errs = append(errs, fmt.Errorf("nic: %s: %s: %w", iface, what, err))
		}
	}
	if s.MTU > 0 {
		note("MTU", netlink.LinkSetMTU(l, s.MTU))
	}
	for _, text := range s.Addresses {
		a, err := netlink.ParseAddr(text)
		if err == nil {
			err = netlink.AddrAdd(l, a)
		}
		note("address "+text, err)
	}
	if s.Up {
		note("up", netlink.LinkSetUp(l))
	}
	for pass := range 2 { // those that others' gateways need first
		for _, r := range s.Routes {
			if (r.Gateway == "") == (pass == 0) {
				note("route "+r.Dst+" by "+r.Gateway, addRoute(l, r))
			}
		}
	}
	return errors.Join(errs...)
}

func addRoute(l netlink.Link, r Route) error {
	x := netlink.Route{LinkIndex: l.Attrs().Index, Priority: r.Metric, Gw: net.ParseIP(r.Gateway), Src: net.ParseIP(r.Source)}
	if r.Dst != "" {
		_, n, err := net.ParseCIDR(r.Dst)
		if err != nil {
			return err
		}
		x.Dst = n
	}
	return netlink.RouteAdd(&x)
}

// Holder finds the interface of an address.
func (kernelNetwork) Holder(ip net.IP) string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
				return i.Name
			}
		}
	}
	return ""
}
