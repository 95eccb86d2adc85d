package top

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// age is a time span in short: 1.2ms, 340us, 12s, 3m, 5h.
func age(ns int64) string {
	d := time.Duration(ns)
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%s%dns", sign, d.Nanoseconds())
	case d < time.Millisecond:
		return sign + short(float64(d)/1e3) + "us"
	case d < time.Second:
		return sign + short(float64(d)/1e6) + "ms"
	case d < 2*time.Minute:
		return sign + short(d.Seconds()) + "s"
	case d < 2*time.Hour:
		return fmt.Sprintf("%s%.0fm", sign, d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%s%.0fh", sign, d.Hours())
	}
	return fmt.Sprintf("%s%.0fd", sign, d.Hours()/24)
}

// latencyText is age, or a dash where nothing was measured.
func latencyText(ns int64) string {
	if ns == 0 {
		return "-"
	}
	return age(ns)
}

// short gives a number two or three digits.
func short(x float64) string {
	switch {
	case x < 9.95:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
	default:
		return fmt.Sprintf("%.0f", x)
	}
}

// count is a number with a unit of thousands: 950, 1.2k, 34M.
func count(x float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if x >= u.of*0.9995 {
			return short(x/u.of) + u.name
		}
	}
	return short(x)
}

func bytesText(x float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if x >= u.of {
			return short(x/u.of) + u.name
		}
	}
	return short(x) + "B"
}

var bars = []rune("▁▂▃▄▅▆▇█")

// spark draws values as bars, the newest at the right; log makes the scale one of
// orders of magnitude, as latencies want it. Zeros are blank.
func spark(values []float64, width int, log bool) string {
	values = values[max(0, len(values)-width):]
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	var b strings.Builder
	for range width - len(values) {
		b.WriteByte(' ')
	}
	for _, v := range values {
		if v <= 0 {
			b.WriteByte(' ')
			continue
		}
		part := v / high
		if log {
			part = 1
			if high > low {
				part = math.Log(v/low) / math.Log(high/low)
			}
			if high < 2*low { // noise is no mountain range
				part *= math.Log2(high / low)
			}
		}
		b.WriteRune(bars[min(len(bars)-1, int(part*float64(len(bars))))])
	}
	return b.String()
}

// clip cuts or fills s to width columns; right aligns it to the right. Every rune that
// top draws takes one column; others are replaced.
func clip(s string, width int, right bool) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x300 && !strings.ContainsRune("▁▂▃▄▅▆▇█●○–…·▲▼│─", r) {
			return '?'
		}
		return r
	}, s)
	n := utf8.RuneCountInString(s)
	switch {
	case width <= 0:
		return ""
	case n > width:
		return string([]rune(s)[:width-1]) + "…"
	case right:
		return strings.Repeat(" ", width-n) + s
	}
	return s + strings.Repeat(" ", width-n)
}
