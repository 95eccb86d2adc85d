package ringbench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// Row is one figure of a benchmark beside its baseline of the same run.
type Row struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"` // the median where it is a latency
	Unit  string  `json:"unit"`
	// P50, P99 and P999 are percentiles in Unit, 0 where it is a rate.
	P50           float64 `json:"p50"`
	P99           float64 `json:"p99"`
	P999          float64 `json:"p999"`
	Baseline      string  `json:"baseline"` // what it is compared with, "" if nothing
	BaselineValue float64 `json:"baseline_value"`
	Ratio         float64 `json:"ratio"` // Value / BaselineValue
	Goal          string  `json:"goal"`  // of the ratio: "<=1.3", ">=10" or ""
	Met           bool    `json:"met"`   // true without a goal
}

// NewRow fills in the ratio and judges the goal. It panics on a goal that is
// not of the form "<=1.3" or ">=10".
func NewRow(r Row) Row {
	if r.BaselineValue != 0 {
		r.Ratio = r.Value / r.BaselineValue
	}
	r.Met = true
	if r.Goal != "" {
		limit, err := strconv.ParseFloat(r.Goal[min(2, len(r.Goal)):], 64)
		if err != nil {
			panic("ringbench: goal " + r.Goal)
		}
		switch r.Goal[:2] {
		case "<=":
			r.Met = r.Ratio <= limit
		case ">=":
			r.Met = r.Ratio >= limit
		default:
			panic("ringbench: goal " + r.Goal)
		}
	}
	return r
}

// Report is the outcome of one benchmark command.
type Report struct {
	Bench    string            `json:"bench"`
	Hardware map[string]string `json:"hardware"`
	Rows     []Row             `json:"rows"`
}

// WriteJSON writes the report as one line of JSON.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteText writes the report as a table for people.
func (r *Report) WriteText(w io.Writer) error {
	h := r.Hardware
	if _, err := fmt.Fprintf(w, "%s on %s, %s cores, Linux %s, %s, governor %s\n\n",
		r.Bench, h["cpu"], h["cores"], h["kernel"], h["go"], h["governor"]); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tVALUE\tP99\tP99.9\tUNIT\tBASELINE\tITS VALUE\tRATIO\tGOAL\tMET")
	for _, row := range r.Rows {
		met := "no"
		switch {
		case row.Goal == "":
			met = "-"
		case row.Met:
			met = "yes"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, figure(row.Value), figure(row.P99), figure(row.P999), row.Unit,
			dash(row.Baseline), figure(row.BaselineValue), figure(row.Ratio), dash(row.Goal), met)
	}
	return tw.Flush()
}

// figure prints a number with three digits that matter, "-" for none.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case v == 0:
		return "-"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Hardware describes the machine, as far as it lets itself be described: cpu,
// cores, threads (GOMAXPROCS), kernel, governor, go, arch.
func Hardware() map[string]string {
	h := map[string]string{
		"cpu": "unknown", "cores": strconv.Itoa(runtime.NumCPU()), "threads": strconv.Itoa(runtime.GOMAXPROCS(0)),
		"go": runtime.Version(), "arch": runtime.GOARCH, "kernel": "unknown", "governor": "unknown",
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				h["cpu"] = strings.TrimSpace(v)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h["kernel"] = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"); err == nil {
		h["governor"] = strings.TrimSpace(string(b))
	}
	return h
}
