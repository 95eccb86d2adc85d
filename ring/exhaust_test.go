package ring

import (
	"fmt"
	"strings"
	"testing"
)

// This is the ring's protocol once more, reduced to its memory accesses, for a
// checker that tries every interleaving: see exhaust_steps_test.go. A ring of
// two records carries one topic; each side may die between any two accesses.
//
// Memory is weaker than that of any machine we run on: each side's stores wait
// in a buffer and reach memory in any order, except that two to one place keep
// their order, a release store waits for all stores before it, and a
// sequentially consistent load waits for one's own such stores. A side that
// dies leaves its buffer to drain, and its lock goes after that, as the kernel
// does it.

// Places in memory.
const (
	atHead = iota
	atTail
	atSleeper
	atAttachGen
	atStartGen
	atStartPos
	atSlots   // two words per record
	numPlaces = atSlots + 2*wmCap
)

const (
	wmCap    = 2
	wmBuffer = 8
)

// Orders of a store.
const (
	plain uint8 = iota
	release
	seqCst
)

// Records: kind and numbers in one word, which is written twice.
const (
	recBeat  = 0x40 // | the topic's number
	recEvent = 0x80 // | its number
	recGap   = 0xc0 // | first << 3 | last
)

type wmStore struct{ place, value, order uint8 }

// wmSide is one side's registers; the meaning of the generic ones is its own.
type wmSide struct {
	pc   uint8
	dead bool
	n    uint8 // stores in buf
	buf  [wmBuffer]wmStore
	reg  [9]uint8
}

// wm is a state of the world.
type wm struct {
	mem     [numPlaces]uint8
	p, c    wmSide
	asleep  bool     // the consumer is in futex_wait
	crashes [2]uint8 // still allowed: producer's, consumer's
}

// flaws are ways to get it wrong; the checker must find each.
type flaws struct {
	name                                                                         string
	plainHead, weakSleeper, genFirst, noRecheck, tailFirst, forgetGap, blindRoom bool
}

func (s *wmSide) push(place, value, order uint8) bool {
	if s.n == wmBuffer {
		return false
	}
	s.buf[s.n] = wmStore{place, value, order}
	s.n++
	return true
}

func (w *wm) load(s *wmSide, place uint8) uint8 {
	for i := int(s.n) - 1; i >= 0; i-- {
		if s.buf[i].place == place {
			return s.buf[i].value
		}
	}
	return w.mem[place]
}

// pendingSC reports whether a sequentially consistent load has to wait.
func (s *wmSide) pendingSC() bool {
	for i := range s.n {
		if s.buf[i].order == seqCst {
			return true
		}
	}
	return false
}

// commits calls f with every state in which one more store of a side's buffer
// has reached memory.
func (w *wm) commits(side func(*wm) *wmSide, f func(wm)) {
	s := side(w)
	for i := range s.n {
		e := s.buf[i]
		ok := e.order == plain || i == 0
		for j := range i {
			ok = ok && s.buf[j].place != e.place
		}
		if !ok {
			continue
		}
		next := *w
		t := side(&next)
		copy(t.buf[i:], t.buf[i+1:t.n])
		t.n--
		t.buf[t.n] = wmStore{}
		next.mem[e.place] = e.value
		f(next)
	}
}

func producerSide(w *wm) *wmSide { return &w.p }
func consumerSide(w *wm) *wmSide { return &w.c }

// exploration is a breadth-first search of all states.
type exploration struct {
	index  map[wm]int32
	states []wm
	from   []int32
}

func (x *exploration) add(w wm, from int32) {
	if _, ok := x.index[w]; !ok {
		x.index[w] = int32(len(x.states))
		x.states = append(x.states, w)
		x.from = append(x.from, from)
	}
}

// explore visits every state that can be reached and returns how many, and the
// first thing that went wrong with the way to it.
func explore(events, producerCrashes, consumerCrashes uint8, fl flaws, limit int) (*exploration, error) {
	x := &exploration{index: map[wm]int32{}}
	x.add(wm{crashes: [2]uint8{producerCrashes, consumerCrashes}}, -1)
	for i := int32(0); int(i) < len(x.states); i++ {
		if len(x.states) > limit {
			return x, fmt.Errorf("more than %d states", limit)
		}
		w := x.states[i]
		next := func(n wm) { x.add(n, i) }
		w.commits(producerSide, next)
		w.commits(consumerSide, next)
		for _, step := range []func(*wm) (bool, string){
			func(n *wm) (bool, string) { return n.produce(events, &fl) },
			func(n *wm) (bool, string) { return n.consume(&fl) },
			(*wm).crashProducer, (*wm).crashConsumer,
		} {
			n := w
			ok, wrong := step(&n)
			if wrong != "" {
				return x, x.fail(i, wrong)
			}
			if ok && n != w {
				next(n)
			}
		}
		if wrong := w.atRest(events, w.canMove(events, &fl)); wrong != "" {
			return x, x.fail(i, wrong)
		}
	}
	return x, nil
}

// fail tells the way to state i.
func (x *exploration) fail(i int32, wrong string) error {
	var steps []string
	for k := i; k >= 0; k = x.from[k] {
		w := &x.states[k]
		steps = append(steps, fmt.Sprintf("mem %v  P pc %d reg %v buf %v  C pc %d reg %v buf %v asleep %v", w.mem, w.p.pc, w.p.reg, w.p.buf[:w.p.n], w.c.pc, w.c.reg, w.c.buf[:w.c.n], w.asleep))
	}
	for a, b := 0, len(steps)-1; a < b; a, b = a+1, b-1 {
		steps[a], steps[b] = steps[b], steps[a]
	}
	return fmt.Errorf("%s after %d steps of the shortest way:\n%s", wrong, len(steps), strings.Join(steps, "\n"))
}

// TestExhaustive visits every state of small rings, with every crash point.
func TestExhaustive(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine: nothing to find for the race detector, at thirty times the cost")
	}
	for _, c := range []struct{ events, producer, consumer uint8 }{{7, 0, 0}, {5, 1, 0}, {4, 0, 1}, {3, 1, 1}, {3, 0, 2}} {
		x, err := explore(c.events, c.producer, c.consumer, flaws{}, 4_000_000)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		t.Logf("%d events, crashes of the producer %d, of the consumer %d: %d states, all sound", c.events, c.producer, c.consumer, len(x.states))
	}
}

// TestExhaustiveFindsFlaws: the checker is worth something.
func TestExhaustiveFindsFlaws(t *testing.T) {
	for _, fl := range []flaws{
		{name: "head is stored without release", plainHead: true},
		{name: "the sleeper word is stored with release only", weakSleeper: true},
		{name: "start gen before start pos", genFirst: true},
		{name: "sleeping without a second look at head", noRecheck: true},
		{name: "tail freed before the records are read", tailFirst: true},
		{name: "losses without a gap", forgetGap: true},
		{name: "writing without asking for room", blindRoom: true},
	} {
		x, err := explore(4, 0, 1, fl, 4_000_000)
		if err == nil {
			t.Errorf("%s: not found in %d states", fl.name, len(x.states))
			continue
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		t.Logf("%s: %s", fl.name, first)
	}
}
