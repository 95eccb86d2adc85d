package soak

import (
	"fmt"
	"slices"
	"time"
)

// When holdings are judged, and what they may not do.
const (
	warmUp      = 0.25             // of a life, but at most warmUpMost
	warmUpMost  = 3 * time.Minute  //
	judgeAfter  = 4 * time.Minute  // least life after that
	judgePoints = 6                // least comparisons in it, for descriptors and goroutines
	slopeSigmas = 3                // how sure a slope must be
	fileSlack   = 0                // descriptors that are no socket: all of them are known at any time
	fdSlack     = 16               // passing clients and idle REST connections come and go
	goSlack     = 8                // so do the goroutines that serve them
	shmSlack    = int64(24) << 20  // bytes: rings of a strategy that is just starting
	mib         = float64(1 << 20) //
)

// slackMiB is what a process's memory may seem to grow by within an hour, as bytes of
// a heap of that size that is collected now and then.
func slackMiB(mean float64) float64 { return 16 + mean/4 }

// lateSlack is what may be more in the last third of a life than in the second.
func lateSlack(mib float64) float64 { return 4 + mib/20 }

// lately is by how much the median of a series' last third is above that of its second;
// no more than thrice what it rose by within that third, so that one step is none.
func lately(v []float64) float64 {
	n := len(v) / 6
	if n == 0 {
		return 0
	}
	within := median(v[5*n:]) - median(v[4*n:5*n])
	return max(0, min(median(v[4*n:])-median(v[2*n:4*n]), 3*within))
}

// judge makes the holdings out of the samples, and violations of what grows.
func (r *Result) judge() {
	if n := len(r.Samples); n > 0 {
		r.injected = r.exchange.Injected
		r.Events, r.Slow, r.Connect = r.exchange.Events, r.exchange.Slow, r.exchange.Accepted
		var rates []float64
		for i := range r.Samples {
			if !r.Samples[i].Calm {
				rates = append(rates, r.Samples[i].Rate)
			}
		}
		if len(rates) > 0 {
			r.Reached, r.Fastest = round(average(rates)/RealPace, 1), round(slices.Max(rates)/RealPace, 1)
		}
	}
	for _, name := range append([]string{"exchanges", "feeds", "gateway"}, readerNames...) {
		if h, ok := r.holding(name); ok {
			r.Processes = append(r.Processes, h)
			if name != "exchanges" { // they are no part of the relay
				r.grows(h)
			}
		}
	}
	var used []float64
	for _, p := range r.Points {
		used = append(used, float64(p.Shm))
	}
	if used = used[len(used)/4:]; len(used) >= judgePoints {
		r.checks[FlatShm] += uint64(len(used))
		if r.ShmGrowth = int64(growth(used)); r.ShmGrowth > shmSlack {
			r.grown(FlatShm, "/dev/shm", fmt.Sprintf("%.1f MiB more are taken at the end than at the start", float64(r.ShmGrowth)/mib))
		}
	}
	r.Invariants = r.outcomes()
}

func (r *Result) grown(i Invariant, who, what string) {
	r.Violated++
	r.violated[i]++
	r.Violations = append(r.Violations, Violation{Invariant: i, Time: r.Started.Add(time.Duration(r.Seconds * float64(time.Second))), Into: r.Seconds, Who: who, What: what})
}

