package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// The first bytes of a time with zeros for its digits, eight at a time, and where
// they are no digits.
const (
	isoDate, isoDateMarks     = uint64('-')<<56 | '0'<<48 | '0'<<40 | uint64('-')<<32 | '0'<<24 | '0'<<16 | '0'<<8 | '0', 0xFF0000FF00000000
	isoHour, isoHourMarks     = uint64('0')<<56 | '0'<<48 | uint64(':')<<40 | '0'<<32 | '0'<<24 | 'T'<<16 | '0'<<8 | '0', 0x0000FF0000FF0000
	isoSecond, isoSecondMarks = uint32('.')<<24 | '0'<<16 | '0'<<8 | ':', 0xFF0000FF
)

// isoRoom is how many bytes the fast path of ISOTime looks at: a quote, the time
// up to the point, eight decimals or what follows fewer.
const isoRoom = 1 + 20 + 8

// ISOTime reads the UTC time at i as RFC 3339 (section 5.6) writes it, in a
// string with at most nine decimals of the second, as ns since 1970. Times before
// 1970, which venues send where they have none, are 0.
func ISOTime(b []byte, i int) (ns int64, next int) {
	if i < 0 || len(b)-i < isoRoom {
		return isoTimeSlow(b, i)
	}
	t, from := b[i:i+isoRoom], i
	x := binary.LittleEndian.Uint64(t[1:]) ^ isoDate
	y := binary.LittleEndian.Uint64(t[9:]) ^ isoHour
	z := uint64(binary.LittleEndian.Uint32(t[17:]) ^ isoSecond)
	if t[0] != '"' || nonDigits(x)|nonDigits(y)|nonDigits(z)|x&isoDateMarks|y&isoHourMarks|z&isoSecondMarks != 0 {
		return isoTimeSlow(b, i)
	}
	// Of these each byte is ten times a digit plus the next one.
	x, y, z = x*10+x>>8, y*10+y>>8, z*10+z>>8
	year, month, day := int64(x&0xFF*100+x>>16&0xFF), int64(x>>40&0xFF), int64(y&0xFF)
	hour, minute, second := int64(y>>24&0xFF), int64(y>>48&0xFF), int64(z>>8&0xFF)
	if uint64(month-1) > 11 || uint64(day-1) > 30 || hour > 23 || minute > 59 || second > 60 || uint64(year-1970) > 2261-1970 {
		return isoTimeSlow(b, i)
	}
	f := binary.LittleEndian.Uint64(t[21:]) ^ zeros
	n := bits.TrailingZeros64(nonDigits(f)) >> 3
	frac := eight(f<<((64-8*n)&63)) * tens[(9-n)&15]
	i += 21 + n
	if n == 8 && i < len(b) && b[i]-'0' <= 9 {
		frac += uint64(b[i] - '0')
		i++
	}
	if n == 0 || len(b)-i < 2 || b[i] != 'Z' || b[i+1] != '"' {
		return isoTimeSlow(b, from)
	}
	return (((days(year, month, day)*24+hour)*60+minute)*60+second)*1e9 + int64(frac), i + 2
}

// isoTimeSlow is ISOTime for a time of any form.
func isoTimeSlow(b []byte, i int) (ns int64, next int) {
	const least = len(`"2006-01-02T15:04:05Z"`)
	if i < 0 || len(b)-i < least || b[i] != '"' {
		return 0, Bad
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
		return 0, Bad
	}
	at, frac := 19, int64(0)
	if t[at] == '.' {
		at++
		scale := int64(1e9)
		for ; at < len(t) && t[at]-'0' <= 9; at++ {
			if scale /= 10; scale == 0 {
				return 0, Bad
			}
			frac += int64(t[at]-'0') * scale
		}
		if scale == 1e9 {
			return 0, Bad
		}
	}
	if at < len(t) && t[at] == 'Z' {
		at++
	} else if at = Literal(t, at, "+00:00"); at < 0 {
		return 0, Bad
	}
	if at >= len(t) || t[at] != '"' {
		return 0, Bad
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
