package decodebench

import (
	"bytes"
	"fmt"
	"time"

	"github.com/valyala/fastjson"
)

// iso writes a time as RFC 3339 with microseconds.
func (g *generator) iso(ms uint64) string {
	return time.UnixMicro(int64(ms*1000 + g.r.Uint64N(1000))).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// eight is a size that keeps its zeros: eight decimals.
func (g *generator) eight() string {
	return fmt.Sprintf("%d.%08d", g.r.IntN(1<<g.r.IntN(8)), 1+g.r.IntN(1e8-1))
}

// iso reads a time in UTC that is written out. It is faster than time.Parse, and
// reads one that is the same as the last not again.
func (f *fast) iso(v *fastjson.Value) (ns int64) {
	t := v.GetStringBytes()
	if len(f.isoText) > 0 && bytes.Equal(t, f.isoText) {
		return f.isoTime
	}
	if len(t) < len("2006-01-02T15:04:05Z") || t[len(t)-1] != 'Z' {
		f.bad = true
		return 0
	}
	at := func(from, to int) int { return int(digits(t[from:to])) }
	frac := 0
	for k := range 9 {
		frac *= 10
		if k+20 < len(t)-1 {
			frac += int(t[k+20] - '0')
		}
	}
	f.isoTime = time.Date(at(0, 4), time.Month(at(5, 7)), at(8, 10), at(11, 13), at(14, 16), at(17, 19), frac, time.UTC).UnixNano()
	f.isoText = append(f.isoText[:0], t...)
	return f.isoTime
}
