package ring

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// shmDir is a directory on tmpfs that goes away with the test.
func shmDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tickrelay-test-")
	if err != nil {
		t.Skipf("no shared memory here: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// openFDs counts this process's descriptors.
func openFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(fds)
}

func TestShmLifeCycle(t *testing.T) {
	base := shmDir(t)
	fds := openFDs(t)
	d, err := OpenDir(base, "alpha", Perm{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(base, "alpha", Perm{}); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	table, err := d.CreateTable(16)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Add(md.Instrument{Venue: md.VenueBinance, Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT"}); err != nil {
		t.Fatal(err)
	}
	seg, err := d.CreateRing("one", 100, Meta{Strategy: "s", TableID: table.ID()})
	if err != nil {
		t.Fatal(err)
	}
	for suffix, mode := range map[string]os.FileMode{dataSuffix: 0o600, ctlSuffix: 0o600} {
		st, err := os.Stat(filepath.Join(d.Path(), "one"+suffix))
		if err != nil || st.Mode() != mode {
			t.Fatalf("%v %v, want %v", st.Mode(), err, mode)
		}
	}
	w, ts := rig(md.ChannelTrades)
	prod, err := w.pub.Attach(seg, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(d.Path(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(d.Path(), "one"); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	drain(t, w, c)
	w.event(ts[0], 3)
	w.pub.Flush()
	infos, err := List(d.Path())
	if err != nil || len(infos) != 1 {
		t.Fatal(infos, err)
	}
	in := infos[0]
	if in.Name != "one" || in.Strategy != "s" || in.Relay != "alpha" || in.Capacity != 128 || in.Depth != 3 ||
		in.State != "open" || !in.Producer.Alive || !in.Consumer.Alive || in.Consumer.PID != os.Getpid() || in.Epoch != testEpoch {
		t.Fatalf("%+v", in)
	}
	if c.TableID() != table.ID() || c.Epoch() != testEpoch || c.Venue() != md.VenueBinance || c.Depth() != 3 || c.Lag(w.now+5) != 5 {
		t.Fatal("the consumer's view of the header is wrong")
	}
	view, unmap, err := OpenTable(d.Path())
	if err != nil || view.Len() != 1 || view.ID() != table.ID() {
		t.Fatal(view, err)
	}
	if err := unmap(); err != nil {
		t.Fatal(err)
	}
	if _, err := Leftover(d.Path(), "one"); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	w.pub.Detach(prod)
	if err := seg.Close(); err != nil {
		t.Fatal(err)
	}
	// The files are gone, the mapping is not.
	buf := make([]md.Record, 8)
	if n, err := c.Poll(buf); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := c.Poll(buf); !errors.Is(err, ErrProducerGone) {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(base); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if n := openFDs(t); n != fds {
		t.Fatalf("%d descriptors, %d before", n, fds)
	}
}

// TestCtlCutShort wants a client that truncates its file to lose its ring and
// nothing else: without care that is a SIGBUS in the relay.
func TestCtlCutShort(t *testing.T) {
	dir := shmDir(t)
	w, ts := rig(md.ChannelTrades)
	seg, err := CreateShm(dir, "victim", 256, Meta{}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	prod, err := w.pub.Attach(seg, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir, "victim")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(c.seg.shm.data)
	_, good := attachRing(t, w, 4096)
	drain(t, w, good)
	if err := os.Truncate(filepath.Join(dir, "victim.ctl"), 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		w.event(ts[0], 1)
		w.pub.Turn(w.tick())
	}
	if got := drain(t, w, good); len(got) != 10 {
		t.Fatalf("the good reader got %d records", len(got))
	}
	if prod.Err() == nil || !strings.Contains(prod.Err().Error(), "cut short") {
		t.Fatal(prod.Err())
	}
	if in := seg.Info(); in.State != "broken" || in.Err == "" {
		t.Fatalf("%+v", in)
	}
}

func TestOpenDirReclaims(t *testing.T) {
	base := shmDir(t)
	dead := filepath.Join(base, "beta")
	if err := os.Mkdir(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"lock", "x.data", "x.ctl", ".y.data.tmp", "instruments"} {
		if err := os.WriteFile(filepath.Join(dead, n), []byte("left by a dead relay"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	infos, err := List(dead)
	if err != nil || len(infos) != 1 || infos[0].Err == "" {
		t.Fatal(infos, err)
	}
	d, err := OpenDir(base, "beta", Perm{})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dead); len(left) != 1 || left[0].Name() != "lock" {
		t.Fatalf("left: %v", left)
	}
	if gone, err := ReclaimDead(base); len(gone) != 0 || err != nil {
		t.Fatal("a living relay was reclaimed", gone, err)
	}
	d.lock.close() // as when the process dies
	if gone, err := ReclaimDead(base); !slices.Equal(gone, []string{"beta"}) || err != nil {
		t.Fatal(gone, err)
	}
	if gone, err := ReclaimDead(filepath.Join(base, "nowhere")); gone != nil || err != nil {
		t.Fatal(gone, err)
	}
}

func TestRefusals(t *testing.T) {
	dir := shmDir(t)
	for _, name := range []string{"", ".x", "a/b", "../x", strings.Repeat("n", 64), "a\x00"} {
		if _, err := CreateShm(dir, name, 64, Meta{}, Perm{}); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if err := checkSpace(dir, 1<<60); !errors.Is(err, ErrNoSpace) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := Open(dir, "none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "l.data")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "l"); err == nil {
		t.Error("a symbolic link was followed")
	}
}

// TestReplacedRing wants a consumer of an old file to be told that a new one is there.
func TestReplacedRing(t *testing.T) {
	dir := shmDir(t)
	one, err := CreateShm(dir, "r", 64, Meta{}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir, "r")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	two, err := CreateShm(dir, "r", 64, Meta{}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	if err := one.Close(); err != nil { // must not remove the new files
		t.Fatal(err)
	}
	var gone *GoneError
	if _, err := c.Wait(WaitBlock, time.Second); !errors.As(err, &gone) || !gone.Reopen {
		t.Fatal(err)
	}
	if c2, err := Open(dir, "r"); err != nil {
		t.Fatal(err)
	} else {
		c2.Close()
	}
}
