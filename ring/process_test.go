package ring

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// The tests below run this test binary again as the other process; TestMain
// sends it to its role.
const (
	roleEnv = "TICKRELAY_RING_ROLE"
	dirEnv  = "TICKRELAY_RING_DIR"
)

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleEnv); role {
	case "":
		os.Exit(m.Run())
	case "produce":
		err = produceForever(os.Getenv(dirEnv))
	case "consume":
		err = consumeForever(os.Getenv(dirEnv))
	case "stress produce":
		err = stressProduce(os.Getenv(dirEnv))
	case "stress consume":
		err = stressConsume(os.Getenv(dirEnv))
	case "reclaim":
		err = reclaimOnce(os.Getenv(dirEnv))
	default:
		err = fmt.Errorf("role %q", role)
	}
	fmt.Println("error:", err)
	os.Exit(1)
}

// child is this binary in another role.
type child struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, role, dir string) *child {
	t.Helper()
	return startWith(t, role, dir, func(*exec.Cmd) {})
}

// startWith lets prepare change the command before it starts.
func startWith(t *testing.T, role, dir string, prepare func(*exec.Cmd)) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, bufio.NewScanner(out)}
	t.Cleanup(func() { c.kill() })
	return c
}

// line waits for the child's next line.
func (c *child) line(t *testing.T) string {
	t.Helper()
	if !c.out.Scan() {
		t.Fatalf("%v ended: %v", c.cmd.Args, c.out.Err())
	}
	if s := c.out.Text(); !strings.HasPrefix(s, "error:") {
		return s
	}
	t.Fatal(c.out.Text())
	return ""
}

// kill is kill -9.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// mix is a bijection of 64 bits (the finalizer of splitmix64), so a torn or
// stale record has the wrong content.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func signed(seq uint64) md.Record {
	return md.Record{
		Kind: md.KindTrade, TsEvent: int64(mix(seq) >> 1), TsRecv: int64(seq), Price: int64(mix(seq+1) >> 1),
		Size: int64(mix(seq+2) >> 1), ID: mix(seq + 3), Side: 1, Count: uint32(mix(seq + 4)),
	}
}

func (r *follower) sound(rec *md.Record) error {
	want := signed(rec.Seq)
	want.Flags, want.Venue, want.Instrument, want.Seq = rec.Flags, md.VenueOKX, 7, rec.Seq
	if *rec != want {
		return fmt.Errorf("torn record:\n got %+v\nwant %+v", *rec, want)
	}
	return nil
}

// follower checks one stream of trades: chains, contents, nothing torn.
type follower struct {
	begun, told bool
	next        uint64
	trades      uint64
	lost        uint64
}

func (r *follower) take(recs []md.Record) error {
	for i := range recs {
		rec := &recs[i]
		switch {
		case !r.begun:
			if rec.Kind != md.KindHeartbeat || rec.Side != 0 {
				return fmt.Errorf("the stream begins with %+v", *rec)
			}
			r.begun = true
		case rec.Kind == md.KindHeartbeat && rec.Side == 0:
		case rec.Kind == md.KindHeartbeat:
			r.told, r.next = true, rec.Seq+1
		case !r.told:
			return fmt.Errorf("before the topic's heartbeat: %+v", *rec)
		case rec.Kind == md.KindGap:
			if rec.ID != r.next || uint64(rec.Count) != rec.Seq-rec.ID+1 {
				return fmt.Errorf("at %d: gap %+v", r.next, *rec)
			}
			r.lost += uint64(rec.Count)
			r.next = rec.Seq + 1
		default:
			if rec.Seq != r.next {
				return fmt.Errorf("number %d, want %d", rec.Seq, r.next)
			}
			if err := r.sound(rec); err != nil {
				return err
			}
			r.next++
			r.trades++
		}
	}
	return nil
}

// feedTrades publishes batches until stop says so.
func feedTrades(p *Publisher, t TopicID, stop func() bool) {
	evs := make([]md.Record, 7)
	for !stop() {
		for b := range 4 {
			n := 1 + int(p.TopicSeq(t)+uint64(b))%len(evs)
			for i := range n {
				evs[i] = signed(p.TopicSeq(t) + 1 + uint64(i))
			}
			p.Publish(t, evs[:n])
		}
		p.Flush()
		p.Turn(time.Now().UnixNano())
		time.Sleep(20 * time.Microsecond)
	}
}

