package c_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestExamples runs the example strategies against tickrelay demo.
func TestExamples(t *testing.T) {
	shmDir(t) // skips where there is no shared memory
	bin := filepath.Join(t.TempDir(), "tickrelay")
	if out, err := exec.Command("go", "build", "-o", bin, "tickrelay/cmd/tickrelay").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	demo := start(t, nil, bin, "demo", "--listen", "127.0.0.1:0")
	t.Cleanup(func() { // Ctrl-C, so that it tidies up
		exec.Command("kill", "-INT", strconv.Itoa(demo.cmd.Process.Pid)).Run()
		late := time.AfterFunc(10*time.Second, func() { demo.cmd.Process.Kill() })
		demo.cmd.Wait()
		late.Stop()
	})
	dir := ""
	for dir == "" && demo.out.Scan() {
		if ring, ok := strings.CutPrefix(strings.TrimSpace(demo.out.Text()), "ring "); ok {
			dir = filepath.Dir(strings.TrimSpace(ring))
		}
	}
	for source, cc := range map[string]string{"example/strategy.c": "gcc", "example/strategy.cpp": "g++"} {
		std := map[string]string{"gcc": "-std=c11", "g++": "-std=c++17"}[cc]
		got := run(t, nil, compile(t, cc, source, std, "-O2"), dir+"/attach.sock", "binance", "BTC-USDT", "3")
		if n := strings.Count(got, "mid 6"); n < 2 || !strings.Contains(got, "imbalance") || !strings.Contains(got, "gaps 0") {
			t.Errorf("%s:\n%s", source, got)
		}
	}
}
