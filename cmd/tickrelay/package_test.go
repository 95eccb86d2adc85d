package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackageScripts: the shell reads every script of the package and of deploy/, and
// every file that a release puts into the package is there.
func TestPackageScripts(t *testing.T) {
	for _, f := range []string{"deb/postinst", "deb/prerm", "deb/postrm"} {
		if out, err := exec.Command("sh", "-n", repoRoot+"/deploy/"+f).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
	for _, f := range []string{"release", "check"} {
		if out, err := exec.Command("bash", "-n", repoRoot+"/deploy/"+f).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
	script := textOf(t, repoRoot+"/deploy/release")
	for line := range strings.Lines(textOf(t, repoRoot+"/deploy/deb/conffiles")) {
		if name := strings.TrimPrefix(strings.TrimSpace(line), "/"); !strings.Contains(script, " "+name) {
			t.Errorf("conffiles names %s, which release does not put into the package", name)
		}
	}
	for word := range strings.FieldsSeq(script) {
		if !strings.HasPrefix(word, "deploy/") && !strings.HasPrefix(word, "ring/") || strings.ContainsAny(word, "$[") {
			continue
		}
		word, _, _ = strings.Cut(word, ";")
		if list, err := filepath.Glob(filepath.Join(repoRoot, word)); err != nil || len(list) == 0 {
			t.Errorf("release wants %s: %v", word, err)
		}
	}
}

// TestPurgeKeepsOldValues: a purge takes the relay's own folders away, and the
// journals of the host's settings only once those are put back.
func TestPurgeKeepsOldValues(t *testing.T) {
	root := t.TempDir()
	host := filepath.Join(root, "var/lib/tickrelay-host")
	journal := filepath.Join(host, "tune.journal")
	script := func(name, arg string) string {
		t.Helper()
		cmd := exec.Command("sh", repoRoot+"/deploy/deb/"+name, arg)
		cmd.Env = append(os.Environ(), "DPKG_ROOT="+root)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, arg, err, out)
		}
		return string(out)
	}
	for _, f := range []string{journal, journal + ".lock", filepath.Join(root, "var/lib/tickrelay/raw/x"), filepath.Join(host, "dpdk/0000_00_06.0.json")} {
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, arg := range map[string]string{"prerm": "remove", "postrm": "purge"} {
		if out := script(name, arg); !strings.Contains(out, "tune revert") || !strings.Contains(out, "dpdk unbind") {
			t.Errorf("%s does not say that the host is changed: %q", name, out)
		}
	}
	if _, err := os.Stat(journal); err != nil {
		t.Errorf("the old values are gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/tickrelay")); err == nil {
		t.Error("the relay's own folder is left after a purge")
	}
	if err := os.Remove(journal); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(host, "dpdk/0000_00_06.0.json")); err != nil {
		t.Fatal(err)
	}
	if out := script("prerm", "remove") + script("postrm", "purge"); out != "" {
		t.Errorf("said of an unchanged host: %q", out)
	}
	if _, err := os.Stat(host); err == nil {
		t.Error("the empty folder is left after a purge")
	}
}

// TestPackage builds the package of a commit and installs it into a root of its own,
// upgrades it over a configuration that was edited, and purges it.
func TestPackage(t *testing.T) {
	if os.Getenv("TICKRELAY_PACKAGE") == "" {
		t.Skip("TICKRELAY_PACKAGE does not name a .deb that deploy/release has made")
	}
	deb, err := filepath.Abs(os.Getenv("TICKRELAY_PACKAGE"))
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("dpkg wants root")
	}
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) {
		t.Helper()
		cmd := exec.Command("dpkg", append([]string{"--root=" + root, "--force-depends", "--force-script-chrootless", "--force-confold", "--log=" + root + "/log"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dpkg %s: %v\n%s", args, err, out)
		}
	}
	dpkg("-i", deb)
	if users := textOf(t, root+"/etc/passwd"); !strings.Contains(users, "tickrelay:") {
		t.Errorf("no user: %q", users)
	}
	conf := filepath.Join(root, "etc/tickrelay/tickrelay.yaml")
	if out, err := exec.Command(filepath.Join(root, "usr/bin/tickrelay"), "check", "-c", conf).CombinedOutput(); err != nil {
		t.Errorf("the program of the package does not like its configuration: %v\n%s", err, out)
	}
	edited := textOf(t, conf) + "# edited\n"
	if err := os.WriteFile(conf, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg("-i", deb)
	if textOf(t, conf) != edited {
		t.Error("an upgrade overwrites the configuration")
	}
	dpkg("--purge", "tickrelay")
	for _, f := range []string{"usr/bin/tickrelay", "etc/tickrelay/tickrelay.yaml", "usr/lib/systemd/system/tickrelay.service"} {
		if _, err := os.Stat(filepath.Join(root, f)); err == nil {
			t.Errorf("%s is left after a purge", f)
		}
	}
}
