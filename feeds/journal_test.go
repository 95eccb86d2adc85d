package feeds

import (
	"testing"

	"tickrelay/feeds/capture"
)

// TestJournalFull: a REST answer whose note does not fit is not held for a recorder that
// will not hear of it.
func TestJournalFull(t *testing.T) {
	j, err := NewJournal(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	l := &loop{journal: j}
	const answers = 20000
	for range answers {
		l.noteREST(capture.RESTNote{URL: "https://rest.test"}, make([]byte, 100), nil)
	}
	lost, _ := j.Lost()
	if lost == 0 || len(j.bodies) != answers-int(lost) || j.held != 100*len(j.bodies) {
		t.Errorf("%d lost, %d answers of %d bytes held", lost, len(j.bodies), j.held)
	}
}
