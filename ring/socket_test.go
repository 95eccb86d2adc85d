package ring

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFindSocketBeforeItIs: who looks for a relay that does not run yet looks where one
// of the same user will listen.
func TestFindSocketBeforeItIs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	const relay = "test-that-nobody-runs"
	if got, want := FindSocket(relay), SocketPath(relay); got != want {
		t.Errorf("%s is looked for, %s is listened on", got, want)
	}
	must(t, os.Mkdir(filepath.Join(dir, "tickrelay"), 0o700))
	own := filepath.Join(dir, "tickrelay", relay+".sock")
	must(t, os.WriteFile(own, nil, 0o600))
	if got := FindSocket(relay); got != own {
		t.Errorf("%s is found, %s is there", got, own)
	}
}