// produceForever is a relay that is never told to stop.
func produceForever(base string) error {
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
	fmt.Println("ready")
	feedTrades(p, t, func() bool { return false })
	return nil
}

// consumeForever is a strategy that is never told to stop.
func consumeForever(dir string) error {
	c, err := Open(dir, "r")
	if err != nil {
		return err
	}
	var f follower
	said := uint64(0)
	for {
		if _, err := c.Wait(WaitBlock, -1); err != nil {
			return err
		}
		var bad error
		if _, err := c.Lend(1000, func(recs []md.Record) { bad = f.take(recs) }); err != nil || bad != nil {
			return errors.Join(err, bad)
		}
		if f.trades >= said {
			said = f.trades + 2000
			fmt.Println("read", f.trades, "lost", f.lost)
		}
	}
}

// TestKillConsumer kills readers with -9 at any moment; the next one must be
// right from its first record.
func TestKillConsumer(t *testing.T) {
	dir := shmDir(t)
	seg, err := CreateShm(dir, "r", 1024, Meta{}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	p := NewPublisher(PublisherConfig{Venue: md.VenueOKX})
	topic := p.AddTopic(7, md.ChannelTrades, nil)
	prod, err := p.Attach(seg, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		feedTrades(p, topic, func() bool {
			select {
			case <-stop:
				return true
			default:
				return false
			}
		})
	}()
	defer func() { close(stop); <-done }()
	for round := range 4 {
		c := start(t, "consume", dir)
		c.line(t)
		c.line(t)
		if in := seg.Info(); !in.Consumer.Alive || in.Consumer.PID != c.cmd.Process.Pid {
			t.Fatalf("round %d: %+v", round, in.Consumer)
		}
		time.Sleep(time.Duration(round) * 3 * time.Millisecond)
		c.kill()
		if in := seg.Info(); in.Consumer.Alive {
			t.Fatal("the killed consumer counts as alive")
		}
		time.Sleep(20 * time.Millisecond) // the ring fills up, nobody reads
	}
	if err := prod.Err(); err != nil {
		t.Fatal(err)
	}
	if n := seg.Counters().Starts; n != 4 {
		t.Fatalf("%d sessions, want 4", n)
	}
}

// TestKillProducer kills the relay with -9 at any moment; its reader drains
// what was handed over whole, finds out, and opens the ring of the next relay.
func TestKillProducer(t *testing.T) {
	base := shmDir(t)
	dir := filepath.Join(base, "relay")
	fds := openFDs(t)
	buf := make([]md.Record, 300)
	for round := range 4 {
		relay := start(t, "produce", base)
		relay.line(t)
		c, err := Open(dir, "r")
		if err != nil {
			t.Fatal(err)
		}
		var f follower
		read := func() error {
			ok, err := c.Wait(WaitMode(round%3), 2*time.Second)
			if err != nil {
				return err
			}
			if !ok {
				t.Fatal("nothing came for two seconds")
			}
			n, err := c.Poll(buf[:100+round])
			if bad := f.take(buf[:n]); bad != nil {
				t.Fatal(bad)
			}
			return err
		}
		for f.trades < 3000 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}
		relay.kill()
		// What was not read yet can be seen from outside, and is still ours to read.
		left, err := Leftover(dir, "r")
		if err != nil || len(left) != c.Depth() {
			t.Fatal(len(left), c.Depth(), err)
		}
		for err = read(); err == nil; err = read() {
		}
		var gone *GoneError
		if !errors.As(err, &gone) || gone.Reopen {
			t.Fatal(err)
		}
		if _, err := Open(dir, "r"); !errors.Is(err, ErrProducerGone) {
			t.Fatal(err)
		}
		if in, err := Stat(dir, "r"); err != nil || in.State != "dead" || in.Producer.Alive || in.Depth != 0 {
			t.Fatal(in, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if gone, err := ReclaimDead(base); len(gone) != 1 || err != nil {
		t.Fatal(gone, err)
	}
	if left, _ := os.ReadDir(base); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if n := openFDs(t); n > fds+4 { // pipes of children that the test still holds
		t.Fatalf("%d descriptors, %d before", n, fds)
	}
}
