package ring

import (
	"runtime/debug"
	"unsafe"
)

// A consumer owns its .ctl file as much as we do and may cut it short; the next
// access to the mapping is then a SIGBUS, which would end the whole relay. So
// every access of the producer's side runs with faults turned into panics, and
// a panic at an address within the .ctl mapping costs only that ring.

// forgiveFault makes faults of this goroutine panics until the function it
// returns is deferred-called; that one swallows a fault within the .ctl part
// and calls onFault, if any. For the control path: it allocates.
func (s *Segment) forgiveFault(onFault func()) func() {
	if s.shm == nil {
		return func() {}
	}
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if e := recover(); e != nil {
			if !s.isCtlFault(e) {
				panic(e)
			}
			if onFault != nil {
				onFault()
			}
		}
	}
}

// isCtlFault reports whether a recovered panic is a memory fault in the .ctl part.
func (s *Segment) isCtlFault(e any) bool {
	f, ok := e.(interface{ Addr() uintptr })
	if !ok {
		return false
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(s.ctlMem)))
	return f.Addr() >= start && f.Addr()-start < uintptr(len(s.ctlMem))
}
