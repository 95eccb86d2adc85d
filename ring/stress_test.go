package ring

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// killsEnv says how many kills TestKills makes; the default is short.
const killsEnv = "TICKRELAY_RING_KILLS"

// totals lie in a file that both processes map, so they outlive kill -9.
type totals struct {
	records  uint64 // checked for content and number
	lost     uint64 // named by gaps
	gaps     uint64 // of relays that ended
	sessions uint64
	bad      uint64
}

func mapTotals(dir string) (*totals, error) {
	fd, err := unix.Open(filepath.Join(dir, "totals"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, pageSize); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*totals)(unsafe.Pointer(&mem[0])), nil
}

// stall sleeps now and then, a different time each.
func stall(rnd *rand.Rand) {
	if rnd.IntN(2000) == 0 {
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
	}
}

// stressProduce is a relay that publishes as fast as it can until it is killed.
func stressProduce(base string) error {
	d, err := OpenDir(base, "relay", Perm{})
	if err != nil {
		return err
	}
	seg, err := d.CreateRing("r", 1024, Meta{})
	if err != nil {
		return err
	}
	p := NewPublisher(PublisherConfig{Venue: md.VenueOKX})
	t := p.AddTopic(7, md.ChannelTrades, nil)
	if _, err := p.Attach(seg, nil); err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	evs := make([]md.Record, 40)
	for {
		for range 1 + rnd.IntN(4) {
			n := 1 + rnd.IntN(len(evs))
			for i := range n {
				evs[i] = signed(p.TopicSeq(t) + 1 + uint64(i))
			}
			p.Publish(t, evs[:n])
		}
		p.Flush()
		p.Turn(time.Now().UnixNano())
		stall(rnd)
	}
}

// stressConsume is a strategy that checks every record until it is killed.
func stressConsume(base string) error {
	sum, err := mapTotals(base)
	if err != nil {
		return err
	}
	cfg := ClientConfig{Dir: filepath.Join(base, "relay"), Rings: []string{"r"}, Retry: time.Millisecond}
	var f follower
	cfg.Attached = func(*Client) { f = follower{}; atomic.AddUint64(&sum.sessions, 1) }
	c, err := Dial(context.Background(), cfg)
	for ; err != nil; c, err = Dial(context.Background(), cfg) {
		time.Sleep(time.Millisecond)
	}
	rnd := rand.New(rand.NewPCG(uint64(os.Getpid()), 2))
	buf := make([]md.Record, 512)
	fail := func(err error) error { atomic.AddUint64(&sum.bad, 1); return err }
	for {
		n, err := c.Poll(buf[:1+rnd.IntN(len(buf))])
		if err != nil {
			return fail(err)
		}
		recs := buf[:n]
		if len(recs) > 0 && recs[0].Kind == md.KindGap && recs[0].Level == uint8(md.GapDisconnect) {
			if recs[0].ID != f.next {
				return fail(fmt.Errorf("at %d: %+v", f.next, recs[0]))
			}
			atomic.AddUint64(&sum.gaps, 1)
			continue
		}
		trades, lost := f.trades, f.lost
		if err := f.take(recs); err != nil {
			return fail(err)
		}
		atomic.AddUint64(&sum.records, f.trades-trades)
		atomic.AddUint64(&sum.lost, f.lost-lost)
		stall(rnd)
		if n == 0 {
			if _, err := c.Wait(WaitMode(rnd.IntN(3)), 10*time.Millisecond); err != nil {
				return fail(err)
			}
		}
	}
}

// TestKills kills both sides with -9 at random instants, from the first
// instruction of a process on, while records flow as fast as they can: nothing
// torn, nothing lost without its gap, and the next one always works.
func TestKills(t *testing.T) {
	kills := 30
	if s := os.Getenv(killsEnv); s != "" {
		kills, _ = strconv.Atoi(s)
	}
	base := shmDir(t)
	sum, err := mapTotals(base)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	sides := [2]*child{start(t, "stress produce", base), start(t, "stress consume", base)}
	roles := [2]string{"stress produce", "stress consume"}
	for range kills {
		time.Sleep(time.Duration(rnd.IntN(60_000)) * time.Microsecond)
		k := rnd.IntN(2)
		sides[k].kill()
		if sides[k].cmd.ProcessState.ExitCode() != -1 { // it ended by itself
			t.Fatalf("%s: %v, said %q", roles[k], sides[k].cmd.ProcessState, lastLine(sides[k]))
		}
		sides[k] = start(t, roles[k], base)
	}
	before := atomic.LoadUint64(&sum.records)
	for deadline := time.Now().Add(20 * time.Second); atomic.LoadUint64(&sum.records) < before+100_000; time.Sleep(time.Millisecond) {
		if atomic.LoadUint64(&sum.bad) != 0 || time.Now().After(deadline) {
			t.Fatalf("after the last kill: %+v, %q", *sum, lastLine(sides[1]))
		}
	}
	sides[0].kill()
	sides[1].kill()
	if sum.bad != 0 || sum.lost == 0 && kills > 100 {
		t.Fatalf("%+v", *sum)
	}
	t.Logf("%d kills: %d records checked, %d named lost, %d gaps of dead relays, %d sessions", kills, sum.records, sum.lost, sum.gaps, sum.sessions)
	if gone, err := ReclaimDead(base); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
}

func lastLine(c *child) string {
	if c.out.Scan() {
		return c.out.Text()
	}
	return ""
}

// startApart starts a role in PID and IPC namespaces of its own, as in another
// container that shares /dev/shm.
func startApart(t *testing.T, role, dir string) *child {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making PID and IPC namespaces needs root")
	}
	return startWith(t, role, dir, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC}
	})
}

// TestNamespaces: liveness, wake-ups and reclaiming between containers that
// share nothing but the directory.
func TestNamespaces(t *testing.T) {
	base := shmDir(t)
	dir := filepath.Join(base, "relay")
	relay := startApart(t, "produce", base)
	relay.line(t)
	strategy := startApart(t, "consume", dir)
	strategy.line(t)
	strategy.line(t)
	in, err := Stat(dir, "r")
	if err != nil || !in.Producer.Alive || !in.Consumer.Alive || in.Producer.PID != 1 || in.Consumer.PID != 1 {
		t.Fatalf("%+v, %v", in, err)
	}
	if gone, err := ReclaimDead(base); len(gone) != 0 || err != nil {
		t.Fatal("reclaimed a living relay of another container", gone, err)
	}
	strategy.kill()
	if in, err := Stat(dir, "r"); err != nil || in.Consumer.Alive {
		t.Fatalf("%+v, %v", in, err)
	}
	c, err := Open(dir, "r") // the dead one's place is free
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var f follower
	buf := make([]md.Record, 300)
	for killed := false; ; {
		_, err := c.Wait(WaitBlock, time.Second)
		if errors.Is(err, ErrProducerGone) && killed {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n, _ := c.Poll(buf)
		if err := f.take(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if f.trades > 2000 && !killed {
			relay.kill()
			killed = true
		}
	}
	if out := startApart(t, "reclaim", base).line(t); out != "reclaimed [relay]" {
		t.Fatal(out)
	}
	if left, _ := os.ReadDir(base); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func reclaimOnce(base string) error {
	gone, err := ReclaimDead(base)
	fmt.Println("reclaimed", gone)
	return err
}
