package md

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs holds docs/record.md to the code: every code with its name, every
// offset, and JSON that is JSON.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.Join(strings.Fields(string(data)), " ") // lines may be wrapped anywhere
	has := func(code int, name string) {
		t.Helper()
		if name != "" && !strings.Contains(doc, fmt.Sprintf("%d %s", code, name)) && !strings.Contains(doc, fmt.Sprintf("| %d | %s |", code, name)) {
			t.Errorf("docs/record.md lacks %d %s", code, name)
		}
	}
	for _, table := range [][]string{kindNames[:], channelNames[:], statNames[:], gapReasonNames[:], statusNames[:],
		signalNames[:], venueNames[:], instrumentKindNames[:]} {
		for code, name := range table {
			has(code, name)
		}
	}
	for i := range 6 {
		if f := Flags(1) << i; !regexp.MustCompile(fmt.Sprintf(`\| %d \| \w+ \| %s \|`, f, f)).MatchString(doc) {
			t.Errorf("docs/record.md lacks flag %d as %s", f, f)
		}
	}
	examples := 0
	for _, m := range regexp.MustCompile("(?m)^\\| (\\w+) \\| `(\"[a-z_]+\":.*?)`").FindAllStringSubmatch(string(data), -1) {
		examples++
		if text := "{" + m[2] + "}"; !json.Valid([]byte(text)) {
			t.Errorf("example of %s is no JSON: %s", m[1], text)
		}
	}
	if examples < 12 {
		t.Errorf("only %d examples found", examples)
	}
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)\n```").FindAllStringSubmatch(string(data), -1) {
		if !json.Valid([]byte(m[1])) {
			t.Errorf("no JSON: %s", m[1])
		}
	}
}
