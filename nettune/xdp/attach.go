package xdp

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Attached says what Attach did.
type Attached struct {
	Interface string `json:"interface"`
	Mode      string `json:"mode"`               // native or generic
	Fallback  string `json:"fallback,omitempty"` // why it is generic although native was tried
	TakenOver bool   `json:"taken_over"`         // a filter was there: new program and settings, same lists and counters
	Leftover  bool   `json:"leftover"`           // nothing was attached, but lists of an earlier filter were found and kept
	Mounted   bool   `json:"mounted"`            // the bpffs was mounted for this
	Pins      string `json:"pins"`
}

// Attach puts the filter on the interface, or brings the one that is there up
// to date without a gap. It returns once the kernel runs it; no process need
// stay. Errors match ErrOccupied and ErrNotPermitted.
func Attach(c Config) (Attached, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return Attached{}, err
	}
	a := Attached{Interface: c.Interface}
	_, err := findDevice(c.Interface) // before anything is made
	if err != nil {
		return a, err
	}
	if a.Mounted, err = needBPFFS(c.BPFFS); err != nil {
		return a, explain("attach to "+c.Interface, err)
	}
	p, err := findPins(c.Target)
	if err != nil {
		return a, err
	}
	a.Pins = p.dir
	unlock, err := p.lock()
	if err != nil {
		return a, explain("attach to "+c.Interface, err)
	}
	defer unlock()
	dev, err := findDevice(c.Interface) // as it is under the lock
	if err != nil {
		return a, err
	}
	return a, explain("attach to "+c.Interface, a.attach(&c, p, dev))
}

// attach runs under the lock. A crash after any step leaves what docs/xdp.md
// says: pinned maps alone are inert, a link that is not pinned ends with its
// process, a pinned link is the whole filter.
func (a *Attached) attach(c *Config, p pins, dev device) error {
	old, err := liveLink(p, dev)
	if err != nil {
		return err
	}
	if old != nil {
		defer old.Close()
		if c.Mode != ModeAuto && c.Mode != dev.mode { // before the filter that runs is touched
			return fmt.Errorf("the filter is attached in %s mode; detach it first to change that", dev.mode)
		}
	} else if dev.program != 0 {
		return dev.occupied(c.Interface)
	}
	switch err := os.Mkdir(p.dir, 0o700); {
	case errors.Is(err, os.ErrExist):
		a.Leftover = old == nil
	case err != nil:
		return err
	}
	obj, err := load(c, p, old != nil)
	if err != nil {
		return errors.Join(err, a.undo(p))
	}
	defer obj.Close()
	c.step("maps pinned")
	if old != nil {
		return a.takeOver(c, old, dev, obj)
	}
	if err := obj.Config.Put(uint32(0), c.settings()); err != nil {
		return errors.Join(err, a.undo(p))
	}
	l, err := a.link(c, dev, obj.TickrelayXdp)
	if err != nil {
		return errors.Join(err, a.undo(p))
	}
	defer l.Close()
	c.step("attached")
	if err := l.Pin(p.path(pinLink)); err != nil {
		return errors.Join(err, a.undo(p))
	}
	c.step("link pinned")
	return nil
}

// undo removes the pins of an attempt that failed, unless they hold lists of
// an earlier one.
func (a *Attached) undo(p pins) error {
	if a.Leftover || a.TakenOver {
		return nil
	}
	if _, err := os.Stat(p.path(pinLink)); err == nil {
		return nil
	}
	return p.remove()
}

// liveLink opens the pinned link if it still holds the device. A link whose
// interface is gone holds nothing, and its pin is removed.
func liveLink(p pins, dev device) (link.Link, error) {
	l, err := link.LoadPinnedLink(p.path(pinLink), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := l.Info()
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	if x := info.XDP(); x != nil && int(x.Ifindex) == dev.index {
		return l, nil
	}
	return nil, errors.Join(os.Remove(p.path(pinLink)), l.Close())
}

// load brings the program and its maps into the kernel, taking pinned maps
// where they are. Maps of another layout are removed unless a filter uses them.
func load(c *Config, p pins, live bool) (*filterObjects, error) {
	try := func() (*filterObjects, error) {
		spec, err := loadFilter()
		if err != nil {
			return nil, err
		}
		for _, m := range spec.Maps {
			m.Pinning = ebpf.PinByName
		}
		obj := &filterObjects{}
		err = spec.LoadAndAssign(obj, &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: p.dir}})
		return obj, err
	}
	obj, err := try()
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		if live {
			return nil, fmt.Errorf("the filter that is attached is of another version; detach it first (%w)", err)
		}
		c.Log.Warn("lists of another version removed", "interface", c.Interface, "err", err)
		for _, name := range mapNames() {
			_ = os.Remove(p.path(name))
		}
		obj, err = try()
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return obj, nil
}

