package record

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// mergeParts is the number of parts of an hour under way that are merged into one, so
// that a busy stream does not make thousands.
const mergeParts = 16

const (
	sealRetry  = time.Second
	pruneEvery = time.Minute
)

// background seals journals, merges files and deletes old ones in a goroutine of its
// own, so that reading never waits for them. What waits is on disk, not in memory.
type background struct {
	cfg    *Config
	stats  *Stats
	sealer *sealer
	carry  map[stream]map[string]topicMark // last numbers, as of the last file
	parts  map[stream][]fileName           // single parts since the last merge

	unsynced bool // journals, the last time

	mu       sync.Mutex
	queue    []job
	open     map[*journal]bool // true: its name is on the device too
	finished bool
	wake     chan struct{}
}

// job is a journal to seal, or, without one, the hours before an hour to merge.
type job struct {
	s       stream
	journal string
	cut     bool // it is of a recorder before this one
	before  int64
}

func newBackground(cfg *Config, stats *Stats) *background {
	return &background{cfg: cfg, stats: stats, sealer: newSealer(cfg.Relay, cfg.RowGroup), carry: map[stream]map[string]topicMark{},
		parts: map[stream][]fileName{}, open: map[*journal]bool{}, wake: make(chan struct{}, 1)}
}

func (b *background) put(j job) {
	b.mu.Lock()
	b.queue = append(b.queue, j)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// seal asks for a journal to become a file.
func (b *background) seal(s stream, path string) {
	b.sealJob(job{s: s, journal: path})
}

// sealCut asks the same for a journal whose end a kill may have cut.
func (b *background) sealCut(s stream, path string) { b.sealJob(job{s: s, journal: path, cut: true}) }

func (b *background) sealJob(j job) {
	b.stats.Backlog.Add(1)
	b.put(j)
}

// mergeOld asks for the hours of a stream before hour to become one file each.
func (b *background) mergeOld(s stream, hour int64) { b.put(job{s: s, before: hour}) }

// watch and forget say which journals are to be synced.
func (b *background) watch(j *journal) {
	b.mu.Lock()
	b.open[j] = false
	b.mu.Unlock()
}

func (b *background) forget(j *journal) {
	b.mu.Lock()
	delete(b.open, j)
	b.mu.Unlock()
}

// start begins to work; the channel is closed when it has ended.
func (b *background) start() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.run()
	}()
	return done
}

// finish ends it when the queue is empty.
func (b *background) finish() {
	b.mu.Lock()
	b.finished = true
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *background) next() (j job, some, finished bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return job{}, false, b.finished
	}
	return b.queue[0], true, b.finished
}

func (b *background) pop() {
	b.mu.Lock()
	b.queue = b.queue[1:]
	b.mu.Unlock()
}

func (b *background) run() {
	sync := time.NewTicker(max(b.cfg.Sync, time.Second))
	defer sync.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	b.prune()
	failing := false
	for {
		j, some, finished := b.next()
		if some {
			err := b.do(j)
			if err == nil {
				failing = false
				b.pop()
				continue
			}
			b.stats.SealErrors.Add(1)
			if !failing {
				failing = true
				b.cfg.Log.Error("a file cannot be written; tried again", "stream", j.s.String(), "journal", j.journal, "err", err)
			}
		}
		if finished {
			return // a journal that could not be sealed is recovered at the next start
		}
		var retry <-chan time.Time
		if some {
			retry = time.After(sealRetry)
		}
		select {
		case <-b.wake:
			if some {
				<-retry
			}
		case <-retry:
		case <-sync.C:
			b.sync()
		case <-prune.C:
			b.prune()
		}
	}
}

