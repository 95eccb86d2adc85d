package tune

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"time"
)

// HoldCPULatency asks the kernel to keep idle CPUs in states that wake within
// limit (0: none but polling), by an open descriptor of /dev/cpu_dma_latency
// (power/pm_qos_interface.rst). It holds until the returned closer is closed or
// the process ends. Without a cpuidle driver ("none" in
// /sys/devices/system/cpu/cpuidle/current_driver, as in many guests) the idle
// loop takes no notice of it. It needs root or write permission on the device. Safe for
// concurrent use; the kernel takes the least of all requests.
func HoldCPULatency(limit time.Duration) (io.Closer, error) {
	us := limit.Microseconds()
	if us < 0 || us >= 1<<31 {
		return nil, fmt.Errorf("tune: a wake-up latency of %v is out of range", limit)
	}
	f, err := os.OpenFile(dmaLatency, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("tune: hold the wake-up latency: %w (it needs root, or the device passed into the container)", err)
	}
	var word [4]byte
	binary.NativeEndian.PutUint32(word[:], uint32(us))
	if _, err := f.Write(word[:]); err != nil {
		f.Close()
		return nil, fmt.Errorf("tune: hold the wake-up latency: %w", err)
	}
	return f, nil
}
