package busbench

import (
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	r, err := Run(t.Context(), Config{Rounds: 1, Duration: 50 * time.Millisecond, Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.BaselineValue <= 0 || row.Value <= 0 && row.Unit != "us" {
			t.Errorf("%s: %v beside %v", row.Name, row.Value, row.BaselineValue)
		}
	}
	if len(r.Rows) != 5 {
		t.Errorf("%d rows", len(r.Rows))
	}
	if _, err := Run(t.Context(), Config{Rate: -1}); err == nil {
		t.Error("a rate below 1 is taken")
	}
}
