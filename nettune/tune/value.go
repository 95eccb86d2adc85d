package tune

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Format is how a knob's text is read, compared and checked.
type Format uint8

// Formats.
const (
	Int    Format = iota // one integer, possibly negative
	Ints                 // integers with blanks between them
	Choice               // one word; files that list "a [b] c" mean b
	OnOff                // "on" or "off"
	Mask                 // CPU mask in hex words with commas, as sysfs prints it
	List                 // CPU list, "0-3,8"
)

func (f Format) readBack() string {
	return [...]string{"as a number", "as numbers", "the word in brackets or the only one",
		"on or off", "as a CPU mask", "as a CPU list"}[f]
}

// normalize brings text as a file or driver gives it into the one form that
// values are compared and journalled in.
func (f Format) normalize(text string) (string, error) {
	if len(text) > 1<<16 {
		return "", fmt.Errorf("a value of %d bytes", len(text))
	}
	fields := strings.Fields(text)
	switch f {
	case Int, Ints:
		return normalizeInts(fields, f == Int)
	case Choice:
		return normalizeChoice(fields)
	case OnOff:
		if len(fields) > 0 && (fields[0] == "on" || fields[0] == "off") {
			return fields[0], nil
		}
		return "", fmt.Errorf("%q is neither on nor off", clip(text))
	case Mask:
		cpus, err := parseMask(strings.TrimSpace(text))
		if err != nil {
			return "", err
		}
		return formatMask(cpus), nil
	default:
		cpus, err := parseCPUList(strings.TrimSpace(text))
		if err != nil {
			return "", err
		}
		return formatCPUList(cpus), nil
	}
}

func normalizeInts(fields []string, one bool) (string, error) {
	if len(fields) == 0 || one && len(fields) != 1 || len(fields) > 16 {
		return "", fmt.Errorf("%q is not %s", clip(strings.Join(fields, " ")), map[bool]string{true: "one number", false: "numbers"}[one])
	}
	out := make([]string, len(fields))
	for i, w := range fields {
		n, err := parseNumber(w)
		if err != nil {
			return "", err
		}
		out[i] = n
	}
	return strings.Join(out, " "), nil
}

// parseNumber accepts the range of both int64 and uint64 and returns the
// canonical decimal text.
func parseNumber(w string) (string, error) {
	if n, err := strconv.ParseInt(w, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), nil
	}
	n, err := strconv.ParseUint(w, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%q is no whole number", clip(w))
	}
	return strconv.FormatUint(n, 10), nil
}

func normalizeChoice(fields []string) (string, error) {
	for _, w := range fields {
		if len(w) > 2 && w[0] == '[' && w[len(w)-1] == ']' {
			return w[1 : len(w)-1], nil
		}
	}
	if len(fields) != 1 {
		return "", fmt.Errorf("%q is not one word", clip(strings.Join(fields, " ")))
	}
	return fields[0], nil
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// aim is the value to write so that have becomes as wanted under the rule; it
// equals have when nothing needs writing. Both are normalized.
func (k *Knob) aim(have, want string) (string, error) {
	if k.Rule == Exact || k.Format != Int && k.Format != Ints {
		return want, nil
	}
	h, w := strings.Fields(have), strings.Fields(want)
	if len(h) != len(w) {
		return "", fmt.Errorf("tune: %s holds %d numbers, %d are wanted", k.Name, len(h), len(w))
	}
	out := slices.Clone(w)
	for i := range w {
		a, errA := strconv.ParseInt(h[i], 10, 64)
		b, errB := strconv.ParseInt(w[i], 10, 64)
		if errA != nil || errB != nil { // beyond int64: larger than any wanted value
			if k.Rule == AtLeast && errA != nil {
				out[i] = h[i]
			}
			continue
		}
		switch k.Rule {
		case AtLeast:
			b = max(a, b)
		case AtMost:
			b = min(a, b)
		case Bits:
			b |= a
		case Widen:
			if i == 0 {
				b = min(a, b)
			} else {
				b = max(a, b)
			}
		}
		out[i] = strconv.FormatInt(b, 10)
	}
	return strings.Join(out, " "), nil
}

// maxCPUs bounds CPU numbers in masks and lists; Linux has CONFIG_NR_CPUS ≤ 8192.
const maxCPUs = 8192

// parseCPUList reads "0-3,8,10-11"; an empty text is the empty list. Strides
// ("0-31:1/2") are read too, as bitmap lists allow them.
func parseCPUList(s string) ([]int, error) {
	if s == "" {
		return nil, nil
	}
	seen := map[int]bool{}
	for part := range strings.SplitSeq(s, ",") {
		span, stride, strided := strings.Cut(part, ":")
		used, group := 1, 1
		if strided {
			u, g, ok := strings.Cut(stride, "/")
			var errU, errG error
			used, errU = strconv.Atoi(u)
			group, errG = strconv.Atoi(g)
			if !ok || errU != nil || errG != nil || used < 1 || group < used || group > maxCPUs {
				return nil, fmt.Errorf("CPU list %q: bad stride", clip(s))
			}
		}
		lo, hi, isSpan := strings.Cut(span, "-")
		if !isSpan {
			hi = lo
		}
		a, errA := strconv.Atoi(lo)
		b, errB := strconv.Atoi(hi)
		if errA != nil || errB != nil || a < 0 || b < a || b >= maxCPUs {
			return nil, fmt.Errorf("CPU list %q: bad range %q", clip(s), clip(span))
		}
		for c := a; c <= b; c++ {
			if (c-a)%group < used {
				seen[c] = true
			}
		}
	}
	return sortedKeys(seen), nil
}

func sortedKeys(m map[int]bool) []int {
	out := make([]int, 0, len(m))
	for c := range m {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

// formatCPUList writes cpus, ascending, as a list with ranges.
func formatCPUList(cpus []int) string {
	var b strings.Builder
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(cpus[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(cpus[j]))
		}
		i = j + 1
	}
	return b.String()
}

// parseMask reads "ff" or "00000000,0000000f": hex words of 32 bits, highest
// first.
func parseMask(s string) ([]int, error) {
	words := strings.Split(s, ",")
	if s == "" || len(words) > maxCPUs/32 {
		return nil, fmt.Errorf("CPU mask %q: no hex words", clip(s))
	}
	var cpus []int
	for i := range words {
		w := words[len(words)-1-i]
		v, err := strconv.ParseUint(w, 16, 32)
		if err != nil {
			return nil, fmt.Errorf("CPU mask %q: %q is no 32-bit hex word", clip(s), clip(w))
		}
		for b := range 32 {
			if v&(1<<b) != 0 {
				cpus = append(cpus, 32*i+b)
			}
		}
	}
	return cpus, nil
}

// formatMask writes cpus as a mask without leading zero words or digits; the
// kernel takes that for masks of any width.
func formatMask(cpus []int) string {
	if len(cpus) == 0 {
		return "0"
	}
	words := make([]uint32, slices.Max(cpus)/32+1)
	for _, c := range cpus {
		words[c/32] |= 1 << (c % 32)
	}
	var b strings.Builder
	for i := len(words) - 1; i >= 0; i-- {
		if b.Len() == 0 {
			fmt.Fprintf(&b, "%x", words[i])
		} else {
			fmt.Fprintf(&b, ",%08x", words[i])
		}
	}
	return b.String()
}
