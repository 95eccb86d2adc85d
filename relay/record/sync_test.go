package record

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// TestSync: a journal and its name are synced; one that cannot be is told once.
func TestSync(t *testing.T) {
	var log bytes.Buffer
	cfg := Config{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))}.withDefaults()
	b := newBackground(&cfg, &Stats{})
	j, err := os.Open(writeJournal(t, cfg.Dir, testStream, testHour, 0, 0, []md.Record{tradeAt(0, 1, testHour)}))
	if err != nil {
		t.Fatal(err)
	}
	open := &journal{f: j, path: j.Name()}
	b.watch(open)
	if b.sync(); !b.open[open] || log.Len() > 0 {
		t.Error("not synced: ", log.String())
	}
	if r, w, err := os.Pipe(); err != nil { // which has no device
		t.Fatal(err)
	} else {
		defer r.Close()
		defer w.Close()
		open.f = w
	}
	for range 3 {
		b.sync()
	}
	if n := strings.Count(log.String(), "journals are not synced"); n != 1 || b.open[open] {
		t.Errorf("told %d times: %s", n, log.String())
	}
	open.f = j
	j.Close() // sealed meanwhile
	if b.sync(); b.unsynced {
		t.Error(log.String())
	}
	b.forget(open)
	if b.sync(); len(b.open) > 0 {
		t.Error(b.open)
	}
}
