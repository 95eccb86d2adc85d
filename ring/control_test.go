package ring

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// relayRig is a relay with two feeds, one loop, and a control socket.
type relayRig struct {
	sync.Mutex
	pubs   []*Publisher
	topics []TopicID
	dir    *Dir
	live   int // leases out
	sock   string
}

func newRelayRig(t *testing.T, ctx context.Context) *relayRig {
	t.Helper()
	base := shmDir(t)
	d, err := OpenDir(base, "rig", Perm{})
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.CreateTable(8)
	if err != nil {
		t.Fatal(err)
	}
	table.Add(md.Instrument{Venue: md.VenueOKX, Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTC-USDT"})
	r := &relayRig{dir: d, sock: filepath.Join(t.TempDir(), "c.sock")}
	for range 2 {
		p := NewPublisher(PublisherConfig{Venue: md.VenueOKX})
		r.pubs, r.topics = append(r.pubs, p), append(r.topics, p.AddTopic(7, md.ChannelTrades, nil))
	}
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, r.sock, r.attach) }()
	looped := make(chan struct{})
	go func() { defer close(looped); r.loop(ctx) }()
	t.Cleanup(func() {
		<-looped
		if err := <-served; err != nil {
			t.Error(err)
		}
		if r.live != 0 {
			t.Errorf("%d leases were never detached", r.live)
		}
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

func (r *relayRig) loop(ctx context.Context) {
	for ctx.Err() == nil {
		r.Lock()
		for i, p := range r.pubs {
			p.Publish(r.topics[i], []md.Record{signed(p.TopicSeq(r.topics[i]) + 1)})
			p.Turn(time.Now().UnixNano())
		}
		r.Unlock()
		time.Sleep(100 * time.Microsecond)
	}
}

func (r *relayRig) attach(req AttachRequest) (segs []*Segment, detach func(), err error) {
	r.Lock()
	defer r.Unlock()
	if req.Strategy == "refuse-me" {
		return nil, nil, errors.New("no feed serves these topics")
	}
	var prods []*Producer
	for i, p := range r.pubs {
		s, err := r.dir.CreateRing(req.Strategy+string(rune('a'+i)), req.Capacity, Meta{Strategy: req.Strategy})
		if err != nil {
			return nil, nil, err
		}
		prod, _ := p.Attach(s, nil)
		segs, prods = append(segs, s), append(prods, prod)
	}
	r.live++
	return segs, func() {
		r.Lock()
		defer r.Unlock()
		r.live--
		for i, p := range r.pubs {
			p.Detach(prods[i])
			segs[i].Close()
		}
	}, nil
}

func TestAttachOverSocket(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rig := newRelayRig(t, ctx)
	fds := openFDs(t)
	p, err := Attach(ctx, rig.sock, AttachRequest{Strategy: "alpha", Topics: []string{"okx.>"}, Capacity: 256})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Consumers()) != 2 || p.Consumers()[0].Capacity() != 256 || p.Table() == nil || p.Table().Len() != 1 {
		t.Fatalf("%d rings, table %v", len(p.Consumers()), p.Table())
	}
	var total int
	buf := make([]md.Record, 64)
	for total < 500 {
		if _, err := p.Wait(WaitBlock, time.Second); err != nil {
			t.Fatal(err)
		}
		n, err := p.Poll(buf)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if in, err := Stat(rig.dir.Path(), "alphaa"); err != nil || !in.Consumer.Alive || in.Strategy != "alpha" {
		t.Fatal(in, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		rig.Lock()
		live := rig.live
		rig.Unlock()
		if infos, _ := List(rig.dir.Path()); live == 0 && len(infos) == 0 && openFDs(t) <= fds {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lease outlived its connection: %d leases, %d descriptors, %d before", live, openFDs(t), fds)
		}
	}

	// A relay that ends tells its clients.
	p, err = Attach(ctx, rig.sock, AttachRequest{Strategy: "beta", Topics: []string{">"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cancel()
	for deadline := time.Now().Add(5 * time.Second); err == nil; {
		if _, err = p.Wait(WaitBlock, time.Second); err == nil {
			_, err = p.Poll(buf)
		}
		if time.Now().After(deadline) {
			t.Fatal("the client never noticed")
		}
	}
	if !errors.Is(err, ErrProducerGone) {
		t.Fatal(err)
	}
}

func TestAttachRefused(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rig := newRelayRig(t, ctx)
	if err := Serve(ctx, rig.sock, rig.attach); !errors.Is(err, ErrBusy) {
		t.Errorf("a second server: %v", err)
	}
	for request, code := range map[string]string{
		"nonsense":                       CodeBadRequest,
		`{"op":"sing"}`:                  CodeBadRequest,
		`{"op":"attach","topics":[">"]}`: CodeBadRequest,
		`{"op":"attach","strategy":"s","topics":[]}`:                              CodeBadRequest,
		`{"op":"attach","strategy":"s","topics":[">"],"capacity":-1}`:             CodeBadRequest,
		`{"op":"attach","strategy":"s","topics":[">"],"capacity":99999999999}`:    CodeBadRequest,
		`{"op":"attach","strategy":"s","topics":["a..b"]}`:                        CodeBadTopic,
		`{"op":"attach","strategy":"refuse-me","topics":[">"]}`:                   CodeRefused,
		`{"op":"attach","strategy":"../../etc","topics":[">"]}`:                   CodeRefused,
		`{"op":"attach","strategy":"` + strings.Repeat("x", 70000) + `","topics"`: CodeBadRequest,
	} {
		conn, err := net.Dial("unix", rig.sock)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		conn.Write([]byte(request + "\n"))
		b, _ := io.ReadAll(conn)
		if !strings.Contains(string(b), `"code":"`+code+`"`) {
			t.Errorf("%.60s: %s, want %s", request, b, code)
		}
		conn.Close()
	}
	var refused *AttachError
	if _, err := Attach(ctx, rig.sock, AttachRequest{Strategy: "refuse-me", Topics: []string{">"}}); !errors.As(err, &refused) || refused.Code != CodeRefused {
		t.Error(err)
	}
	if _, err := Attach(ctx, rig.sock+"x", AttachRequest{Strategy: "s", Topics: []string{">"}}); err == nil {
		t.Error("attached to nobody")
	}
}