func (b *background) do(j job) error {
	dir := j.s.dir(b.cfg.Dir)
	if j.journal == "" {
		// Never tried again at once: journals wait behind it, and the next hour's end asks
		// for the same hours.
		if err := b.mergeBefore(dir, j.before); err != nil {
			b.stats.SealErrors.Add(1)
			b.cfg.Log.Error("hours are not merged, or what they were made of is still there; nothing is missing or read twice", "stream", j.s.String(), "err", err)
		}
		return nil
	}
	got, err := b.sealer.seal(j.journal, j.cut, b.carry[j.s])
	if err != nil {
		return err
	}
	b.stats.Backlog.Add(-1)
	if got.left != nil {
		b.cfg.Log.Error("a journal is in a file, and still there", "stream", j.s.String(), "journal", j.journal, "err", got.left)
	}
	if got.torn > 0 && !j.cut { // else the start has told it
		b.stats.Torn.Add(uint64(got.torn))
		b.cfg.Log.Error("a journal is damaged: what follows the damage is not in the recording", "stream", j.s.String(), "journal", j.journal, "torn_bytes", got.torn)
	}
	if got.records == 0 {
		return nil
	}
	b.carry[j.s] = got.topics
	b.stats.Files.Add(1)
	b.stats.Unfit.Add(got.unfit)
	b.stats.Bytes.Add(got.bytes)
	name, _ := parseFileName(filepath.Base(j.journal))
	name.journal = false
	parts := b.parts[j.s]
	if len(parts) > 0 && parts[0].hour != name.hour {
		parts = nil
	}
	if parts = append(parts, name); len(parts) == mergeParts {
		target := fileName{hour: name.hour, from: parts[0].from, to: name.to}
		left, err := b.sealer.merge(dir, parts, target, nil)
		switch {
		case err != nil:
			b.cfg.Log.Warn("parts not merged; they stay as they are", "stream", j.s.String(), "err", err)
		case left != nil:
			b.cfg.Log.Warn("parts are merged, and still there", "stream", j.s.String(), "err", left)
			fallthrough
		default:
			b.stats.Merges.Add(1)
		}
		parts = nil
	}
	b.parts[j.s] = parts
	b.prune()
	return nil
}

func (b *background) mergeBefore(dir string, before int64) error {
	all, err := listFiles(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, files := range byHour(all) {
		if files[0].hour >= before {
			continue
		}
		merged, err := b.sealer.mergeHour(dir, files, nil)
		errs = append(errs, err)
		if merged {
			b.stats.Merges.Add(1)
		}
	}
	return errors.Join(errs...)
}

// sync brings what journals have written to the device.
func (b *background) sync() {
	if b.cfg.Sync < 0 {
		return
	}
	b.mu.Lock()
	open := maps.Clone(b.open)
	b.mu.Unlock()
	var errs []error
	for j, named := range open {
		err := j.f.Sync()
		if err == nil && !named { // the folders of channel, venue and recording may be new too
			channel := filepath.Dir(j.path)
			venue := filepath.Dir(channel)
			err = errors.Join(syncDir(channel), syncDir(venue), syncDir(filepath.Dir(venue)))
		}
		if err != nil && !errors.Is(err, os.ErrClosed) { // sealed meanwhile
			errs = append(errs, err)
		}
		b.mu.Lock()
		if _, still := b.open[j]; still {
			b.open[j] = err == nil
		}
		b.mu.Unlock()
	}
	if failing := len(errs) > 0; failing != b.unsynced {
		if b.unsynced = failing; failing {
			b.cfg.Log.Error("journals are not synced to the device: they would not outlast a loss of power", "err", errors.Join(errs...))
		}
	}
}

// prune deletes what is too old or too much.
func (b *background) prune() {
	size, gone, err := prune(b.cfg.Dir, b.cfg.Keep, b.cfg.MaxBytes, b.cfg.Now())
	if err != nil {
		b.cfg.Log.Warn("old files not deleted", "dir", b.cfg.Dir, "err", err)
	}
	b.stats.Bytes.Store(size)
	b.stats.Pruned.Add(uint64(gone))
}
