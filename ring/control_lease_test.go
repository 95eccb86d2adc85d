package ring

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// leaseRig is a relay whose leases can change: two feeds, one instrument each,
// trades and bbo.
type leaseRig struct {
	sync.Mutex
	dir  *Dir
	pubs []*Publisher
	sock string
}

func newLeaseRig(t *testing.T, cfg ServeConfig) *leaseRig {
	t.Helper()
	d, err := OpenDir(shmDir(t), "rig", Perm{})
	if err != nil {
		t.Fatal(err)
	}
	r := &leaseRig{dir: d, sock: filepath.Join(t.TempDir(), "c.sock")}
	for _, v := range []md.Venue{md.VenueOKX, md.VenueBitget} {
		p := NewPublisher(PublisherConfig{Venue: v})
		p.AddTopic(7, md.ChannelTrades, nil)
		p.AddTopic(7, md.ChannelBBO, nil)
		r.pubs = append(r.pubs, p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := cfg.ServeLeases(ctx, r.sock, r.attach); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() { r.loop(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	for range 200 {
		if conn, err := net.Dial("unix", r.sock); err == nil {
			conn.Close()
			return r
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the socket never came up")
	return nil
}

func (r *leaseRig) loop(ctx context.Context) {
	for n := int64(1); ctx.Err() == nil; n++ {
		r.Lock()
		for _, p := range r.pubs {
			if n%20 == 1 {
				p.Publish(0, []md.Record{signed(p.TopicSeq(0) + 1)})
				p.Publish(1, []md.Record{
					{Kind: md.KindBBO, Side: md.SideBid, Price: n, Size: 1, TsRecv: n},
					{Kind: md.KindBBO, Side: md.SideAsk, Price: n + 1, Size: 1, TsRecv: n}})
			}
			p.Turn(time.Now().UnixNano())
		}
		r.Unlock()
		time.Sleep(100 * time.Microsecond)
	}
}

func (r *leaseRig) attach(req AttachRequest) (*Grant, error) {
	rings := make([]*Producer, len(r.pubs))
	change := func(topics []string) (added []*Segment, err error) {
		r.Lock()
		defer r.Unlock()
		for i, p := range r.pubs {
			venue := p.venue
			want := func(_ uint32, ch md.Channel) bool {
				return slices.ContainsFunc(topics, func(t string) bool {
					pat, _ := md.ParsePattern(t)
					return pat.Match(md.Topic{Venue: venue, Channel: ch, Symbol: "X"}.String())
				})
			}
			if rings[i] != nil {
				p.Select(rings[i], want)
			} else if want(7, md.ChannelTrades) || want(7, md.ChannelBBO) {
				s, err := r.dir.CreateRing(fmt.Sprint(req.Strategy, i), req.Capacity, Meta{Strategy: req.Strategy})
				if err != nil {
					return nil, err
				}
				rings[i], _ = p.Attach(s, want)
				added = append(added, s)
			}
		}
		if slices.Contains(topics, "okx.trades.NOPE") {
			return nil, &TopicError{Topic: "okx.trades.NOPE", Nearest: []string{"okx.trades.X"}}
		}
		return added, nil
	}
	segs, err := change(req.Topics)
	if err != nil {
		return nil, err
	}
	return &Grant{Segments: segs, Change: change, End: func() {
		r.Lock()
		defer r.Unlock()
		for i, prod := range rings {
			if prod != nil {
				r.pubs[i].Detach(prod)
				prod.Segment().Close()
			}
		}
	}}, nil
}

// seen reads for a while and returns which topics had records.
func seen(t *testing.T, p *Poller, until ...md.Topic) map[md.Topic]int {
	t.Helper()
	got := map[md.Topic]int{}
	buf := make([]md.Record, 64)
	for deadline := time.Now().Add(5 * time.Second); ; {
		n, err := p.Poll(buf)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range buf[:n] {
			if !r.Kind.Control() {
				got[md.Topic{Venue: r.Venue, Channel: r.Channel()}]++
			}
		}
		if !slices.ContainsFunc(until, func(k md.Topic) bool { return got[k] < 3 }) {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want %v", got, until)
		}
		if _, err := p.Wait(WaitBlock, time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChangeTopics adds and removes topics of a lease that is being read.
func TestChangeTopics(t *testing.T) {
	for _, wake := range []string{WakeBlock, WakeEventFD} {
		t.Run(wake, func(t *testing.T) {
			rig := newLeaseRig(t, ServeConfig{})
			fds := openFDs(t)
			p, err := Attach(t.Context(), rig.sock, AttachRequest{Strategy: "s", Topics: []string{"okx.trades.*"}, Capacity: 1024, Wake: wake})
			if err != nil {
				t.Fatal(err)
			}
			okxTrades, okxBBO := md.Topic{Venue: md.VenueOKX, Channel: md.ChannelTrades}, md.Topic{Venue: md.VenueOKX, Channel: md.ChannelBBO}
			other := md.Topic{Venue: md.VenueBitget, Channel: md.ChannelBBO}
			if got := seen(t, p, okxTrades); len(got) != 1 {
				t.Fatalf("got %v", got)
			}
			if err := p.Subscribe(t.Context(), "*.bbo.X"); err != nil {
				t.Fatal(err)
			}
			if got := seen(t, p, okxTrades, okxBBO, other); len(got) != 3 || len(p.Consumers()) != 2 {
				t.Fatalf("got %v over %d rings", got, len(p.Consumers()))
			}
			var refused *AttachError
			if err := p.Subscribe(t.Context(), "okx.trades.NOPE"); !errors.As(err, &refused) || refused.Code != CodeBadTopic || len(refused.Nearest) != 1 {
				t.Fatal(err)
			}
			if err := p.Unsubscribe(t.Context(), "okx.funding.*"); !errors.As(err, &refused) || refused.Code != CodeBadTopic {
				t.Fatal(err)
			}
			if err := p.Unsubscribe(t.Context(), "okx.trades.*"); err != nil {
				t.Fatal(err)
			}
			empty(t, p)
			if got := seen(t, p, okxBBO, other); got[okxTrades] != 0 {
				t.Fatalf("trades after unsubscribing: %v", got)
			}
			if in, err := Stat(rig.dir.Path(), "s0"); err != nil || in.Wake != wake {
				t.Fatalf("%+v, %v", in, err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(5 * time.Second); openFDs(t) > fds; time.Sleep(2 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d descriptors, %d before", openFDs(t), fds)
				}
			}
		})
	}
}

func empty(t *testing.T, p *Poller) {
	t.Helper()
	buf := make([]md.Record, 256)
	for {
		if n, err := p.Poll(buf); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			return
		}
	}
}

// TestEventFD waits as an event loop does: epoll on the lease's descriptor and
// nothing else.
func TestEventFD(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		t.Run(fmt.Sprint("trusted ", trusted), func(t *testing.T) {
			pub := NewPublisher(PublisherConfig{Venue: md.VenueOKX})
			topic := pub.AddTopic(7, md.ChannelTrades, nil)
			seg := NewHeap(256, Meta{})
			pub.Attach(seg, nil)
			n, err := newNotifier(trusted)
			if err != nil {
				t.Fatal(err)
			}
			defer n.close()
			n.serve([]*Segment{seg})
			c, _ := OpenConsumer(seg)
			fd, _ := unix.Dup(n.read.fd)
			p := NewPoller(c)
			if p.wake, err = newWaker(fd); err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			c.wakeVia(p.wake)
			readable := func(wait time.Duration) bool {
				fds := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}
				k, err := unix.Poll(fds, int(wait.Milliseconds()))
				for errors.Is(err, unix.EINTR) { // the runtime's own signals
					k, err = unix.Poll(fds, int(wait.Milliseconds()))
				}
				return k == 1
			}
			pub.Turn(1)
			empty(t, p)
			for i := range 100 {
				if !p.Arm() {
					t.Fatalf("round %d: nothing is there, yet not armed", i)
				}
				if readable(0) {
					t.Fatalf("round %d: readable with nothing to read", i)
				}
				done := make(chan struct{})
				go func() { defer close(done); pub.Publish(topic, []md.Record{signed(uint64(i + 1))}); pub.Flush() }()
				if !readable(5 * time.Second) {
					t.Fatalf("round %d: never woken", i)
				}
				<-done
				if p.Arm() {
					t.Fatalf("round %d: armed with a record waiting", i)
				}
				p.Disarm()
				empty(t, p)
			}
			if w := seg.Counters().Wakes; w != 100 {
				t.Errorf("%d wakes for 100 records to a sleeping reader", w)
			}
			var wg sync.WaitGroup
			wg.Go(func() { time.Sleep(10 * time.Millisecond); p.Interrupt() })
			defer wg.Wait() // before Close
			if ok, err := p.Wait(WaitBlock, 5*time.Second); ok || err != nil {
				t.Fatal(ok, err)
			}
		})
	}
}

// TestNotifyNeverBlocks lets a reader fill its descriptor and make it blocking.
func TestNotifyNeverBlocks(t *testing.T) {
	n, err := newNotifier(false)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	syscall.SetNonblock(n.read.fd, false)
	for range 100_000 { // a pipe holds 8,192 of them
		signalFD(n.write.fd)
	}
}

// TestWakeAllocs: neither side allocates while one wakes the other.
func TestWakeAllocs(t *testing.T) {
	n, err := newNotifier(true)
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := unix.Dup(n.read.fd)
	w, err := newWaker(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	defer w.close()
	if a := testing.AllocsPerRun(100, func() { signalFD(n.write.fd); w.wait(time.Second) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// TestPeers: the allow list decides, and each refusal says so.
func TestPeers(t *testing.T) {
	me := ServeConfig{AllowUIDs: []int{4242}, AllowGIDs: []int{555}}
	for _, c := range []struct {
		cfg    ServeConfig
		cred   unix.Ucred
		groups []uint32
		want   bool
	}{
		{me, unix.Ucred{Uid: 4242, Gid: 1}, nil, true},
		{me, unix.Ucred{Uid: 4243, Gid: 1}, nil, false},
		{me, unix.Ucred{Uid: 4243, Gid: 555}, nil, true},
		{me, unix.Ucred{Uid: 4243, Gid: 1}, []uint32{7, 555}, true},
		{ServeConfig{}, unix.Ucred{Uid: 4242}, nil, false},
		{ServeConfig{Group: 9}, unix.Ucred{Uid: 4242}, nil, true}, // the socket's mode let it in
		{ServeConfig{Group: 9, AllowUIDs: []int{1}}, unix.Ucred{Uid: 4242, Gid: 8}, nil, false},
		{ServeConfig{Group: 9, AllowUIDs: []int{1}}, unix.Ucred{Uid: 4242, Gid: 8}, []uint32{9}, true},
	} {
		if got := c.cfg.allows(&c.cred, c.groups); got != c.want {
			t.Errorf("%+v, %+v, %v: %v", c.cfg, c.cred, c.groups, got)
		}
	}
}

// TestLeaseRefusals: wrong version, nobody there, changes that make no sense.
func TestLeaseRefusals(t *testing.T) {
	rig := newLeaseRig(t, ServeConfig{})
	if _, err := Attach(t.Context(), rig.sock+"x", AttachRequest{Strategy: "s", Topics: []string{">"}}); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
	conn, err := net.Dial("unix", rig.sock)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	ask := func(request string) (ans wireAnswer) {
		t.Helper()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintln(conn, request)
		b, err := br.ReadBytes('\n')
		if err = errors.Join(err, json.Unmarshal(b, &ans)); err != nil {
			t.Fatal(err)
		}
		return ans
	}
	if a := ask(`{"op":"attach","strategy":"s","topics":["okx.>"],"version":1,"wake":"yield"}`); a.Op != "attached" || a.Version != 1 || len(a.Rings) != 1 {
		t.Fatal(a)
	}
	for request, code := range map[string]string{
		`{"op":"sing","topics":[">"]}`:        CodeBadRequest,
		`{"op":"subscribe"}`:                  CodeBadRequest,
		`{"op":"subscribe","topics":["a.."]}`: CodeBadTopic,
	} {
		if a := ask(request); a.Op != "error" || a.Code != code {
			t.Errorf("%s: %+v", request, a)
		}
	}
	if a := ask(`{"op":"unsubscribe","topics":["okx.>"]}`); a.Op != "subscribed" || len(a.Topics) != 0 { // the lease survived all that
		t.Fatal(a)
	}
	for request, code := range map[string]string{
		`{"op":"attach","strategy":"s","topics":[">"],"version":2}`:    CodeBadVersion,
		`{"op":"attach","strategy":"s","topics":[">"],"wake":"alarm"}`: CodeBadRequest,
	} {
		other, _ := net.Dial("unix", rig.sock)
		fmt.Fprintln(other, request)
		var a wireAnswer
		json.NewDecoder(other).Decode(&a)
		if a.Code != code {
			t.Errorf("%s: %+v", request, a)
		}
		other.Close()
	}
}
