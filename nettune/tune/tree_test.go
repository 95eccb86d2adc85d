package tune

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixture unpacks testdata/NAME.tree, whose sections begin with "-- path --",
// and opens it.
func fixture(t testing.TB, name string) (h *Host, dir string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".tree"))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	var path string
	var body strings.Builder
	flush := func() {
		if path == "" {
			return
		}
		target := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, []byte(body.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		body.Reset()
	}
	for line := range strings.Lines(string(data)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(p, " --") {
			flush()
			path = strings.TrimSuffix(p, " --")
			continue
		}
		body.WriteString(line)
	}
	flush()
	return openTree(t, dir), dir
}

func openTree(t testing.TB, dir string) *Host {
	t.Helper()
	h, err := Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func builtIn(t testing.TB, name string) Profile {
	t.Helper()
	p, ok := BuiltIn(name)
	if !ok {
		t.Fatalf("no profile %s", name)
	}
	return p
}

// golden compares got with testdata/NAME.golden, or rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s differs at line %d; run with -update and read the diff\ngot  %s\nwant %s", file, i+1, a[min(i, len(a)-1)], b[min(i, len(b)-1)])
		}
	}
}

// auditText is an audit and the plan after it, a line per finding and change.
func auditText(t *testing.T, h *Host, o Options) []byte {
	t.Helper()
	r, err := Audit(h, o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "profile %s, devices %v, worst %s, %d as wanted, %d absent\n", r.Profile, r.Ifaces, r.Worst, r.Good, r.Absent)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %s [%s] %s: have %q want %q: %s | %s\n", f.Severity, f.Group, f.Knob, f.Place, f.Key, f.Have, f.Want, f.Text, f.Fix)
	}
	plan, err := Plan(h, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range plan {
		fmt.Fprintf(&b, "plan %s [%s] %s: %s -> %s %s\n", c.Knob, c.Place, c.Key, c.Old, c.New, c.Blocked)
	}
	return b.Bytes()
}

func TestGoldenAudits(t *testing.T) {
	f := func(tree, profile string, o Options) {
		t.Helper()
		t.Run(tree+"-"+profile, func(t *testing.T) {
			h, _ := fixture(t, tree)
			o.Profile = builtIn(t, profile)
			golden(t, tree+"-"+profile, auditText(t, h, o))
		})
	}
	f("numa2", "low-latency", Options{PID: 4242, RTT: 80e6, Bandwidth: 10e9})
	f("numa2", "conservative", Options{PID: 4242})
	f("ena", "aws-ena", Options{})
	f("container", "conservative", Options{})
	f("container", "low-latency", Options{})
}

// TestWakeupHeld wants no finding of deep idle states while a process holds the
// latency device, and one when it does not.
func TestWakeupHeld(t *testing.T) {
	for _, held := range []bool{false, true} {
		h, dir := fixture(t, "numa2")
		if held {
			if err := os.MkdirAll(filepath.Join(dir, "proc/4242/fd"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/dev/cpu_dma_latency", filepath.Join(dir, "proc/4242/fd/9")); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Audit(h, Options{PID: 4242, Groups: []Group{GroupWakeup}})
		if err != nil || (len(r.Findings) == 0) != held {
			t.Errorf("held %v: %+v, %v", held, r, err)
		}
	}
}

// TestAuditReadsOnly holds audit, plan, verify and dump to their word.
func TestAuditReadsOnly(t *testing.T) {
	h, dir := fixture(t, "numa2")
	before := snapshot(t, dir)
	o := Options{Profile: builtIn(t, "low-latency"), PID: 4242}
	auditText(t, h, o)
	if r, err := Verify(h, ""); err != nil || r != nil {
		t.Fatalf("verify: %v, %v", r, err)
	}
	if _, err := Dump(h, o, filepath.Join(t.TempDir(), "dump")); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
		t.Errorf("changed: %v", diff)
	}
}

// TestDumpAuditsTheSame copies a host and looks at the copy.
func TestDumpAuditsTheSame(t *testing.T) {
	f := func(tree, profile string, pid int) {
		t.Helper()
		h, _ := fixture(t, tree)
		dir := filepath.Join(t.TempDir(), "dump")
		n, err := Dump(h, Options{PID: pid}, dir)
		if err != nil || n < 40 {
			t.Fatalf("%s: %d files, %v", tree, n, err)
		}
		o := Options{Profile: builtIn(t, profile), PID: pid}
		want, got := auditText(t, h, o), auditText(t, openTree(t, dir), o)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the dump's audit differs:\n%s\nwant:\n%s", tree, got, want)
		}
		if _, err := Dump(h, Options{}, dir); err == nil {
			t.Errorf("%s: dumped over a dump", tree)
		}
	}
	f("numa2", "low-latency", 4242)
	f("ena", "aws-ena", 0)
	f("container", "low-latency", 0)
}

// snapshot reads every file below dir except journals and locks.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(e.Name(), ".journal") {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = strings.Join(strings.Fields(string(data)), " ")
		// What the kernel would print in its own form is compared by value.
		format := Format(0)
		switch {
		case strings.HasSuffix(rel, "_cpus"):
			format = Mask
		case strings.Contains(rel, "transparent_hugepage"):
			format = Choice
		default:
			return err
		}
		out[rel], err = format.normalize(string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func differences(a, b map[string]string) []string {
	var out []string
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			out = append(out, fmt.Sprintf("%s: %q became %q", k, v, w))
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k+" is new")
		}
	}
	return out
}

func TestReportIsJSON(t *testing.T) {
	h, _ := fixture(t, "container")
	r, err := Audit(h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"worst":"crit"`, `"severity":"crit"`, `"knob":"cpu.quota"`, `"interfaces":["eth0"]`} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("%s is missing in %s", want, data)
		}
	}
}

func TestWrongChoices(t *testing.T) {
	h, _ := fixture(t, "ena")
	if _, err := Audit(h, Options{Ifaces: []string{"eth7"}}); err == nil || !strings.Contains(err.Error(), `"eth7"`) {
		t.Errorf("unknown device: %v", err)
	}
	if _, err := Audit(h, Options{PID: 99}); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("unknown process: %v", err)
	}
}

// TestTreeStaysInside refuses links that lead out of the tree.
func TestTreeStaysInside(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "proc/sys/net/ipv4"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "proc/sys/net/ipv4/tcp_fastopen")); err != nil {
		t.Fatal(err)
	}
	h := openTree(t, dir)
	if v, err := h.Get("/proc/sys/net/ipv4/tcp_fastopen"); err == nil {
		t.Errorf("read %q through a link out of the tree", v)
	}
	if err := h.Set("/proc/sys/net/ipv4/tcp_fastopen", "3"); err == nil {
		t.Error("wrote through a link out of the tree")
	}
}
