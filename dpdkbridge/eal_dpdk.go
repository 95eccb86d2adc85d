//go:build dpdk

package dpdkbridge

/*
#cgo pkg-config: tickrelay-stack
#include <stdlib.h>
#define TR_CALLS
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Built reports whether this build has DPDK.
const Built = true

// eal is DPDK's environment. It is a process's own: it cannot be initialised
// twice nor undone, so it is the one thing here that is global.
var eal struct {
	sync.Mutex
	done bool
	huge bool
	err  error

	devices int // opened so far
}

// startEAL initialises DPDK once, with the memory that the first caller wants.
func startEAL(c *Config) error {
	eal.Lock()
	defer eal.Unlock()
	if eal.done {
		if eal.err == nil && c.HugePages && !eal.huge {
			return errors.New("dpdkbridge: DPDK runs without huge pages in this process already")
		}
		return eal.err
	}
	if c.HugePages {
		if err := checkHugePages("/proc/meminfo", c.MemoryMB); err != nil {
			return err // may be mended: the next Open tries again
		}
	}
	eal.done, eal.huge = true, c.HugePages
	eal.err = initEAL(c)
	return eal.err
}

// initEAL calls rte_eal_init, which pins its thread: undo that.
func initEAL(c *Config) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("dpdkbridge: %w", err)
	}
	cpu := 0
	for cpu < 1024 && !before.IsSet(cpu) {
		cpu++
	}
	if c.CPU != nil {
		cpu = *c.CPU
	}
	args := []string{"tickrelay", fmt.Sprintf("--lcores=0@%d", cpu), "-m", fmt.Sprint(c.MemoryMB), "--no-telemetry",
		fmt.Sprintf("--file-prefix=tickrelay-%d", os.Getpid())}
	if c.HugePages {
		args = append(args, "--in-memory")
	} else {
		args = append(args, "--no-huge", "--no-shconf")
	}
	// Devices are attached one by one, by Open.
	if d, err := parseDevice(c.Device); err == nil && d.driver == "pci" {
		args = append(args, "-a", "0000:00:00.0")
	} else {
		args = append(args, "--no-pci")
	}
	argv := make([]*C.char, len(args)+1) // kept for ever: DPDK keeps pointers
	for i, a := range args {
		argv[i] = C.CString(a)
	}
	r := C.tr_eal_init(C.int(len(args)), (**C.char)(unsafe.Pointer(&argv[0])))
	_ = unix.SchedSetaffinity(0, &before)
	if r < 0 {
		return fmt.Errorf("dpdkbridge: start DPDK (%s): %w%s", strings.Join(args[1:], " "), syscall.Errno(-r), ealLog())
	}
	return nil
}

// ealLog returns what DPDK said last, for an error's text.
func ealLog() string {
	buf := make([]byte, 2048)
	n := C.tr_eal_log((*C.char)(unsafe.Pointer(&buf[0])), C.int(len(buf)))
	text := strings.TrimSpace(string(buf[:n]))
	if text == "" {
		return ""
	}
	return "; DPDK says: " + strings.ReplaceAll(text, "\n", " | ")
}
