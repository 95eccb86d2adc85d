package ringbench

import "io"

// Row is one figure of a benchmark with its baseline, measured in the same run.
type Row struct {
	Name          string  `json:"name"`
	Value         float64 `json:"value"`
	Unit          string  `json:"unit"`
	P50           float64 `json:"p50"`
	P99           float64 `json:"p99"`
	P999          float64 `json:"p999"`
	Baseline      string  `json:"baseline"`
	BaselineValue float64 `json:"baseline_value"`
	Ratio         float64 `json:"ratio"`
	Goal          string  `json:"goal"`
	Met           bool    `json:"met"`
}

// Report is the outcome of one benchmark command.
type Report struct {
	Bench    string            `json:"bench"`
	Hardware map[string]string `json:"hardware"`
	Rows     []Row             `json:"rows"`
}

// WriteText renders the report as a table.
func (r *Report) WriteText(w io.Writer) error { return nil }

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(w io.Writer) error { return nil }

// Hardware describes the machine that a report was measured on.
func Hardware() map[string]string { return nil }
