package recordbench

import "testing"

// TestRun: the benchmark runs and every row has a value.
func TestRun(t *testing.T) {
	r, err := Run(t.Context(), Config{Records: 20000, Rounds: 1, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 8 {
		t.Errorf("%d rows", len(r.Rows))
	}
	for _, row := range r.Rows {
		if row.Value <= 0 && row.Unit != "MB" {
			t.Errorf("%s: %v %s", row.Name, row.Value, row.Unit)
		}
	}
}
