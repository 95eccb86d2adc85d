package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// deadRelay is what a relay that died leaves in base: a folder whose relay.json
// names a socket.
func deadRelay(t *testing.T, base, name, socket string) (dir string) {
	t.Helper()
	dir = filepath.Join(base, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(relayInfo{Socket: socket})
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600), os.WriteFile(filepath.Join(dir, infoFile), info, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// deadSocket is a socket that nobody listens on any more.
func deadSocket(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return path
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// TestReclaimTraps: what others leave where relays are looked for makes nobody
// remove a file that is not a dead relay's socket.
func TestReclaimTraps(t *testing.T) {
	base, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Chmod(base, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	file, socket, theirs := filepath.Join(elsewhere, "file"), deadSocket(t, elsewhere, "a.sock"), deadSocket(t, elsewhere, "b.sock")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := []string{socket, deadRelay(t, base, "own", socket), deadRelay(t, base, "trap", file)}
	kept := []string{file, theirs}
	if os.Geteuid() == 0 {
		other := deadRelay(t, base, "other", theirs)
		foreign := deadSocket(t, elsewhere, "c.sock")
		if err := errors.Join(os.Lchown(other, 65534, 65534), os.Lchown(foreign, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		gone = append(gone, deadRelay(t, base, "own2", foreign))
		kept = append(kept, other, foreign)
	}
	reclaim(base, slog.New(slog.DiscardHandler))
	for _, path := range gone {
		if there(path) {
			t.Errorf("%s is still there", path)
		}
	}
	for _, path := range kept {
		if !there(path) {
			t.Errorf("%s is gone", path)
		}
	}
}

// TestReadInfoTraps: a pipe, a device or an endless file in the place of
// relay.json holds nobody up.
func TestReadInfoTraps(t *testing.T) {
	big := make([]byte, maxInfo+1)
	for name, lay := range map[string]func(path string) error{
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"link":   func(path string) error { return os.Symlink("/etc/passwd", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"large":  func(path string) error { return os.WriteFile(path, big, 0o644) },
		"none":   func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := lay(filepath.Join(dir, infoFile)); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { _, err := readInfo(dir); done <- err }()
			select {
			case err := <-done:
				if err == nil {
					t.Fatal("it was taken for what a relay says")
				}
			case <-time.After(20 * time.Second):
				t.Fatal("held up")
			}
		})
	}
}
