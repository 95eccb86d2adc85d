package feeds

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/ring/md"
)

func TestCatalogueCacheKeepsTheVenuesAnswer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	v := newToyVenue()
	if _, err := loadList(dir, v, 0).result(); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an empty cache: %v", err)
	}
	for range 2 { // the second replaces the first
		if err := storePage(dir, v, 0, 0, []byte("BTCUSDT")); err != nil {
			t.Fatal(err)
		}
	}
	all, err := loadList(dir, v, 0).result()
	if err != nil || len(all) != 1 || all[0].Symbol != "BTC-USDT" {
		t.Fatalf("read back %v, %v", all, err)
	}
	if _, err := loadList(dir, v, 1).result(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a list that was never kept: %v", err)
	}
	if err := os.WriteFile(cacheFile(dir, v, 0, 0), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadList(dir, v, 0).result(); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a damaged cache: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

// TestCatalogueFailingThenWorking runs whole feeds whose WebSocket nobody
// answers: only the catalogue's life is looked at.
func TestCatalogueFailingThenWorking(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "maintenance", http.StatusInternalServerError)
			return
		}
		w.Write([]byte("BTCUSDT"))
	}))
	defer server.Close()
	dir := t.TempDir()
	start := func(rest string) *Feed {
		f, err := New(Config{Venue: newToyVenue(), URL: "ws://127.0.0.1:1/", REST: rest, CPU: -1, Table: newTable(t), CacheDir: dir,
			Backoff: Backoff{Min: time.Millisecond, Base: 10 * time.Millisecond, Cap: 50 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		runFeed(t, f)
		return f
	}
	f := start(server.URL)
	waitFor(t, "the failure to show", func() bool {
		h := f.Health()
		return strings.Contains(h.Catalogue, "status 500") && h.RESTFailures > 1
	})
	waitFor(t, "the line to start without a catalogue", func() bool { return f.Health().Lines[0].Attempts > 0 })
	broken.Store(false)
	waitFor(t, "the catalogue", func() bool { h := f.Health(); return h.Catalogue == "fetched" && h.Instruments == 1 })
	asked := f.Health().RESTRequests
	f.Refresh()
	waitFor(t, "the refresh", func() bool { return f.Health().RESTRequests == asked+1 })

	broken.Store(true)
	f = start("http://127.0.0.1:1")
	waitFor(t, "the kept catalogue and a failed refresh", func() bool {
		h := f.Health()
		return strings.HasPrefix(h.Catalogue, "failed") && h.Instruments == 1 && h.CatalogueAt != 0
	})
}

// result is the list and the error alone.
func (f fetched) result() ([]md.Instrument, error) { return f.list, f.err }

// TestCacheLeftovers: what a killed process left of a page goes, what one writes now
// and the pages themselves stay.
func TestCacheLeftovers(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{".catalogue-1": time.Hour, ".catalogue-2": time.Second, "okx.catalogue.0.json": time.Hour} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chtimes(file, now.Add(-age), now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	sweepCache(dir, now)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != ".catalogue-2" {
		t.Errorf("%v, %v", left, err)
	}
}
