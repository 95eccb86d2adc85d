package xdp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// wsServer counts aloud over WebSocket: 1, 2, 3 … to each client on its own,
// 2,000 a second.
func wsServer(t *testing.T, s *space) (port uint16) {
	t.Helper()
	var ln net.Listener
	s.do(func() (err error) {
		ln, err = net.Listen("tcp", ":0")
		return err
	})
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				if _, err := ws.Upgrade(c); err != nil {
					return
				}
				for n := 1; ; n++ {
					if wsutil.WriteServerText(c, strconv.AppendInt(nil, int64(n), 10)) != nil {
						return
					}
					time.Sleep(500 * time.Microsecond)
				}
			})
		}
	})
	return ln.Addr().(*net.TCPAddr).AddrPort().Port()
}

// dial connects from an address of the client's end.
func dial(s *space, from string, port uint16, timeout time.Duration) (c net.Conn, err error) {
	src := netip.MustParseAddr(from)
	to := server4
	if src.Is6() {
		to = server6
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0)), Timeout: timeout}
	err = s.try(func() error {
		c, err = d.Dial("tcp", net.JoinHostPort(to, strconv.Itoa(int(port))))
		return err
	})
	return c, err
}

// wsClient connects and reads until stop; it fails the test if a message is
// missing or the connection breaks.
type wsClient struct {
	from string
	got  atomic.Int64
	c    net.Conn
	done chan error
}

func newWSClient(t *testing.T, s *space, from string, port uint16) *wsClient {
	t.Helper()
	c, err := dial(s, from, port, 3*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", from, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w := &wsClient{from: from, c: c, done: make(chan error, 1)}
	br, _, err := ws.Dialer{}.Upgrade(c, &url.URL{Scheme: "ws", Host: "gateway", Path: "/"})
	if err != nil {
		t.Fatalf("%s: %v", from, err)
	}
	r := br
	if r == nil {
		r = bufio.NewReader(c)
	}
	go func() {
		for {
			p, err := wsutil.ReadServerText(buffered{r, c})
			if err != nil {
				w.done <- err
				return
			}
			if n := w.got.Add(1); string(p) != strconv.FormatInt(n, 10) {
				w.done <- fmt.Errorf("message %s, want %d", p, n)
				return
			}
		}
	}()
	return w
}

// buffered reads what the handshake read ahead, first.
type buffered struct {
	r io.Reader
	io.Writer
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// progress waits for n more messages.
func (w *wsClient) progress(t *testing.T, n int64) {
	t.Helper()
	want := w.got.Load() + n
	if !until(func() bool { return w.got.Load() >= want }) {
		t.Errorf("%s: %d messages, stuck before %d", w.from, w.got.Load(), want)
	}
	select {
	case err := <-w.done:
		t.Errorf("%s: %v", w.from, err)
	default:
	}
}

// flood sends frames round robin from the client's end until stop; it returns
// how many left.
func flood(s *space, frames [][]byte, stop *atomic.Bool) (sent uint64, err error) {
	err = s.try(func() error {
		l, err := netlink.LinkByName(clientIf)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index}); err != nil {
			return err
		}
		for i := 0; !stop.Load(); i++ {
			switch _, err := unix.Write(fd, frames[i%len(frames)]); {
			case err == nil:
				sent++
			case errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR):
			default:
				return err
			}
		}
		return nil
	})
	return sent, err
}

// received is the kernel's count of IP packets, both families, in s.
func received(t *testing.T, s *space) (n uint64) {
	t.Helper()
	s.do(func() error {
		snmp, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		lines := strings.Split(string(snmp), "\n")
		names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
		for i := range names {
			if names[i] == "InReceives" {
				n, err = strconv.ParseUint(values[i], 10, 64)
			}
		}
		six, err2 := os.ReadFile("/proc/thread-self/net/snmp6")
		for line := range strings.Lines(string(six)) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == "Ip6InReceives" {
				v, _ := strconv.ParseUint(f[1], 10, 64)
				n += v
			}
		}
		return errors.Join(err, err2)
	})
	return n
}

// A flood from one source is dropped in the driver; others, the source's own
// connection, and newcomers do not notice.
func TestFlood(t *testing.T) {
	for _, mode := range []Mode{ModeNative, ModeGeneric} {
		t.Run(mode.String(), func(t *testing.T) { testFlood(t, mode) })
	}
}

