package ring

import "fmt"

// The producer's registers.
const (
	pGen   = iota // attach gen answered, 0: nobody reads
	pNext         // position of the next record
	pTail         // tail as last read
	pSeq          // the topic's number
	pMode         // a wmMode
	pFirst        // first number lost
	pRec          // the record being written
	pThen         // pc after the commit
)

const (
	wmUnstarted = iota
	wmLive
	wmSuppressed
)

// The producer's program counter: turn, then publish, and again.
const (
	pTurn uint8 = iota
	pStartPos
	pStartGen
	pResume
	pPublish
	pRoom
	pWord0
	pWord1
	pHead
	pSleeper
	pWake
)

// produce makes the producer's next memory access; see writer, Producer.turn
// and Producer.event for what it is a model of.
func (w *wm) produce(events uint8, fl *flaws) (ok bool, wrong string) {
	s := &w.p
	if s.dead {
		return false, ""
	}
	r := &s.reg
	switch s.pc { // pStartGen is followed by pResume
	case pTurn:
		if s.pendingSC() {
			return false, ""
		}
		if g := w.load(s, atAttachGen); g != r[pGen] {
			r[pGen], r[pMode], s.pc = g, wmUnstarted, pStartPos
		} else {
			s.pc = pResume
		}
	case pStartPos, pStartGen:
		place, value := uint8(atStartPos), r[pNext]
		if (s.pc == pStartGen) != fl.genFirst {
			place, value = atStartGen, r[pGen]
		}
		if !s.push(place, value, seqCst) {
			return false, ""
		}
		s.pc++
	case pWake:
		if s.n > 0 {
			return false, ""
		}
		w.mem[atSleeper], w.asleep, s.pc = 0, false, r[pThen]
	case pResume:
		return w.resume()
	case pPublish, pRoom:
		return w.publish(events, fl)
	case pWord0, pWord1:
		if !s.push(atSlots+2*(r[pNext]%wmCap)+s.pc-pWord0, r[pRec], plain) {
			return false, ""
		}
		s.pc++
	case pHead:
		order := seqCst
		if fl.plainHead {
			order = plain
		}
		if !s.push(atHead, r[pNext]+1, order) {
			return false, ""
		}
		r[pNext]++
		s.pc = pSleeper
	case pSleeper:
		if s.pendingSC() {
			return false, ""
		}
		if s.pc = r[pThen]; w.load(s, atSleeper) != 0 {
			s.pc = pWake
		}
	}
	return true, ""
}

// resume starts or resumes the topic if half the ring is free.
func (w *wm) resume() (bool, string) {
	s, r := &w.p, &w.p.reg
	s.pc = pPublish
	if r[pGen] == 0 || r[pMode] == wmLive {
		return true, ""
	}
	if s.pendingSC() {
		return false, ""
	}
	r[pTail] = w.load(s, atTail)
	used := r[pNext] - r[pTail]
	if used > wmCap {
		return false, fmt.Sprintf("the producer sees head %d and tail %d", r[pNext], r[pTail])
	}
	if used > wmCap/2 {
		return true, ""
	}
	r[pRec] = recBeat | r[pSeq]
	if r[pMode] == wmSuppressed {
		r[pRec] = recGap | r[pFirst]<<3 | r[pSeq]
	}
	r[pMode], r[pFirst], r[pThen], s.pc = wmLive, 0, pPublish, pWord0
	return true, ""
}

// publish writes the next event, or drops it.
func (w *wm) publish(events uint8, fl *flaws) (bool, string) {
	s, r := &w.p, &w.p.reg
	if s.pc == pRoom {
		if s.pendingSC() {
			return false, ""
		}
		r[pTail] = w.load(s, atTail)
		if used := r[pNext] - r[pTail]; used > wmCap {
			return false, fmt.Sprintf("the producer sees head %d and tail %d", r[pNext], r[pTail])
		} else if used == wmCap && !fl.blindRoom {
			r[pMode], r[pFirst], s.pc = wmSuppressed, r[pSeq], pTurn
			if fl.forgetGap {
				r[pMode], r[pFirst] = wmLive, 0
			}
			return true, ""
		}
		s.pc = pWord0
		return true, ""
	}
	s.pc = pTurn
	if r[pSeq] == events {
		return true, ""
	}
	r[pSeq]++
	if r[pGen] == 0 || r[pMode] != wmLive {
		return true, ""
	}
	r[pRec], r[pThen] = recEvent|r[pSeq], pTurn
	if s.pc = pWord0; r[pNext]-r[pTail] >= wmCap {
		s.pc = pRoom
	}
	return true, ""
}

