package soak

import (
	"math"
	"slices"
)

// trend is a line through a series by least squares.
type trend struct {
	slope float64 // per s
	err   float64 // its standard error
	mean  float64
	n     int
}

// fit regresses over means of blocks: neighbouring readings of a heap that is
// collected now and then are not independent, which would make the error too small.
func fit(xs, ys []float64, blocks int) trend {
	if len(xs) < 2*blocks {
		return trend{}
	}
	var bx, by []float64
	for b := range blocks {
		lo, hi := b*len(xs)/blocks, (b+1)*len(xs)/blocks
		bx, by = append(bx, average(xs[lo:hi])), append(by, average(ys[lo:hi]))
	}
	mx, my := average(bx), average(by)
	var sxx, sxy float64
	for i := range bx {
		sxx += (bx[i] - mx) * (bx[i] - mx)
		sxy += (bx[i] - mx) * (by[i] - my)
	}
	if sxx == 0 {
		return trend{}
	}
	t := trend{slope: sxy / sxx, mean: my, n: len(xs)}
	var rest float64
	for i := range bx {
		d := by[i] - my - t.slope*(bx[i]-mx)
		rest += d * d
	}
	t.err = math.Sqrt(rest / float64(blocks-2) / sxx)
	return t
}

func average(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// growth is by how much the median of a series' last third is above that of its
// first.
func growth(v []float64) float64 {
	n := max(1, len(v)/3)
	if len(v) < 2 {
		return 0
	}
	return median(v[len(v)-n:]) - median(v[:n])
}
