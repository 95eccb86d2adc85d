package tune_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"tickrelay/nettune/tune"
)

// A copied tree is audited, tuned and put back, as this machine would be with
// tune.Live.
func Example() {
	dir, err := os.MkdirTemp("", "tree")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	key := filepath.Join(dir, "proc/sys/net/ipv4/tcp_fastopen")
	os.MkdirAll(filepath.Dir(key), 0o755)
	os.WriteFile(key, []byte("1\n"), 0o644)

	h, err := tune.Tree(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	report, _ := tune.Audit(h, tune.Options{})
	for _, f := range report.Findings {
		fmt.Println(f.Severity, f.Knob, f.Have, "wanted", f.Want)
	}
	plan, _ := tune.Plan(h, tune.Options{})
	results, _ := tune.Apply(context.Background(), h, plan, tune.ApplyConfig{})
	fmt.Println(results[0].Status, results[0].Old, "->", results[0].Read)
	back, _ := tune.Revert(context.Background(), h, tune.RevertConfig{})
	fmt.Println(back[0].Status, back[0].Old, "->", back[0].Read)
	// Output:
	// warn net.ipv4.tcp_fastopen 1 wanted 3
	// done 1 -> 3
	// done 3 -> 1
}
