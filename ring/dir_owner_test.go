package ring

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// asRoot skips what needs files of two users.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to have files of another user")
	}
}

const nobody = 65534

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBaseOfOthers: no relay starts, and nothing is reclaimed, where somebody else
// can exchange its directory.
func TestBaseOfOthers(t *testing.T) {
	for _, c := range []struct {
		name     string
		mode     os.FileMode
		uid, gid int // −1: ours
		ok       bool
	}{
		{"own", 0o755, -1, -1, true},
		{"shared", 0o777 | os.ModeSticky, -1, -1, true},
		{"of a group, sticky", 0o775 | os.ModeSticky, -1, nobody, true},
		{"anybody may rename", 0o777, -1, -1, false},
		{"a group may rename", 0o775, -1, nobody, false},
		{"another user's", 0o777 | os.ModeSticky, nobody, -1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.uid >= 0 || c.gid >= 0 {
				asRoot(t)
			}
			base := shmDir(t)
			must(t, os.Mkdir(filepath.Join(base, "dead"), 0o700))
			must(t, os.WriteFile(filepath.Join(base, "dead", lockName), nil, 0o600))
			must(t, os.Chown(base, c.uid, c.gid))
			must(t, os.Chmod(base, c.mode))
			d, err := OpenDir(base, "alpha", Perm{})
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, os.ErrPermission) {
				t.Fatal(err)
			}
			if err == nil {
				must(t, d.Close())
			}
			gone, err := ReclaimDead(base)
			if c.ok != (err == nil) || c.ok != slices.Equal(gone, []string{"dead"}) {
				t.Fatal(gone, err)
			}
		})
	}
}

// TestReclaimOwnOnly: root may remove everything, and removes what is root's.
func TestReclaimOwnOnly(t *testing.T) {
	asRoot(t)
	base := shmDir(t)
	must(t, os.Chmod(base, 0o777|os.ModeSticky))
	elsewhere := shmDir(t)
	for _, dir := range []string{filepath.Join(base, "mine"), filepath.Join(base, "theirs"), elsewhere} {
		must(t, os.MkdirAll(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, lockName), nil, 0o600))
	}
	must(t, os.Chown(filepath.Join(base, "theirs"), nobody, nobody))
	must(t, os.Symlink(elsewhere, filepath.Join(base, "link")))
	if own, err := OwnDirs(base); err != nil || !slices.Equal(own, []string{"mine"}) {
		t.Fatal(own, err)
	}
	if gone, err := ReclaimDead(base); err != nil || !slices.Equal(gone, []string{"mine"}) {
		t.Fatal(gone, err)
	}
	for _, kept := range []string{filepath.Join(base, "theirs"), elsewhere} {
		if _, err := os.Stat(filepath.Join(kept, lockName)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenDir(base, "theirs", Perm{}); !errors.Is(err, os.ErrPermission) {
		t.Fatal(err)
	}
}

// TestSecondStartChangesNothing: a relay that finds another one running leaves
// the mode of its directory alone.
func TestSecondStartChangesNothing(t *testing.T) {
	base := shmDir(t)
	d, err := OpenDir(base, "alpha", Perm{})
	must(t, err)
	defer d.Close()
	must(t, os.Chmod(d.Path(), 0o711)) // neither of the modes that a start gives
	if _, err := OpenDir(base, "alpha", Perm{}); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	if st, err := os.Stat(d.Path()); err != nil || st.Mode().Perm() != 0o711 {
		t.Fatal(st.Mode(), err)
	}
}

// TestSocketPathOfAFile: a file that is no socket refuses connections as the
// socket of a dead relay does, and is not taken for one.
func TestSocketPathOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	must(t, os.WriteFile(path, []byte("x"), 0o600))
	if err := Serve(t.Context(), path, nil); err == nil {
		t.Fatal("it listens on a file")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "x" {
		t.Fatal(string(text), err)
	}
}
