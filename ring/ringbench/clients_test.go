package ringbench

import (
	"testing"
	"time"
)

func TestClientRows(t *testing.T) {
	rows, err := ClientRows("../..", 60*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		t.Skip("SKIPPED: no C compiler, so the clients in other languages are not measured here")
	}
	for _, r := range rows {
		t.Logf("%s: %.1f %s, %s %.1f, ratio %.2f", r.Name, r.Value, r.Unit, r.Baseline, r.BaselineValue, r.Ratio)
		if r.Value <= 0 || r.BaselineValue <= 0 || r.Goal == "" {
			t.Errorf("%+v", r)
		}
	}
	if rows, err := ClientRows(t.TempDir(), time.Second); len(rows) != 0 || err != nil {
		t.Errorf("without sources: %v, %v", rows, err)
	}
}
