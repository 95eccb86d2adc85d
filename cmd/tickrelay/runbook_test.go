package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The runbook has a row for every alert and names no figure that does not exist.
func TestRunbook(t *testing.T) {
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	runbook, metrics := read("../../docs/runbook.md"), read("../../docs/metrics.md")
	alerts := regexp.MustCompile(`(?m)^\s*- alert: (\S+)`).FindAllStringSubmatch(read("../../deploy/prometheus/rules.yml"), -1)
	if len(alerts) == 0 {
		t.Fatal("no alert found in the rules")
	}
	known := map[string]bool{}
	for _, a := range alerts {
		known[a[1]] = true
		if !strings.Contains(runbook, "| `"+a[1]+"`") {
			t.Errorf("docs/runbook.md has no row that begins with the alert %s", a[1])
		}
	}
	for _, a := range regexp.MustCompile("`(Tickrelay[A-Za-z]+)`").FindAllStringSubmatch(runbook, -1) {
		if !known[a[1]] {
			t.Errorf("docs/runbook.md tells of the alert %s, which no rule makes", a[1])
		}
	}
	for _, m := range regexp.MustCompile(`tickrelay_[a-z0-9_]+`).FindAllString(runbook, -1) {
		if !strings.Contains(metrics, "`"+m+"`") && !strings.Contains(metrics, "`"+strings.TrimSuffix(m, "_bucket")+"`") {
			t.Errorf("docs/runbook.md names %s, which docs/metrics.md does not have", m)
		}
	}
}
