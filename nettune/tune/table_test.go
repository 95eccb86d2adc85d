package tune

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTable holds every row to what the documentation promises of it.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	groups := map[Group]bool{}
	for _, k := range Table() {
		if seen[k.Name] {
			t.Errorf("%s is there twice", k.Name)
		}
		seen[k.Name], groups[k.Group] = true, true
		if !slices.Contains(Groups(), k.Group) {
			t.Errorf("%s: group %q is not listed", k.Name, k.Group)
		}
		if k.Why == "" || k.Source == "" || k.Risk == "" || k.Persist == "" || k.Needs == "" || k.ReadBack() == "" || k.Severity == OK {
			t.Errorf("%s: something is missing: %+v", k.Name, k)
		}
		if (k.check != nil) == k.Writable() {
			t.Errorf("%s is neither a setting nor a check, or both", k.Name)
		}
		if k.check == nil && !strings.HasPrefix(k.Path, "/") && !strings.HasPrefix(k.Path, nicScheme) {
			t.Errorf("%s: path %q", k.Name, k.Path)
		}
		for _, v := range []string{k.Want.Conservative, k.Want.LowLatency, k.Want.AWSENA} {
			if v == "" || strings.Contains(v, "{") || !k.Writable() {
				continue
			}
			if n, err := k.Format.normalize(v); err != nil || n != v {
				t.Errorf("%s: wanted value %q: %q, %v", k.Name, v, n, err)
			}
		}
	}
	for _, g := range Groups() {
		if !groups[g] {
			t.Errorf("group %s has no row", g)
		}
	}
}

const (
	docStart = "<!-- table: go test ./nettune/tune -run TestDocumentation -update -->\n"
	docEnd   = "<!-- end of table -->\n"
)

// TestDocumentation holds the tables of docs/tuning.md and those in the code
// equal.
func TestDocumentation(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "tuning.md")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), docStart)
	table, tail, ok2 := strings.Cut(rest, docEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	if *update {
		if err := os.WriteFile(file, []byte(head+docStart+"\n"+Markdown()+docEnd+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != "\n"+Markdown() {
		t.Errorf("%s does not show the table as the code has it; run this test with -update", file)
	}
}

// TestHoldCPULatency holds the device and looks for it in the process's files.
func TestHoldCPULatency(t *testing.T) {
	if _, err := HoldCPULatency(-time.Second); err == nil {
		t.Error("a negative latency was taken")
	}
	if unix.Access(dmaLatency, unix.W_OK) != nil {
		if _, err := HoldCPULatency(0); err == nil || !strings.Contains(err.Error(), "root") {
			t.Errorf("without permission: %v", err)
		}
		t.Skip("needs write permission on " + dmaLatency)
	}
	h := Live()
	defer h.Close()
	s := &survey{h: h, proc: "/proc/self"}
	c, err := HoldCPULatency(0)
	if err != nil {
		t.Fatal(err)
	}
	if !s.holdsLatency() {
		t.Error("the audit does not see that it is held")
	}
	if err := c.Close(); err != nil || s.holdsLatency() {
		t.Errorf("still held after close: %v", err)
	}
}

// TestLiveAudit runs the read-only half on the machine that runs the tests.
func TestLiveAudit(t *testing.T) {
	h := Live()
	defer h.Close()
	for _, name := range ProfileNames() {
		r, err := Audit(h, Options{Profile: builtIn(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Good+len(r.Findings) < 5 {
			t.Errorf("%s: almost nothing was read: %+v", name, r)
		}
	}
}