// takeOver swaps the program under the pinned link; no packet goes unfiltered.
// The settings come first, for the new program to find; if it is refused, the
// old one gets its own back.
func (a *Attached) takeOver(c *Config, old link.Link, dev device, obj *filterObjects) error {
	var before filterSettings
	if err := obj.Config.Lookup(uint32(0), &before); err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if err := obj.Config.Put(uint32(0), c.settings()); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	if err := c.update(old, obj.TickrelayXdp); err != nil {
		return errors.Join(fmt.Errorf("replace the program: %w", err), obj.Config.Put(uint32(0), before))
	}
	a.TakenOver, a.Mode = true, dev.mode.String()
	c.Log.Info("xdp filter taken over", "interface", c.Interface, "mode", a.Mode)
	return nil
}

// link attaches in the mode asked for.
func (a *Attached) link(c *Config, dev device, prog *ebpf.Program) (link.Link, error) {
	opts := link.XDPOptions{Program: prog, Interface: dev.index, Flags: link.XDPDriverMode}
	a.Mode = ModeNative.String()
	if c.Mode == ModeGeneric {
		opts.Flags = link.XDPGenericMode
		a.Mode = ModeGeneric.String()
	}
	l, err := link.AttachXDP(opts)
	if busy(err) {
		if dev, again := findDevice(c.Interface); again == nil && dev.program != 0 {
			return nil, dev.occupied(c.Interface)
		}
		return nil, fmt.Errorf("%w (%w)", ErrOccupied, err)
	}
	if err == nil || c.Mode != ModeAuto || errors.Is(err, os.ErrPermission) {
		if err != nil && c.Mode == ModeNative {
			err = fmt.Errorf("the driver refuses native mode (mtu %d): %w", dev.mtu, err)
		}
		return l, err
	}
	a.Fallback = err.Error()
	c.Log.Warn("the driver refuses native mode; attaching in generic mode, which drops later and costs more", "interface", c.Interface, "err", err)
	opts.Flags, a.Mode = link.XDPGenericMode, ModeGeneric.String()
	return link.AttachXDP(opts)
}

// busy: the kernel found another program, in this mode (EBUSY) or the other
// (EEXIST).
func busy(err error) bool {
	return errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EEXIST)
}

// Detach takes the filter off and removes all its state. It finishes what a
// crash left, works after the interface is gone, and says whether there was
// anything.
func Detach(t Target) (found bool, err error) {
	t = t.withDefaults()
	p, err := findPins(t)
	if err != nil {
		return false, err
	}
	if ok, err := isBPFFS(t.BPFFS); err != nil || !ok {
		return false, explain("detach from "+t.Interface, err)
	}
	if _, err := os.Stat(p.dir); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return false, explain("detach from "+t.Interface, err)
	}
	unlock, err := p.lock()
	if err != nil {
		return false, explain("detach from "+t.Interface, err)
	}
	defer unlock()
	l, err := link.LoadPinnedLink(p.path(pinLink), nil)
	switch {
	case err == nil:
		// Detach first: another process may hold the link open. Once the
		// interface is gone the kernel has done it (ENOLINK).
		if d, ok := l.(interface{ Detach() error }); ok {
			if err := d.Detach(); err != nil && !errors.Is(err, syscall.ENOLINK) {
				_ = l.Close()
				return true, explain("detach from "+t.Interface, err)
			}
		}
		_ = l.Close()
	case !errors.Is(err, os.ErrNotExist):
		return true, explain("detach from "+t.Interface, err)
	}
	if err := p.remove(); err != nil {
		return true, explain("detach from "+t.Interface, err)
	}
	return true, nil
}
