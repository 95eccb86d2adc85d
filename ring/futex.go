package ring

import (
	"errors"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2). Without FUTEX_PRIVATE_FLAG: the word may lie in
// memory shared between processes.
const (
	futexOpWait = 0
	futexOpWake = 1

	futex2SizeU32 = 2   // futex_waitv: the word has 32 bits
	maxWaitv      = 128 // FUTEX_WAITV_MAX
)

// futexWait sleeps while *word == val, at most d, until futexWake. It may
// return early.
func futexWait(word *uint32, val uint32, d time.Duration) {
	ts := unix.NsecToTimespec(int64(max(d, 0)))
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWait, uintptr(val), uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// futexWake wakes the one that sleeps on word.
func futexWake(word *uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWake, 1, 0, 0, 0)
}

// futexWakeAll wakes all that sleep on word.
func futexWakeAll(word *uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWake, math.MaxInt32, 0, 0, 0)
}

// futexWaiter is struct futex_waitv of futex_waitv(2), Linux 5.16.
type futexWaiter struct {
	val   uint64
	addr  uint64
	flags uint32
	_     uint32
}

// errNoWaitv: the kernel has no futex_waitv, or the list is too long for it.
var errNoWaitv = errors.New("ring: futex_waitv not available")

// futexWaitAny sleeps while every word is 1, at most d. It may return early.
func futexWaitAny(ws []futexWaiter, d time.Duration) error {
	if len(ws) == 0 || len(ws) > maxWaitv {
		return errNoWaitv
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return errNoWaitv
	}
	ts = unix.NsecToTimespec(ts.Nano() + int64(max(d, 0))) // absolute, unlike FUTEX_WAIT
	_, _, e := unix.Syscall6(unix.SYS_FUTEX_WAITV, uintptr(unsafe.Pointer(&ws[0])), uintptr(len(ws)), 0,
		uintptr(unsafe.Pointer(&ts)), unix.CLOCK_MONOTONIC, 0)
	if e == unix.ENOSYS || e == unix.EINVAL || e == unix.EPERM {
		return errNoWaitv
	}
	return nil
}
