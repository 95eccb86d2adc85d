package sim

// watcher shows events to a function.
type watcher struct{ f func(ev *Event) }

func (w *watcher) event(ev *Event) { w.f(ev) }
func (w *watcher) due(int64, bool) {}
func (w *watcher) drained() bool   { return true }

// Watch calls f for every event from now on until stop is called. f runs under
// the market's lock: it must not call the market or its servers, and must copy
// what it keeps of the event, which is used again.
func (m *Market) Watch(f func(ev *Event)) (stop func()) {
	w := &watcher{f}
	m.attach(w)
	return func() { m.detach(w) }
}