// The consumer's registers.
const (
	cTail  = iota
	cHead  // head as last read
	cGen   // its attach gen
	cBegun // 1: the session began
	cTold  // 1: the heartbeat came
	cSeen  // last number read or lost
	cWord0
	cLook // what the second look at head is compared with
)

const (
	cOpen uint8 = iota
	cOpenTail
	cOpenGen
	cBegin
	cBeginPos
	cRefresh
	cRead0
	cRead1
	cFree
	cSleep
	cSleepHead
	cSleepGen
	cFutex
	cAsleep
	cAwake
	cGone
)

// consume makes the consumer's next memory access; see Consumer.
func (w *wm) consume(fl *flaws) (ok bool, wrong string) {
	s := &w.c
	r := &s.reg
	if s.dead {
		if s.n > 0 || w.p.dead {
			return false, ""
		}
		*s = wmSide{} // its lock is released: the next one opens the ring
		return true, ""
	}
	switch s.pc {
	case cOpen:
		r[cTail] = w.load(s, atHead)
		r[cHead] = r[cTail]
		s.pc = cOpenTail
	case cOpenTail:
		if !s.push(atTail, r[cTail], seqCst) {
			return false, ""
		}
		s.pc = cOpenGen
	case cOpenGen:
		if s.n > 0 {
			return false, ""
		}
		w.mem[atAttachGen]++
		r[cGen], s.pc = w.mem[atAttachGen], cBegin
	case cBegin:
		if s.pendingSC() {
			return false, ""
		}
		if s.pc = cSleep; w.load(s, atStartGen) == r[cGen] {
			s.pc = cBeginPos
		}
	case cBeginPos:
		pos := w.load(s, atStartPos)
		if pos-r[cTail] > wmCap {
			return false, fmt.Sprintf("the session starts at %d, tail is %d", pos, r[cTail])
		}
		if !s.push(atTail, pos, release) {
			return false, ""
		}
		r[cTail], r[cHead], r[cBegun], s.pc = pos, pos, 1, cRefresh
	case cRefresh:
		if s.pendingSC() {
			return false, ""
		}
		r[cHead] = w.load(s, atHead)
		if r[cHead]-r[cTail] > wmCap {
			return false, fmt.Sprintf("the consumer sees head %d and tail %d", r[cHead], r[cTail])
		}
		if s.pc = cSleep; r[cHead] != r[cTail] {
			s.pc = cRead0
			if fl.tailFirst {
				s.pc = cFree
			}
		}
	default:
		if s.pc >= cSleep {
			return w.sleep(fl)
		}
		return w.read(fl)
	}
	return true, ""
}

func (w *wm) read(fl *flaws) (bool, string) {
	s, r := &w.c, &w.c.reg
	switch s.pc {
	case cRead0:
		pos := r[cTail]
		if fl.tailFirst {
			pos--
		}
		r[cWord0] = w.load(s, atSlots+2*(pos%wmCap))
		s.pc = cRead1
	case cRead1:
		pos := r[cTail]
		if s.pc = cFree; fl.tailFirst {
			s.pc = cBegin
			pos--
		}
		word := w.load(s, atSlots+2*(pos%wmCap)+1)
		if word != r[cWord0] {
			return false, fmt.Sprintf("torn record at %d: %#x and %#x", pos, r[cWord0], word)
		}
		if s.pc == cBegin {
			s.pc = cRefresh
		}
		r[cWord0] = 0
		return true, w.judge(word)
	case cFree:
		if !s.push(atTail, r[cTail]+1, release) {
			return false, ""
		}
		r[cTail]++
		if s.pc = cRefresh; fl.tailFirst {
			s.pc = cRead0
		}
	}
	return true, ""
}