// holding is that of the last life of a process.
func (r *Result) holding(name string) (Holding, bool) {
	h := Holding{Name: name}
	last := 0
	for i := range r.Samples {
		if pid := r.Samples[i].PIDs[name]; pid != 0 && pid != last {
			last = pid
			h.Lives++
		}
	}
	var xs, ys, held []float64
	for i := range r.Samples {
		if r.Samples[i].PIDs[name] == last {
			xs, ys = append(xs, r.Samples[i].T), append(ys, float64(r.Samples[i].Use[name].Anon)/mib)
			held = append(held, float64(r.Samples[i].Use[name].FDs))
			h.FDs = r.Samples[i].Use[name].FDs
		}
	}
	if len(xs) < 2 {
		return h, false
	}
	warm := xs[0] + min((xs[len(xs)-1]-xs[0])*warmUp, warmUpMost.Seconds())
	from := slices.IndexFunc(xs, func(x float64) bool { return x >= warm })
	xs, ys, held = xs[from:], ys[from:], held[from:]
	h.Seconds, h.MemoryMiB = round(xs[len(xs)-1]-xs[0], 0), round(average(ys), 1)
	if t := fit(xs, ys, 12); t.n > 0 {
		h.SlopeMiBh, h.SlopeErr = round(t.slope*3600, 1), round(t.err*3600, 1)
		h.Judged, h.Readings = h.Seconds >= judgeAfter.Seconds(), len(xs)
		h.LateMiB = round(lately(ys), 1)
		f := fit(xs, held, 12)
		h.FDSlope, h.FDSlopeErr = round(f.slope*3600, 1), round(f.err*3600, 1)
	}
	var fds, files, gos, heap []float64
	for _, p := range r.Points {
		if u, ok := p.Use[name]; ok && p.PIDs[name] == last && p.T >= warm {
			h.FDs = u.FDs
			fds, files = append(fds, float64(u.FDs)), append(files, float64(u.Files))
			h.Files = u.Files
			if u.Heap > 0 {
				heap = append(heap, float64(u.Heap)/mib)
			}
			if u.Goroutines > 0 {
				gos = append(gos, float64(u.Goroutines))
				h.Goroutines = u.Goroutines
			}
		}
	}
	h.Comparisons, h.GoReadings = len(fds), len(gos)
	if len(heap) >= judgePoints {
		h.HeapMiB, h.HeapLateMiB = round(median(heap[2*len(heap)/3:]), 1), round(lately(heap), 1)
	}
	h.FDGrowth, h.FileGrowth, h.GoGrowth = growth(fds), growth(files), growth(gos)
	return h, true
}

// grows makes violations of what a process holds more and more of.
func (r *Result) grows(h Holding) {
	if h.Judged {
		r.checks[FlatMemory] += uint64(h.Readings)
	}
	// A slope counts if it is surely not noise, an hour of it would show, and it goes on in
	// the last third: a heap whose limit takes a step for a burst, or that fills up what is
	// bounded, is no leak.
	sure := h.SlopeMiBh-slopeSigmas*h.SlopeErr > 0 && h.SlopeMiBh > slackMiB(h.MemoryMiB)
	if h.Judged && sure && h.LateMiB > lateSlack(h.MemoryMiB) {
		r.grown(FlatMemory, h.Name, fmt.Sprintf("memory grows by %.1f ± %.1f MiB an hour, and by %.1f MiB in the last third of %.0f s", h.SlopeMiBh, h.SlopeErr, h.LateMiB, h.Seconds))
	}
	// What is alive after a collection knows no such steps.
	if h.HeapLateMiB > lateSlack(h.HeapMiB) {
		r.grown(FlatMemory, h.Name, fmt.Sprintf("%.1f MiB more are alive in the last third of %.0f s than in the second, of %.1f", h.HeapLateMiB, h.Seconds, h.HeapMiB))
	}
	if h.Comparisons < judgePoints {
		return
	}
	r.checks[FlatFiles] += uint64(h.Comparisons)
	r.checks[FlatGoroutines] += uint64(h.GoReadings)
	if h.GoReadings < judgePoints {
		r.grown(FlatGoroutines, h.Name, fmt.Sprintf("told its number of goroutines %d times only, of %d", h.GoReadings, h.Comparisons))
	}
	if h.FileGrowth > fileSlack {
		r.grown(FlatFiles, h.Name, fmt.Sprintf("holds %.0f more descriptors that are no socket at the end than at the start", h.FileGrowth))
	}
	if h.FDGrowth > fdSlack {
		r.grown(FlatFiles, h.Name, fmt.Sprintf("holds %.0f more file descriptors at the end than at the start", h.FDGrowth))
	}
	if h.GoGrowth > goSlack {
		r.grown(FlatGoroutines, h.Name, fmt.Sprintf("has %.0f more goroutines at the end than at the start", h.GoGrowth))
	}
}
