package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is the time between two lines where there is no terminal.
const progressEvery = 5 * time.Second

// progress tells how far long work is: a bar on a terminal, a line now and then
// elsewhere. It writes to stderr, so that results stay clean. One goroutine uses it.
type progress struct {
	out    io.Writer
	what   string
	bar    *progressbar.ProgressBar // nil: lines
	start  time.Time
	told   time.Time
	done   int64
	total  int64
	ending bool
}

// newProgress begins to tell of work; total is the number of steps, -1 if nobody knows.
// what is short and says what is done: "compact".
func newProgress(out io.Writer, what string, total int64) *progress {
	p := &progress{out: out, what: what, total: total, start: time.Now(), told: time.Now()}
	if isTerminal(out) {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
	}
	return p
}

// set says how many steps are done, and of how many by now.
func (p *progress) set(done, total int64) {
	if total != p.total && p.bar != nil {
		p.bar.ChangeMax64(total)
	}
	p.done, p.total = done, total
	if p.bar != nil {
		_ = p.bar.Set64(done) // a terminal that is gone is no failure of the work
		return
	}
	if now := time.Now(); now.Sub(p.told) >= progressEvery {
		p.told = now
		p.line()
	}
}

// add says that n more steps are done.
func (p *progress) add(n int64) { p.set(p.done+n, p.total) }

func (p *progress) line() {
	took := time.Since(p.start)
	if p.total <= 0 {
		fmt.Fprintf(p.out, "%s: %d in %s\n", p.what, p.done, took.Round(time.Second))
		return
	}
	left := time.Duration(0)
	if p.done > 0 {
		left = time.Duration(float64(took) / float64(p.done) * float64(p.total-p.done))
	}
	fmt.Fprintf(p.out, "%s: %d of %d (%d %%), %s left\n", p.what, p.done, p.total, 100*p.done/p.total, left.Round(time.Second))
}

// end removes the bar; where there were lines, a last one says what was done.
func (p *progress) end() {
	if p.ending {
		return
	}
	p.ending = true
	if p.bar != nil {
		_ = p.bar.Clear()
		return
	}
	if time.Since(p.start) >= progressEvery {
		fmt.Fprintf(p.out, "%s: %d in %s\n", p.what, p.done, time.Since(p.start).Round(time.Millisecond))
	}
}
