package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// device is an interface and the XDP program on it.
type device struct {
	index   int
	mtu     int
	program ebpf.ProgramID // 0 none
	mode    Mode           // of program
}

func findDevice(name string) (device, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return device{}, fmt.Errorf("xdp: no interface %q in this network namespace", name)
		}
		return device{}, fmt.Errorf("xdp: interface %s: %w", name, err)
	}
	a := l.Attrs()
	d := device{index: a.Index, mtu: a.MTU}
	if a.Xdp != nil && a.Xdp.Attached {
		d.program = ebpf.ProgramID(a.Xdp.ProgId)
		d.mode = ModeNative
		if a.Xdp.AttachMode == nl.XDP_ATTACHED_SKB {
			d.mode = ModeGeneric
		}
	}
	return d, nil
}

// occupied is the refusal beside a program that is not ours.
func (d device) occupied(name string) error {
	what := fmt.Sprintf("program %d", d.program)
	hint := fmt.Sprintf("one XDP program fits on an interface; stop what attached it, or remove it with: ip link set %s xdp off", name)
	if p, err := ebpf.NewProgramFromID(d.program); err == nil {
		if info, err := p.Info(); err == nil && info.Name != "" {
			what = fmt.Sprintf("%q (program %d)", info.Name, d.program)
			switch info.Name {
			case "xdp_dispatcher":
				hint = "it is libxdp's dispatcher, which this filter does not join; unload it with: xdp-loader unload " + name + " --all"
			case "xsk_def_prog", "xdp_sock_prog", "xsk_prog":
				hint = "it feeds AF_XDP sockets, which take packets before any other program; give them an interface or queue of their own"
			}
		}
		_ = p.Close()
	}
	return fmt.Errorf("%w: %s in %s mode; %s", ErrOccupied, what, d.mode, hint)
}