// judge holds a record to the promises: the session begins with a heartbeat,
// and then every number comes in order or is named by a gap.
func (w *wm) judge(word uint8) string {
	r := &w.c.reg
	first, last := word>>3&7, word&7
	switch {
	case word>>6 == recBeat>>6:
		if r[cTold] != 0 && word&63 != r[cSeen] {
			return fmt.Sprintf("heartbeat at %d after number %d", word&63, r[cSeen])
		}
		r[cTold], r[cSeen] = 1, word&63
	case r[cTold] == 0:
		return fmt.Sprintf("record %#x before the session's heartbeat", word)
	case word>>6 == recEvent>>6:
		if word&63 != r[cSeen]+1 {
			return fmt.Sprintf("number %d after %d", word&63, r[cSeen])
		}
		r[cSeen]++
	case word>>6 == recGap>>6:
		if first != r[cSeen]+1 || last < first {
			return fmt.Sprintf("gap %d … %d after %d", first, last, r[cSeen])
		}
		r[cSeen] = last
	default:
		return fmt.Sprintf("record %#x was never written", word)
	}
	return ""
}

// sleep is Consumer.sleep; futex_wait compares and sleeps at once. There are no
// timeouts here except for asking whether the producer died.
func (w *wm) sleep(fl *flaws) (bool, string) {
	s, r := &w.c, &w.c.reg
	awake := uint8(cBegin)
	if r[cBegun] != 0 {
		awake = cRefresh
	}
	switch s.pc {
	case cSleep:
		order := seqCst
		if fl.weakSleeper {
			order = release
		}
		if !s.push(atSleeper, 1, order) {
			return false, ""
		}
		if s.pc = cSleepHead; fl.noRecheck {
			s.pc = cFutex
		}
	case cSleepHead:
		if s.pendingSC() {
			return false, ""
		}
		if s.pc = cSleepGen; w.load(s, atHead) != r[cHead] {
			s.pc = cAwake
		}
	case cSleepGen:
		if s.pc = cFutex; r[cBegun] == 0 && w.load(s, atStartGen) == r[cGen] {
			s.pc = cAwake
		}
	case cFutex:
		if s.n > 0 && !fl.weakSleeper && !fl.noRecheck {
			return false, ""
		}
		if s.pc = cAwake; w.load(s, atSleeper) == 1 {
			s.pc, w.asleep = cAsleep, true
		}
	case cAsleep:
		dead := w.p.dead && w.p.n == 0
		if w.asleep && !dead {
			return false, ""
		}
		w.asleep = false
		if s.pc = cAwake; dead && (r[cBegun] == 0 || w.mem[atHead] == r[cTail]) {
			s.pc = cGone
		}
	case cAwake:
		if !s.push(atSleeper, 0, release) {
			return false, ""
		}
		s.pc = awake
	case cGone:
		return false, ""
	}
	return true, ""
}

func (w *wm) crashProducer() (bool, string) {
	if w.crashes[0] == 0 || w.p.dead {
		return false, ""
	}
	w.crashes[0]--
	w.p = wmSide{dead: true, n: w.p.n, buf: w.p.buf, reg: [9]uint8{pNext: w.p.reg[pNext]}}
	return true, ""
}

func (w *wm) crashConsumer() (bool, string) {
	if w.crashes[1] == 0 || w.c.dead {
		return false, ""
	}
	w.crashes[1]--
	w.c = wmSide{dead: true, n: w.c.n, buf: w.c.buf}
	w.asleep = false
	return true, ""
}

// canMove reports whether anything but a producer's empty turn can happen.
func (w *wm) canMove(events uint8, fl *flaws) bool {
	n := *w
	if ok, _ := n.consume(fl); ok && n != *w {
		return true
	}
	n = *w
	for range 3 { // an empty turn: look at attach gen, resume, publish
		if ok, wrong := n.produce(events, fl); !ok || wrong != "" {
			break
		}
	}
	return n != *w
}

// atRest judges a state in which nothing happens any more by itself: a consumer
// that sleeps must have read everything.
func (w *wm) atRest(events uint8, moves bool) string {
	if moves || w.c.dead || w.p.n > 0 || w.c.n > 0 {
		return ""
	}
	if w.c.pc == cAsleep && w.asleep && !w.p.dead && (w.mem[atHead] != w.c.reg[cTail] || w.c.reg[cSeen] != events) {
		return fmt.Sprintf("the consumer sleeps at %d, number %d; head is %d, number %d: a lost wake", w.c.reg[cTail], w.c.reg[cSeen], w.mem[atHead], events)
	}
	return ""
}
