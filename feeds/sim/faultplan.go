package sim

import (
	"math/rand/v2"
)

// faultPlan says at which market events faults happen. Each kind draws from a
// generator of its own, so that adding one does not move the others.
type faultPlan struct {
	kinds []plannedFault
}

type plannedFault struct {
	fault Fault
	mean  int
	left  int // market events until the next
	rng   *rand.Rand
}

// newFaultPlan lays out the plan of f, in the order of the faults' numbers.
func newFaultPlan(f Faults) *faultPlan {
	p := &faultPlan{}
	for _, k := range AllFaults() {
		mean, ok := f.Every[k]
		if !ok {
			continue
		}
		pf := plannedFault{fault: k, mean: mean, rng: rand.New(rand.NewPCG(f.Seed, uint64(k)))}
		pf.draw()
		p.kinds = append(p.kinds, pf)
	}
	return p
}

// draw sets the distance to the next fault: 1 … 2·mean − 1, so mean on average.
func (p *plannedFault) draw() { p.left = 1 + p.rng.IntN(2*p.mean-1) }

// next counts one market event and calls do for each fault that is due, with a
// number that chooses the connection.
func (p *faultPlan) next(do func(f Fault, choice uint64)) {
	for i := range p.kinds {
		k := &p.kinds[i]
		if k.left--; k.left > 0 {
			continue
		}
		do(k.fault, k.rng.Uint64())
		k.draw()
	}
}
