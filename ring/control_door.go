package ring

import (
	"fmt"
	"sync"
)

// Limits of who comes to the control socket. A connection is mute until its first
// request is there, and has answerWithin for it; then it holds a place, as long
// as its lease or command lasts.
const (
	maxMute     = 1024
	maxMuteEach = 64  // of one user
	maxEach     = 128 // places of one user who is not trusted
	spareLeases = 32  // places that only trusted users get
)

// door counts connections by user, so that nobody keeps the others out. Any
// goroutine.
type door struct {
	mu           sync.Mutex
	mute, places map[uint32]int
	nMute, nIn   int
}

func newDoor() *door { return &door{mute: map[uint32]int{}, places: map[uint32]int{}} }

// knock admits a mute connection.
func (d *door) knock(uid uint32, trusted bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mute[uid] >= maxMuteEach || !trusted && d.nMute >= maxMute {
		return fmt.Errorf("%d connections of user %d, %d in all, have not asked for anything yet", d.mute[uid], uid, d.nMute)
	}
	d.mute[uid]++
	d.nMute++
	return nil
}

// speak ends the mute part of a connection.
func (d *door) speak(uid uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nMute--
	less(d.mute, uid)
}

// enter takes a place for one that has spoken; leave gives it back.
func (d *door) enter(uid uint32, trusted bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.nIn >= maxLeases, !trusted && d.nIn >= maxLeases-spareLeases:
		return fmt.Errorf("%d leases are out", d.nIn)
	case !trusted && d.places[uid] >= maxEach:
		return fmt.Errorf("user %d has %d leases out", uid, d.places[uid])
	}
	d.places[uid]++
	d.nIn++
	return nil
}

func (d *door) leave(uid uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nIn--
	less(d.places, uid)
}

// less takes one off and forgets who has none.
func less(m map[uint32]int, uid uint32) {
	if m[uid]--; m[uid] <= 0 {
		delete(m, uid)
	}
}
