package ring

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Liveness is a lock on each file: open file description locks (fcntl(2),
// "Open file description locks"), because the kernel releases them when the
// last descriptor of the description closes, however its holder dies, and
// because unlike pids they mean the same in every container. A descriptor that
// is passed on shares its description, and so would keep the lock alive: a
// description that holds a lock here is never sent and never inherited.

// tryLock takes the write lock on the description of fd; ErrBusy if somebody
// else has it.
func tryLock(fd int) error {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// lockHeld asks, without taking it, whether a description other than fd's own
// holds the write lock on the file. If the kernel gives no answer the holder
// counts as alive: nobody may be declared dead by mistake.
func lockHeld(fd int) bool {
	lk := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &lk); err != nil {
		return true
	}
	return lk.Type != unix.F_UNLCK
}

// unlock gives the lock back, for whoever keeps the descriptor.
func unlock(fd int) error {
	lk := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk)
}
