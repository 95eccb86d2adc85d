package tune

import (
	"fmt"
	"strings"
)

// Markdown is the table of knobs as docs/tuning.md shows it.
func Markdown() string {
	var b strings.Builder
	table := Table()
	for _, g := range Groups() {
		var rows []Knob
		for _, k := range table {
			if k.Group == g {
				rows = append(rows, k)
			}
		}
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "### %s\n\n", g)
		b.WriteString("| knob | wanted: conservative / low-latency / aws-ena | why | risk | source | read back by | lasts | needs |\n|---|---|---|---|---|---|---|---|\n")
		for _, k := range rows {
			fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s | %s | %s | %s | %s |\n", k.Name, pathNote(&k), wantNote(&k),
				cell(k.Why), cell(k.Risk), cell(k.Source), k.ReadBack(), k.Persist, k.Needs)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func pathNote(k *Knob) string {
	note := ""
	if k.Path != "" && k.Path != sysctlPath(k.Name) {
		note = "<br>`" + k.Path + "`"
	}
	if k.PerNetns {
		note += "<br>per network namespace"
	}
	return note
}

func wantNote(k *Knob) string {
	w := k.Want
	if w == (Want{}) {
		if k.check != nil {
			return "a check"
		}
		return "left alone; for profiles of your own"
	}
	rule := [...]string{"", "at least ", "at most ", "bits ", "as wide as "}[k.Rule]
	one := func(v string) string {
		if v == "" {
			return "–"
		}
		return rule + "`" + v + "`"
	}
	if w.Conservative == w.LowLatency && w.LowLatency == w.AWSENA {
		return one(w.Conservative)
	}
	return one(w.Conservative) + " / " + one(w.LowLatency) + " / " + one(w.AWSENA)
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
