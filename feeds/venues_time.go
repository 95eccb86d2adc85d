package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// maxSeconds is the year 2261, beyond which ns do not fit.
const maxSeconds = 9_200_000_000

// seconds reads the time at i in seconds since 1970, a decimal in a string or
// bare, as ns; decimals beyond the ninth are Range.
func seconds(b []byte, i int) (ns int64, next int) {
	if v, n := jsonscan.Uint(b, i); n >= 0 && v <= maxSeconds && uint(n) < uint(len(b)) && b[n] == ',' {
		return int64(v) * 1e9, n
	}
	m, e, i := jsonscan.Number(b, i)
	if i < 0 {
		return 0, i
	}
	ns, ok := md.Rescale(m, e, -9)
	if !ok || ns < 0 {
		return 0, jsonscan.Range
	}
	return ns, i
}
