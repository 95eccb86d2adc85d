package ring

import "testing"

// TestFifoGrowsWithTopics: topics come one by one; the queue must stay in
// proportion to their number and keep its order.
func TestFifoGrowsWithTopics(t *testing.T) {
	var f fifo
	for n := 1; n <= 3000; n++ {
		f.grow(n)
		f.push(TopicID(n - 1))
		if n%3 == 0 {
			f.pop()
		}
		if len(f.buf) > 2*n {
			t.Fatalf("%d topics, room for %d", n, len(f.buf))
		}
	}
	for want := TopicID(1000); f.n > 0; want++ {
		if f.first() != want {
			t.Fatalf("%d comes first, want %d", f.first(), want)
		}
		f.pop()
	}
}
