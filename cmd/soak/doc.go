// Package soak runs the whole relay for a long time while everything goes wrong on a
// seed, and checks every invariant of every record that every reader gets. It serves
// tickrelay's command soak.
//
//	exchanges ══ws══▶ feeds ══rings══▶ strategies alpha (by path), beta, gamma (small rings)
//	   │  faults         └══rings══▶ gateway ══ws══▶ clients: binary, JSON, windows; slow, passing
//	   ▼
//	set of every price shown ◀── looked up by every reader, for every record
//
// Every box is a process; Run, in one more, makes the plan of faults out of the seed,
// lets them happen (kill -9, SIGSTOP, a full /dev/shm, orders to the exchanges), and
// every storm long has the market stand still until each reader's books equal the
// exchange's level by level. Readers judge for themselves and report violations.
//
// It does not test the venues' dialects against the real venues, and the wall clock that
// it steps is that of the exchanges and of the feeds' own time stamps, not the host's.
//
// Goroutines of Run: one, and one per process that reads what it says.
package soak