func testFlood(t *testing.T, mode Mode) {
	fs := bpffs(t)
	server, client := cable(t)
	port := wsServer(t, server)
	c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: port, Mode: mode,
		SYN: Budget{Rate: 1, Burst: 20}, Packets: Budget{Rate: 1, Burst: 20}}
	attach(t, server, c)
	f := open(t, server, c.Target)
	var clients []*wsClient
	for _, from := range []string{"10.77.0.2", "10.77.0.3", "fd77::2", "fd78::2"} { // .3 and fd78 flood later
		clients = append(clients, newWSClient(t, client, from, port))
	}
	for _, w := range clients {
		w.progress(t, 20)
	}
	var frames [][]byte
	for i := range uint16(64) {
		for _, src := range []string{"10.77.0.3", "fd78::2"} {
			frames = append(frames,
				frameSpec{src: src, sport: 1000 + i, dport: port, flags: flagSYN}.frame(),
				frameSpec{src: src, sport: 1000 + i, dport: port, flags: flagACK}.frame())
		}
	}
	before, ipBefore := stats(t, server, f), received(t, server)
	var stop atomic.Bool
	type result struct {
		sent uint64
		err  error
	}
	over := make(chan result)
	go func() { n, err := flood(client, frames, &stop); over <- result{n, err} }()
	time.Sleep(300 * time.Millisecond)
	for _, w := range clients { // connected before: the flooders' own too
		w.progress(t, 400)
	}
	late := newWSClient(t, client, "10.77.0.4", port)
	late.progress(t, 200)
	if c, err := dial(client, "10.77.0.3", port, 300*time.Millisecond); err == nil {
		_ = c.Close()
		t.Error("a new connection of the flooder got through")
	}
	stop.Store(true)
	res := <-over
	if res.err != nil {
		t.Fatal(res.err)
	}
	var after Stats
	if !until(func() bool { after = stats(t, server, f); return after.Dropped()-before.Dropped() > res.sent*9/10 }) {
		t.Errorf("dropped %d of %d", after.Dropped()-before.Dropped(), res.sent)
	}
	var asIP uint64
	for _, w := range append(clients, late) {
		asIP += uint64(w.got.Load())
	}
	reached := received(t, server) - ipBefore
	t.Logf("%s: %d flooded, %d dropped, %d packets reached IP while %d messages went out", mode, res.sent, after.Dropped()-before.Dropped(), reached, asIP)
	if reached > res.sent/10+3*asIP+1000 {
		t.Errorf("%d packets reached the kernel's IP", reached)
	}
	for _, r := range []Reason{DropSYNBudget, DropPacketBudget} {
		if after.Counts[r]-before.Counts[r] < res.sent/3 {
			t.Errorf("%v: %d of %d", r, after.Counts[r]-before.Counts[r], res.sent)
		}
	}
}

// Rules against real connections, both families.
func TestRulesOnConnections(t *testing.T) {
	fs := bpffs(t)
	server, client := cable(t)
	port := wsServer(t, server)
	c := Config{Target: Target{Interface: serverIf, BPFFS: fs}, Port: port}
	attach(t, server, c)
	f := open(t, server, c.Target)
	const short = 250 * time.Millisecond
	can := func(from string, want bool) {
		t.Helper()
		wait := short
		if want {
			wait = 3 * time.Second
		}
		conn, err := dial(client, from, port, wait)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v, want connected %v", from, err, want)
		}
	}
	for _, x := range []struct{ addr, net, other string }{
		{"10.77.0.3", "10.77.0.0/24", "10.77.0.2"}, {"fd78::2", "fd78::/64", "fd77::2"},
	} {
		addr := netip.MustParseAddr(x.addr)
		can(x.addr, true)
		w := newWSClient(t, client, x.addr, port)
		if err := f.DenyFor(addr, 1200*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		can(x.addr, false)
		can(x.other, true)
		w.progress(t, 100) // connected before
		if !until(func() bool { c, err := dial(client, x.addr, port, short); return err == nil && c.Close() == nil }) {
			t.Error("the denial did not end")
		}
		if err := f.Add(Deny, Rule{Prefix: prefix(x.net), Cut: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		stuck := w.got.Load()
		can(x.addr, false)
		if err := f.Add(Allow, Rule{Prefix: netip.PrefixFrom(addr, addr.BitLen())}); err != nil {
			t.Fatal(err)
		}
		can(x.addr, true)
		w.progress(t, stuck-w.got.Load()+100) // came back with it: TCP repeats
		for list, p := range map[List]netip.Prefix{Allow: netip.PrefixFrom(addr, addr.BitLen()), Deny: prefix(x.net)} {
			if found, err := f.Remove(list, p); !found || err != nil {
				t.Errorf("%s %s: %v %v", list, p, found, err)
			}
		}
		can(x.addr, true)
	}
	if st := stats(t, server, f); st.Counts[DropDeny] == 0 || st.Counts[PassAllowed] == 0 || st.Counts[PassConnection] == 0 || st.Counts[PassSYN] == 0 {
		t.Errorf("%+v", st)
	}
}

// DenyFor never weakens what is in force.
func TestDenyForKeepsTheStronger(t *testing.T) {
	l := loadProgram(t, 8080, 3)
	a := netip.MustParseAddr("192.0.2.1")
	whole := netip.PrefixFrom(a, 32)
	for _, x := range []struct {
		name string
		have Rule
		cut  bool
		min  time.Duration
		own  bool // a rule of the address exists afterwards
	}{
		{"for ever", Rule{Prefix: whole}, false, 0, true},
		{"longer", Rule{Prefix: whole, Left: time.Hour}, false, 59 * time.Minute, true},
		{"shorter", Rule{Prefix: whole, Left: time.Second}, false, 59 * time.Second, true},
		{"shorter and cut", Rule{Prefix: whole, Left: time.Second, Cut: true}, true, 59 * time.Second, true},
		{"network cut for ever", Rule{Prefix: prefix("192.0.2.0/24"), Cut: true}, false, 0, false},
		{"network cut, shorter", Rule{Prefix: prefix("192.0.2.0/24"), Cut: true, Left: time.Second}, true, 59 * time.Second, true},
	} {
		if err := errors.Join(l.f.Add(Deny, x.have), l.f.DenyFor(netip.AddrFrom16(a.As16()), time.Minute)); err != nil {
			t.Fatal(err)
		}
		rules, err := l.f.Rules(Deny)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, r := range rules {
			if r.Prefix == whole {
				found = true
				if r.Cut != x.cut || (x.min == 0) != (r.Left == 0) || r.Left < x.min {
					t.Errorf("%s: %+v", x.name, r)
				}
			}
			_, _ = l.f.Remove(Deny, r.Prefix)
		}
		if found != x.own {
			t.Errorf("%s: %v", x.name, rules)
		}
	}
}
