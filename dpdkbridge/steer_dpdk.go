//go:build dpdk

package dpdkbridge

import (
	"bytes"
	_ "embed" // the XDP object
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
)

// The XDP object is built from steer/steer.c, which needs clang only then.
//
//go:generate clang-14 -O2 -g -target bpf -fdebug-compilation-dir=. -fdebug-prefix-map=${PWD}=. -I/usr/include/x86_64-linux-gnu -c steer/steer.c -o steer/steer.o
//go:generate llvm-strip-14 -g steer/steer.o
//go:embed steer/steer.o
var steerObject []byte

const steerMagic = 0x5245455453525400

// steerConfig is struct config of steer.c, with the padding that C adds.
type steerConfig struct {
	Magic                    uint64
	IP4                      [4]byte
	Has4, N6, Share, Listens uint8
	IP6                      [3][16]byte
	Lo, Hi                   uint16
	Listen                   [16]uint16
	_                        [4]byte
}

// writeSteering writes the XDP object with the configuration in it to a file
// of its own, for DPDK to load.
func writeSteering(c *Config) (path string, remove func(), err error) {
	cfg := steerConfig{Magic: steerMagic, Lo: c.Ports[0], Hi: c.Ports[1]}
	if c.Shared {
		cfg.Share = 1
	}
	for _, p := range c.Addresses {
		if p.Addr().Is4() {
			cfg.IP4, cfg.Has4 = p.Addr().As4(), 1
			continue
		}
		if cfg.N6 == 0 {
			cfg.IP6[0], cfg.N6 = linkLocal(c.Addresses).As16(), 1
		}
		cfg.IP6[cfg.N6] = p.Addr().As16()
		cfg.N6++
	}
	if len(c.Listen) > len(cfg.Listen) {
		return "", nil, fmt.Errorf("dpdkbridge: %d ports to listen on, %d can be steered", len(c.Listen), len(cfg.Listen))
	}
	cfg.Listens = uint8(copy(cfg.Listen[:], c.Listen))
	var text, magic bytes.Buffer
	if err := errors.Join(binary.Write(&text, binary.LittleEndian, cfg), binary.Write(&magic, binary.LittleEndian, cfg.Magic)); err != nil {
		return "", nil, err
	}
	object := bytes.Clone(steerObject)
	at := bytes.Index(object, magic.Bytes())
	if at < 0 || at+text.Len() > len(object) {
		return "", nil, errors.New("dpdkbridge: the XDP object has no configuration: go generate ./dpdkbridge")
	}
	copy(object[at:], text.Bytes())
	dir, err := os.MkdirTemp("", "tickrelay-steer-")
	if err != nil {
		return "", nil, fmt.Errorf("dpdkbridge: %w", err)
	}
	path = filepath.Join(dir, "steer.o")
	if err := os.WriteFile(path, object, 0o600); err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("dpdkbridge: %w", err)
	}
	return path, func() { _ = os.RemoveAll(dir) }, nil
}

// refuseOtherXDP wants no XDP program on the interface but a former one of ours,
// whose process died: the device's lock says that it did.
func refuseOtherXDP(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("dpdkbridge: interface %s: %w", name, err)
	}
	queues, err := filepath.Glob("/sys/class/net/" + name + "/queues/rx-*")
	if err == nil && len(queues) == 0 {
		return fmt.Errorf("dpdkbridge: interface %s has no receive queue", name)
	}
	x := link.Attrs().Xdp
	if x == nil || !x.Attached {
		return nil
	}
	if programName(x.ProgId) != "steer" {
		return fmt.Errorf("dpdkbridge: interface %s has another XDP program (id %d) already; af_xdp needs the place: ip link set %s xdp off", name, x.ProgId, name)
	}
	detachXDP(name)
	return nil
}

// detachXDP takes our program off the interface, whatever DPDK has done. One
// that another has put there meanwhile stays.
func detachXDP(name string) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return
	}
	x := link.Attrs().Xdp
	if x == nil || !x.Attached {
		return
	}
	if name := programName(x.ProgId); name == "steer" || name == "" { // not to be known: it was ours when we opened
		_ = netlink.LinkSetXdpFd(link, -1)
	}
}
