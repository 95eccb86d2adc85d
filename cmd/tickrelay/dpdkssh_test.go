package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSSHConnectionUnderSudo: the session is found although the command's own
// environment was cleaned.
func TestSSHConnectionUnderSudo(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, stat, env string) {
		t.Helper()
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"stat": stat, "environ": env} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("1", "1 (systemd) S 0 1 1", "")
	process("7", "7 (ba) sh) S 1 7 7", "HOME=/root\x00SSH_CONNECTION=203.0.113.9 50000 10.0.1.6 22\x00")
	process("8", "8 (sudo) S 7 8 7", "HOME=/root\x00")
	process("9", "9 (tickrelay) R 8 8 7", "HOME=/root\x00")
	if got := sshConnection(proc, 9); got != "203.0.113.9 50000 10.0.1.6 22" {
		t.Errorf("under sudo: %q", got)
	}
	if got := sshConnection(proc, 1); got != "" {
		t.Errorf("without a session: %q", got)
	}
	if got := sshConnection(proc, 99); got != "" {
		t.Errorf("no such process: %q", got)
	}
}
