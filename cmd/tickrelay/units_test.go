package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const unitsDir = repoRoot + "/deploy/systemd"

// exposureLimit is the most that systemd-analyze security may find, of 10.
const exposureLimit = 2.0

// TestUnits has systemd itself read the units, with the example of a drop-in, and judge
// how far they are exposed.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze")
	}
	prog, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var services, all []string
	for _, pattern := range []string{"*.service", "*.socket"} {
		list, err := filepath.Glob(filepath.Join(unitsDir, pattern))
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range list {
			text := textOf(t, f)
			name := filepath.Base(f)
			if strings.HasSuffix(f, ".service") {
				if !strings.Contains(text, "ExecStart=/usr/bin/tickrelay ") {
					t.Errorf("%s does not start /usr/bin/tickrelay", f)
				}
				name = strings.Replace(name, "@.", "@green.", 1)
				services = append(services, name)
			}
			text = strings.ReplaceAll(text, "/usr/bin/tickrelay", prog)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			all = append(all, filepath.Join(dir, name))
		}
	}
	drop := filepath.Join(dir, "tickrelay-feeds.service.d")
	if err := os.Mkdir(drop, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(drop, "pinning.conf"), []byte(textOf(t, unitsDir+"/pinning.conf")), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		cmd := exec.Command(analyze, args...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run(append([]string{"verify", "--man=no"}, all...)...); strings.Contains(out, dir) {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	level := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)
	for _, name := range services {
		out := run("security", "--offline=true", "--no-pager", fmt.Sprintf("--threshold=%d", int(exposureLimit*10)), filepath.Join(dir, name))
		m := level.FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("systemd-analyze security says no level:\n%s", out)
		}
		t.Logf("%s: exposure %s of 10", name, m[1])
		if x, err := strconv.ParseFloat(m[1], 64); err != nil || x > exposureLimit {
			t.Errorf("%s: exposure %s, want at most %.1f", name, m[1], exposureLimit)
		}
	}
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
