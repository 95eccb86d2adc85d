package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolateEnv marks the process inside; its value is the seed.
const isolateEnv = "TICKRELAY_SOAK_INSIDE"

// shmSize is the size of the soak's own /dev/shm: the rings of every reader, and of
// two gateways at once, in some 600 MiB.
const shmSize = "size=1g"

// Inside is what the process knows that runs a soak.
type Inside struct {
	Seed uint64
	Own  bool   // /dev/shm is the soak's alone
	Why  string // why it is not
}

// Isolate starts this program again in a mount namespace whose /dev/shm is a tmpfs of
// its own, so that it may be filled without harm to anybody. In the process that runs
// the soak it returns what that needs to know; in the one that waited for it nil, and
// the other's exit code. Without the rights for it there is one process only.
func Isolate(ctx context.Context, seed uint64, stdout, stderr io.Writer) (*Inside, int, error) {
	if v := os.Getenv(isolateEnv); v != "" {
		os.Unsetenv(isolateEnv)
		s, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", isolateEnv, err)
		}
		return mountOwn(s)
	}
	if os.Geteuid() != 0 {
		return &Inside{Seed: seed, Why: "a /dev/shm of its own needs root"}, 0, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Env = append(os.Environ(), isolateEnv+"="+strconv.FormatUint(seed, 10))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	// In a group of its own, so that an interrupt comes once, from here.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setpgid: true}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			return &Inside{Seed: seed, Why: "a mount namespace is not permitted here"}, 0, nil
		}
		return nil, 0, fmt.Errorf("soak: a process with a /dev/shm of its own: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGINT) })
	defer stop()
	err = cmd.Wait()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		return nil, 0, err
	}
	return nil, cmd.ProcessState.ExitCode(), nil
}

func mountOwn(seed uint64) (*Inside, int, error) {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, shmSize)
	}
	if err != nil {
		return &Inside{Seed: seed, Why: fmt.Sprintf("a /dev/shm of its own cannot be mounted: %v", err)}, 0, nil
	}
	return &Inside{Seed: seed, Own: true}, 0, nil
}
