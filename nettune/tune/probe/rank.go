package probe

import (
	"math"
	"slices"
)

// MaxPairs bounds SignedRank's work.
const MaxPairs = 256

// SignedRank is Wilcoxon's signed-rank test of paired differences: the
// probability, if the pairs' order meant nothing, of a sum of positive ranks at
// least as large as this one. Small values say that diffs are positive. Zeros
// are dropped, ties share their middle rank, and the distribution is exact. It
// is 1 without differences. At most MaxPairs of them are looked at.
func SignedRank(diffs []float64) float64 {
	d := make([]float64, 0, len(diffs))
	for _, x := range diffs[:min(len(diffs), MaxPairs)] {
		if x != 0 && !math.IsNaN(x) {
			d = append(d, x)
		}
	}
	if len(d) == 0 {
		return 1
	}
	slices.SortFunc(d, func(a, b float64) int {
		switch {
		case math.Abs(a) < math.Abs(b):
			return -1
		case math.Abs(a) > math.Abs(b):
			return 1
		}
		return 0
	})
	ranks := make([]int, len(d)) // doubled, so that middle ranks are whole
	positive := 0
	for i := 0; i < len(d); {
		j := i
		for j < len(d) && math.Abs(d[j]) == math.Abs(d[i]) {
			j++
		}
		for k := i; k < j; k++ {
			ranks[k] = i + 1 + j // twice the mean of i+1 … j
			if d[k] > 0 {
				positive += ranks[k]
			}
		}
		i = j
	}
	return tail(ranks, positive)
}

// tail is P(sum ≥ atLeast) when each rank counts with probability one half.
func tail(ranks []int, atLeast int) float64 {
	total := 0
	for _, r := range ranks {
		total += r
	}
	prob := make([]float64, total+1)
	prob[0] = 1
	top := 0
	for _, r := range ranks {
		top += r
		for s := top; s >= 0; s-- {
			p := prob[s] / 2
			if s >= r {
				p += prob[s-r] / 2
			}
			prob[s] = p
		}
	}
	sum := 0.0
	for s := atLeast; s <= total; s++ {
		sum += prob[s]
	}
	return min(sum, 1)
}
