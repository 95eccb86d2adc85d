package tune

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestForeignJournal: a journal, lock or folder that somebody else owns, can
// write or has made a link of is refused before anything is written.
func TestForeignJournal(t *testing.T) {
	const nobody = 65534
	f := func(name string, root bool, spoil func(dir, path string) error) {
		t.Run(name, func(t *testing.T) {
			if root && unix.Geteuid() != 0 {
				t.Skip("needs root: it gives a file away")
			}
			h, dir := fixture(t, "ena")
			plan, err := Plan(h, Options{})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "j", "journal")
			if _, err := Apply(context.Background(), h, plan, ApplyConfig{Journal: path}); err != nil {
				t.Fatal(err)
			}
			if err := spoil(filepath.Dir(path), path); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			if _, err := Revert(context.Background(), h, RevertConfig{Journal: path}); !errors.Is(err, ErrNotOurs) {
				t.Errorf("revert: %v", err)
			}
			if _, err := Apply(context.Background(), h, plan, ApplyConfig{Journal: path}); !errors.Is(err, ErrNotOurs) {
				t.Errorf("apply: %v", err)
			}
			if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
				t.Errorf("written all the same: %v", diff)
			}
		})
	}
	f("journal of another", true, func(_, path string) error { return os.Chown(path, nobody, nobody) })
	f("folder of another", true, func(dir, _ string) error { return os.Chown(dir, nobody, nobody) })
	f("lock of another", true, func(_, path string) error { return os.Chown(path+".lock", nobody, nobody) })
	f("journal that all may write", false, func(_, path string) error { return os.Chmod(path, 0o666) })
	f("folder that all may write", false, func(dir, _ string) error { return os.Chmod(dir, 0o777|os.ModeSticky) })
	f("journal is a link", false, func(_, path string) error {
		return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path))
	})
	f("journal is a pipe", false, func(_, path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) })
}

// TestLinkedLock: root does not create or lock what a link points to.
func TestLinkedLock(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "journal"), filepath.Join(dir, "victim")
	if err := os.Symlink(victim, path+".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := lockJournal(path); !errors.Is(err, ErrNotOurs) {
		t.Errorf("locked a link: %v", err)
	}
	if _, err := os.Lstat(victim); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made what the link points to: %v", err)
	}
	// What an attempt that was killed left, or a link of its name, is no target.
	if err := os.Symlink(victim, path+".new1"); err != nil {
		t.Fatal(err)
	}
	if err := writeAtomic(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := os.Lstat(victim); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("written through a link: %v", err)
	}
}
