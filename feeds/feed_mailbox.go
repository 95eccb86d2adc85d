package feeds

import "sync/atomic"

// mailboxSize bounds what waits for the loop; posters beyond it wait.
const mailboxSize = 64

// mailbox carries commands from other goroutines to the loop. Looking into an
// empty one costs the loop a single atomic load; the channel is touched only
// when something is there.
type mailbox struct {
	commands chan func()
	pending  atomic.Bool
	wake     func()        // set before the first post
	closed   chan struct{} // no command is accepted any more
	ended    chan struct{} // none is run any more
}

func newMailbox() *mailbox {
	return &mailbox{commands: make(chan func(), mailboxSize), closed: make(chan struct{}), ended: make(chan struct{})}
}

// post has the loop run command and reports whether it was accepted: after the
// loop's end nothing is. It waits while the mailbox is full. The order
// matters: the command is visible before pending is, and pending before the
// loop is woken.
func (m *mailbox) post(command func()) bool {
	select {
	case <-m.closed: // alone first: select would pick at random
		return false
	default:
	}
	select {
	case m.commands <- command:
		m.pending.Store(true)
		m.wake()
		return true
	case <-m.closed:
		return false
	}
}

// call posts command and waits until it has run; false if it never will.
func (m *mailbox) call(command func()) bool {
	done := make(chan struct{})
	if !m.post(func() { command(); close(done) }) {
		<-m.ended
		return false
	}
	select {
	case <-done:
		return true
	case <-m.ended:
		select {
		case <-done:
			return true
		default:
			return false // slipped in behind the last drain
		}
	}
}

// drain runs what is there. Loop only.
func (m *mailbox) drain() {
	if m.pending.Load() {
		m.pending.Store(false)
		m.drainAll()
	}
}

func (m *mailbox) drainAll() {
	for {
		select {
		case command := <-m.commands:
			command()
		default:
			return
		}
	}
}
