package tune

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var updateSysctl = flag.Bool("update-sysctl", false, "rewrite deploy/sysctl.d")

// TestSysctlFiles holds the drop-ins that are shipped to the profiles; with
// -update-sysctl it writes them.
func TestSysctlFiles(t *testing.T) {
	for _, name := range ProfileNames() {
		p, _ := BuiltIn(name)
		path := filepath.Join("..", "..", "deploy", "sysctl.d", "90-tickrelay-"+name+".conf")
		if *updateSysctl {
			if err := os.WriteFile(path, []byte(SysctlFile(p)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != SysctlFile(p) {
			t.Errorf("%s is not the profile: go test ./nettune/tune -run TestSysctlFiles -update-sysctl", path)
		}
		for line := range strings.Lines(string(have)) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
			if line != "\n" && line[0] != '#' && (!ok || name[0] != '-' || value == "" || strings.ContainsAny(value, "{}")) {
				t.Errorf("%s: %q", path, line)
			}
		}
	}
}

func TestSysctlFileOfAPath(t *testing.T) {
	p := Profile{Name: "mine", Base: "conservative", RTT: 200 * time.Millisecond, Bandwidth: 1e9,
		Values: map[string]string{"net.ipv4.tcp_sack": skip, "net.ipv4.tcp_fastopen": "1"}}
	text := SysctlFile(p)
	if !strings.Contains(text, "-net.ipv4.tcp_rmem = 4096 131072 67108864\n") || !strings.Contains(text, "-net.ipv4.tcp_fastopen = 1\n") || strings.Contains(text, "tcp_sack") {
		t.Errorf("%s", text)
	}
}
