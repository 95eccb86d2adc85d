package xdp

import (
	"errors"
	"fmt"
	"os"
)

// Errors that callers act on.
var (
	// ErrNotAttached: no filter of ours is on the interface.
	ErrNotAttached = errors.New("no tickrelay filter is attached")
	// ErrOccupied: another program is on the interface.
	ErrOccupied = errors.New("another XDP program is there")
	// ErrNotPermitted: the process lacks the rights.
	ErrNotPermitted = errors.New("not permitted")
)

// explain adds to a refusal by the kernel what is needed to succeed.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrPermission) { // EPERM and EACCES
		return fmt.Errorf("xdp: %s: %w: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON and a bpffs that you may write (%w)", doing, ErrNotPermitted, err)
	}
	return fmt.Errorf("xdp: %s: %w", doing, err)
}
