package ring

// fifo is a queue of topics that holds each at most once, so it never grows
// beyond the number of topics and never allocates after grow.
type fifo struct {
	buf     []TopicID
	in      []bool // by topic: waits in buf
	head, n int
}

// grow makes space for topics 0 … n-1.
func (f *fifo) grow(n int) {
	if n <= len(f.in) {
		return
	}
	if n > len(f.buf) {
		buf := make([]TopicID, max(n, 2*len(f.buf)))
		for i := range f.n {
			buf[i] = f.buf[(f.head+i)%len(f.buf)]
		}
		f.buf, f.head = buf, 0
	}
	f.in = append(f.in, make([]bool, n-len(f.in))...)
}

func (f *fifo) push(t TopicID) {
	if f.in[t] {
		return
	}
	f.in[t] = true
	f.buf[(f.head+f.n)%len(f.buf)] = t
	f.n++
}

// first returns the oldest entry, which must exist.
func (f *fifo) first() TopicID { return f.buf[f.head] }

func (f *fifo) pop() {
	f.in[f.buf[f.head]] = false
	f.head = (f.head + 1) % len(f.buf)
	f.n--
}

func (f *fifo) clear() {
	clear(f.in)
	f.head, f.n = 0, 0
}

// remove takes an entry out wherever it waits; for the control path.
func (f *fifo) remove(t TopicID) {
	if !f.in[t] {
		return
	}
	kept := 0
	for i := range f.n {
		if e := f.buf[(f.head+i)%len(f.buf)]; e != t {
			f.buf[(f.head+kept)%len(f.buf)] = e
			kept++
		}
	}
	f.n, f.in[t] = kept, false
}
