package jsonscan

// Pair reads the first two elements of the array at i, both decimals as Number
// reads them, and returns the index behind the second, where the array goes on
// or ends: a price level.
func Pair(b []byte, i int) (p, s int64, pe, se int8, next int) {
	if uint(i) >= uint(len(b)) || b[i] != '[' {
		return 0, 0, 0, 0, Bad
	}
	if p, pe, i = Number(b, Space(b, i+1)); i < 0 {
		return 0, 0, 0, 0, i
	}
	i, more := Next(b, i, '[')
	if !more {
		return 0, 0, 0, 0, Bad
	}
	s, se, i = Number(b, i)
	return p, s, pe, se, i
}
