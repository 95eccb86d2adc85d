package feeds

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// maxCPUs bounds Config.CPU: the size of unix.CPUSet.
const maxCPUs = 1024

// CheckCPU tries whether a feed's loop can be pinned to a processor: it must be online
// and among those that the process may use (cpuset(7)). Any goroutine.
func CheckCPU(cpu int) error {
	release, err := lockThread(cpu)
	if err != nil {
		return err
	}
	release()
	return nil
}

// lockThread binds the calling goroutine to its OS thread and, unless cpu is
// -1, the thread to that processor (sched_setaffinity(2)). release undoes both.
func lockThread(cpu int) (release func(), err error) {
	runtime.LockOSThread()
	if cpu < 0 {
		return runtime.UnlockOSThread, nil
	}
	var before, want unix.CPUSet
	want.Set(cpu)
	if err = unix.SchedGetaffinity(0, &before); err == nil {
		err = unix.SchedSetaffinity(0, &want)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("feeds: pin the hot loop to cpu %d: %w", cpu, err)
	}
	return func() {
		// A thread that keeps the mask must not serve other goroutines: left
		// locked, it ends with its goroutine.
		if unix.SchedSetaffinity(0, &before) == nil {
			runtime.UnlockOSThread()
		}
	}, nil
}
