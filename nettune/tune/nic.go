package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// NIC reads and writes what ethtool does. Classes are driver, coalesce, ring,
// feature and stat; names are those that ethtool(8) prints. A name or device
// that does not exist is fs.ErrNotExist.
type NIC interface {
	// Get returns a value as text: a number, on or off, or a driver's name.
	Get(iface, class, name string) (string, error)
	// Set writes one value and leaves the others of its class alone.
	Set(iface, class, name, value string) error
}

// ethtoolNIC asks the kernel by ioctl, in the network namespace of the thread
// that calls first.
type ethtoolNIC struct{ e *ethtool.Ethtool }

func (n *ethtoolNIC) handle() (*ethtool.Ethtool, error) {
	if n.e == nil {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return nil, err
		}
		n.e = e
	}
	return n.e, nil
}

// Close frees the socket.
func (n *ethtoolNIC) Close() error {
	if n.e != nil {
		n.e.Close()
		n.e = nil
	}
	return nil
}

// absent turns "this device cannot" into fs.ErrNotExist.
func absent(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%w (%v)", fs.ErrNotExist, err)
	}
	return err
}

// Get asks the driver.
func (n *ethtoolNIC) Get(iface, class, name string) (string, error) {
	e, err := n.handle()
	if err != nil {
		return "", err
	}
	switch class {
	case "driver":
		d, err := e.DriverName(iface)
		return d, absent(err)
	case "coalesce":
		c, err := e.GetCoalesce(iface)
		if err != nil {
			return "", absent(err)
		}
		return coalesceText(&c, name)
	case "ring":
		r, err := e.GetRing(iface)
		if err != nil {
			return "", absent(err)
		}
		if p := ringField(&r, name); p != nil {
			return strconv.FormatUint(uint64(*p), 10), nil
		}
	case "feature":
		return n.feature(iface, name)
	case "stat":
		s, err := e.Stats(iface)
		if err != nil {
			return "", absent(err)
		}
		if v, ok := s[name]; ok {
			return strconv.FormatUint(v, 10), nil
		}
	}
	return "", fmt.Errorf("%s %s of %s: %w", class, name, iface, fs.ErrNotExist)
}

// feature takes the names that ethtool -k prints for groups of kernel names.
func (n *ethtoolNIC) feature(iface, name string) (string, error) {
	states, err := n.e.FeaturesWithState(iface)
	if err != nil {
		return "", absent(err)
	}
	for _, k := range kernelFeatures(name) {
		if s, ok := states[k]; ok {
			if !s.Available || s.NeverChanged {
				return "", fmt.Errorf("feature %s of %s is fixed: %w", name, iface, fs.ErrNotExist)
			}
			return onOff(s.Active), nil
		}
	}
	return "", fmt.Errorf("feature %s of %s: %w", name, iface, fs.ErrNotExist)
}

// kernelFeatures are the kernel's names of a feature that ethtool(8) abbreviates.
func kernelFeatures(name string) []string {
	switch name {
	case "large-receive-offload":
		return []string{"rx-lro"}
	case "generic-receive-offload":
		return []string{"rx-gro"}
	}
	return []string{name}
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// Set reads the class, changes one value and writes it.
func (n *ethtoolNIC) Set(iface, class, name, value string) error {
	e, err := n.handle()
	if err != nil {
		return err
	}
	switch class {
	case "coalesce":
		c, err := e.GetCoalesce(iface)
		if err != nil {
			return err
		}
		if err := setCoalesceField(&c, name, value); err != nil {
			return err
		}
		_, err = e.SetCoalesce(iface, c)
		return err
	case "ring":
		r, err := e.GetRing(iface)
		if err != nil {
			return err
		}
		p := ringField(&r, name)
		if p == nil || name == "rx-max" || name == "tx-max" {
			return fmt.Errorf("ring %s cannot be set", name)
		}
		v, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return err
		}
		*p = uint32(v)
		_, err = e.SetRing(iface, r)
		return err
	case "feature":
		return n.setFeature(iface, name, value == "on")
	}
	return fmt.Errorf("%s of a device cannot be set", class)
}

func (n *ethtoolNIC) setFeature(iface, name string, on bool) error {
	states, err := n.e.Features(iface)
	if err != nil {
		return err
	}
	want := map[string]bool{}
	for _, k := range kernelFeatures(name) {
		if _, ok := states[k]; ok {
			want[k] = on
		}
	}
	return n.e.Change(iface, want)
}

func ringField(r *ethtool.Ring, name string) *uint32 {
	switch name {
	case "rx":
		return &r.RxPending
	case "tx":
		return &r.TxPending
	case "rx-max":
		return &r.RxMaxPending
	case "tx-max":
		return &r.TxMaxPending
	}
	return nil
}

func coalesceField(c *ethtool.Coalesce, name string) (p *uint32, flag bool) {
	switch name {
	case "adaptive-rx":
		return &c.UseAdaptiveRxCoalesce, true
	case "adaptive-tx":
		return &c.UseAdaptiveTxCoalesce, true
	case "rx-usecs":
		return &c.RxCoalesceUsecs, false
	case "rx-frames":
		return &c.RxMaxCoalescedFrames, false
	case "tx-usecs":
		return &c.TxCoalesceUsecs, false
	case "tx-frames":
		return &c.TxMaxCoalescedFrames, false
	}
	return nil, false
}

func coalesceText(c *ethtool.Coalesce, name string) (string, error) {
	p, flag := coalesceField(c, name)
	switch {
	case p == nil:
		return "", fmt.Errorf("coalescing %s: %w", name, fs.ErrNotExist)
	case flag:
		return onOff(*p != 0), nil
	}
	return strconv.FormatUint(uint64(*p), 10), nil
}

func setCoalesceField(c *ethtool.Coalesce, name, value string) error {
	p, flag := coalesceField(c, name)
	if p == nil {
		return fmt.Errorf("coalescing %s: %w", name, fs.ErrNotExist)
	}
	if flag {
		if !slices.Contains([]string{"on", "off"}, value) {
			return fmt.Errorf("coalescing %s: %q is neither on nor off", name, value)
		}
		*p = 0
		if value == "on" {
			*p = 1
		}
		return nil
	}
	v, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return fmt.Errorf("coalescing %s: %w", name, err)
	}
	*p = uint32(v)
	return nil
}
