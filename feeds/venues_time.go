package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// isoTime reads the UTC time at i as RFC 3339 (section 5.6) writes it, in a
// string with at most nine decimals of the second, as ns since 1970. Times before
// 1970, which venues send where they have none, are 0.
func isoTime(b []byte, i int) (ns int64, next int) {
	const least = len(`"2006-01-02T15:04:05Z"`)
	if i < 0 || len(b)-i < least || b[i] != '"' {
		return 0, jsonscan.Bad
	}
	t := b[i+1:]
	var bad byte // gathers what is no digit
	two := func(at int) int64 {
		x, y := t[at]-'0', t[at+1]-'0'
		if x > 9 || y > 9 {
			bad = 1
		}
		return int64(x)*10 + int64(y)
	}
	year := two(0)*100 + two(2)
	month, day, hour, minute, second := two(5), two(8), two(11), two(14), two(17)
	if bad != 0 || t[4] != '-' || t[7] != '-' || t[10] != 'T' && t[10] != ' ' || t[13] != ':' || t[16] != ':' ||
		uint64(month-1) > 11 || uint64(day-1) > 30 || hour > 23 || minute > 59 || second > 60 || year > 2261 {
		return 0, jsonscan.Bad
	}
	at, frac := 19, int64(0)
	if t[at] == '.' {
		at++
		scale := int64(1e9)
		for ; at < len(t) && t[at]-'0' <= 9; at++ {
			if scale /= 10; scale == 0 {
				return 0, jsonscan.Bad
			}
			frac += int64(t[at]-'0') * scale
		}
		if scale == 1e9 {
			return 0, jsonscan.Bad
		}
	}
	if at < len(t) && t[at] == 'Z' {
		at++
	} else if at = jsonscan.Literal(t, at, "+00:00"); at < 0 {
		return 0, jsonscan.Bad
	}
	if at >= len(t) || t[at] != '"' {
		return 0, jsonscan.Bad
	}
	ns = ((days(year, month, day)*24+hour)*60+minute)*60 + second
	if ns < 0 {
		return 0, i + at + 2
	}
	return ns*1e9 + frac, i + at + 2
}

// days is the number of a day of the Gregorian calendar from 1970-01-01 on. The
// year is taken to begin in March, so that its lengths of months repeat.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 719469
}

// seconds reads the time at i in seconds since 1970, a decimal in a string or
// bare, as ns; decimals beyond the ninth are Range.
func seconds(b []byte, i int) (ns int64, next int) {
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
