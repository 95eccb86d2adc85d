package record

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

var kills = flag.Int("kills", 6, "times that TestKill kills the recorder; 100 take about a minute")

const childEnv = "TICKRELAY_TEST_RECORD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a recorder process: it records the ring "rec" of dir/relay into dir/out.
func child(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := New(Config{Dir: filepath.Join(dir, "out"), Relay: "kill", RowGroup: 1024, Seal: time.Second, Flush: 5 * time.Millisecond, MinFree: 1})
	if err != nil {
		return err
	}
	c, err := ring.Dial(ctx, ring.ClientConfig{Dir: filepath.Join(dir, "relay"), Rings: []string{"rec"}})
	if err != nil {
		return err
	}
	defer c.Close()
	return r.Run(ctx, c)
}

// TestKill kills a recorder at random moments while a ring is being filled. Afterwards
// every number is in the recording once, or in a gap; and what is there is what was sent.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	d, err := ring.OpenDir(dir, "relay", ring.Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	table, err := d.CreateTable(16)
	if err != nil {
		t.Fatal(err)
	}
	seg, err := d.CreateRing("rec", 1<<14, ring.Meta{Strategy: "rec", TableID: table.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	epoch := time.Now().UnixNano()
	pub := ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance, Epoch: epoch})
	if _, err := pub.Attach(seg, func(uint32, md.Channel) bool { return true }); err != nil {
		t.Fatal(err)
	}
	var topics []ring.TopicID
	for id := range uint32(3) {
		n, err := table.Add(md.Instrument{Venue: md.VenueBinance, Symbol: testSymbol(id), PriceExp: -2, SizeExp: -5})
		if err != nil {
			t.Fatal(err)
		}
		topics = append(topics, pub.AddTopic(n, md.ChannelTrades, nil))
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	sent := 0
	publish := func(until time.Time) {
		for time.Now().Before(until) {
			now := time.Now().UnixNano()
			for range rnd.IntN(40) {
				ev := make([]md.Record, 1+rnd.IntN(3))
				for i := range ev {
					ev[i] = md.Record{Kind: md.KindTrade, TsRecv: now, TsEvent: 1, Price: int64(sent), Size: 3, PriceExp: -2, SizeExp: -5, ID: uint64(sent)}
				}
				pub.Publish(topics[rnd.IntN(3)], ev)
				sent += len(ev)
			}
			pub.Flush()
			pub.Turn(now)
			time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func() *exec.Cmd {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	attached := func() {
		starts := seg.Counters().Starts
		for deadline := time.Now().Add(60 * time.Second); seg.Counters().Starts == starts; {
			publish(time.Now().Add(10 * time.Millisecond))
			if time.Now().After(deadline) {
				t.Fatal("the recorder did not open the ring")
			}
		}
	}
	for range *kills {
		cmd := run()
		attached()
		publish(time.Now().Add(time.Duration(50+rnd.IntN(500)) * time.Millisecond))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
	}
	cmd := run()
	starts := seg.Counters().Starts
	for deadline := time.Now().Add(60 * time.Second); seg.Counters().Starts == starts && time.Now().Before(deadline); {
		publish(time.Now().Add(10 * time.Millisecond))
	}
	publish(time.Now().Add(200 * time.Millisecond))
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	check(t, filepath.Join(dir, "out"), sent, epoch)
	for id, topic := range topics {
		if _, last := numbers(t, filepath.Join(dir, "out"), "binance.trades."+testSymbol(uint32(id))); last != pub.TopicSeq(topic) {
			t.Errorf("topic %d ends at %d, %d was published", id, last, pub.TopicSeq(topic))
		}
	}
}

// check wants the whole recording to be accounted for.
func check(t *testing.T, out string, sent int, epoch int64) {
	records, gaps := uint64(0), uint64(0)
	for id := range uint32(3) {
		topic := "binance.trades." + testSymbol(id)
		err := Scan(context.Background(), out, Query{Topics: []string{topic}}, func(e Event) error {
			if e.Epoch != epoch {
				return fmt.Errorf("epoch %d, want %d", e.Epoch, epoch)
			}
			for i := range e.Records {
				switch r := &e.Records[i]; r.Kind {
				case md.KindTrade:
					records++
					if r.ID != uint64(r.Price) || r.TsEvent != 1 || r.Size != 3 || r.ID >= uint64(sent) {
						return fmt.Errorf("not what was sent: %+v", r)
					}
				case md.KindGap:
					gaps += r.Seq - r.ID + 1
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records sent, %d recorded, %d in gaps", sent, records, gaps)
	if records == 0 || records+gaps > uint64(sent) {
		t.Errorf("%d records and %d in gaps of %d", records, gaps, sent)
	}
	left, err := filepath.Glob(filepath.Join(out, "*/*/*[lp]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if filepath.Ext(f) != parquetExt {
			t.Error("left behind:", f)
		}
	}
}
