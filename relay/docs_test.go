package relay

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestDocs holds docs/websocket.md to the lists and numbers of the code.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../docs/websocket.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	group := func(n int) string {
		s := strconv.Itoa(n)
		if len(s) > 3 {
			s = s[:len(s)-3] + "," + s[len(s)-3:]
		}
		return s
	}
	l := Limits{}.withDefaults()
	want := []string{"fragments together; " + strconv.Itoa(maxFragments) + " fragments",
		ProtocolJSON, ProtocolBinary, "| depth | " + group(MaxDepth) + " ",
		"| conflate_ms | " + group(MaxConflate) + " |", "| " + group(l.MaxMessage) + " bytes", "| " + group(l.MaxTopics) + " each",
		strconv.Itoa(l.Requests) + " per second, burst of " + strconv.Itoa(l.RequestBurst),
		"| requests without an answer | " + strconv.Itoa(maxInflight) + " |", "| connections | " + group(l.MaxConns) + " |",
		"| history | " + group(l.HistoryRecords) + " records per topic, 64 MiB", "**" + group(l.HistoryRecords) + " records per topic",
		group(l.MaxHead) + " bytes within " + l.HeadTimeout.String()[:1] + " s", group(l.QueueMessages) + " messages or 4 MiB",
		"| " + strconv.Itoa(l.MaxWindows) + " |", "for **10 s**", "after 30 s"}
	for _, c := range errorCodes {
		want = append(want, "| `"+c+"` |")
	}
	for _, o := range operations[:opUnknown] {
		want = append(want, `{"op":"`+o+`"`)
	}
	for _, w := range want {
		if !strings.Contains(doc, w) {
			t.Errorf("docs/websocket.md lacks %q", w)
		}
	}
	if l.QueueBytes != 4<<20 || l.HistoryBytes != 64<<20 || l.SlowTimeout.Seconds() != 10 || l.PingEvery.Seconds() != 30 {
		t.Error("defaults changed: change docs/websocket.md and this test")
	}
}
