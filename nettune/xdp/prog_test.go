package xdp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// Verdicts of XDP programs, linux/bpf.h.
const (
	xdpDrop = 1
	xdpPass = 2
)

// loaded is the program without an interface, run frame by frame.
type loaded struct {
	t   testing.TB
	obj filterObjects
	f   *Filter
}

func loadProgram(t testing.TB, port uint16, burst uint64) *loaded {
	t.Helper()
	needRoot(t)
	l := &loaded{t: t}
	if err := loadFilterObjects(&l.obj, nil); err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			t.Fatalf("%+v", ve)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.obj.Close() })
	l.f = &Filter{maps: l.obj.filterMaps}
	const hour = uint64(time.Hour)
	set := filterSettings{Port: swap16(port), SynGap: hour, SynSlack: hour * (burst - 1), PacketGap: hour, PacketSlack: hour * (burst - 1)}
	if err := l.obj.Config.Put(uint32(0), set); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *loaded) counts() (c [NumReasons]uint64) {
	var perCPU []uint64
	for r := range NumReasons {
		if err := l.obj.Counters.Lookup(uint32(r), &perCPU); err != nil {
			l.t.Fatal(err)
		}
		for _, n := range perCPU {
			c[r] += n
		}
	}
	return c
}

// run passes frame through the program and returns the reason it was counted
// under.
func (l *loaded) run(frame []byte) Reason {
	l.t.Helper()
	before := l.counts()
	out := make([]byte, len(frame)+256)
	opts := &ebpf.RunOptions{Data: frame, DataOut: out}
	verdict, err := l.obj.TickrelayXdp.Run(opts)
	if err != nil {
		l.t.Fatalf("%x: %v", frame, err)
	}
	after := l.counts()
	reason, n := NumReasons, uint64(0)
	for r := range NumReasons {
		if d := after[r] - before[r]; d > 0 {
			reason, n = r, n+d
		}
	}
	if n != 1 {
		l.t.Fatalf("%x: counted %d times", frame, n)
	}
	want := uint32(xdpPass)
	if reason.Drops() {
		want = xdpDrop
	}
	if verdict != want {
		l.t.Fatalf("%x: counted as %v, verdict %d", frame, reason, verdict)
	}
	if string(opts.DataOut) != string(frame) {
		l.t.Fatalf("%x: the frame was changed to %x", frame, opts.DataOut)
	}
	return reason
}

// addTestRules puts the same rules into the program and the model.
func addTestRules(l *loaded) *model {
	m := &model{port: 8080, burst: 3, allow: map[netip.Prefix]bool{}, deny: map[netip.Prefix]bool{},
		connections: map[[2]netip.AddrPort]bool{}, syn: map[netip.Prefix]int{}, packet: map[netip.Prefix]int{}}
	for _, x := range []struct {
		list List
		p    string
		cut  bool
	}{
		{Deny, "10.9.0.0/16", false}, {Deny, "10.10.0.0/16", true}, {Deny, "10.10.1.0/24", false},
		{Allow, "10.9.8.0/24", false}, {Deny, "fd09::/16", false}, {Deny, "fd10::/16", true}, {Allow, "fd09:8::/32", false},
		{Deny, "0.0.0.0/8", false}, {Deny, "203.0.113.7/32", false}, {Deny, "2001:db8::7/128", false},
	} {
		if err := l.f.Add(x.list, Rule{Prefix: prefix(x.p), Cut: x.cut}); err != nil {
			l.t.Fatal(err)
		}
		if x.list == Allow {
			m.allow[prefix(x.p)] = false
		} else {
			m.deny[prefix(x.p)] = x.cut
		}
	}
	return m
}

type frameCase struct {
	name string
	spec frameSpec
	want Reason
}

// frameCases are frames and what they must be counted as; the budgets are 3.
func frameCases() []frameCase {
	const q, ad = 0x8100, 0x88a8
	v4 := func(f func(*frameSpec)) frameSpec {
		s := frameSpec{src: "192.0.2.1", sport: 4000, dport: 8080, flags: flagSYN}
		if f != nil {
			f(&s)
		}
		return s
	}
	v6 := func(f func(*frameSpec)) frameSpec {
		s := frameSpec{src: "2001:db8::1", sport: 4000, dport: 8080, flags: flagSYN}
		if f != nil {
			f(&s)
		}
		return s
	}
	chain := func(h ...byte) frameSpec { return v6(func(s *frameSpec) { s.chain = h }) }
	nine := make([]byte, 9)
	for i := range nine {
		nine[i] = destOpts
	}
	return []frameCase{
		{"SYN", v4(nil), PassSYN},
		{"SYN, IPv6", v6(nil), PassSYN},
		{"SYN with data (Fast Open)", v4(func(s *frameSpec) { s.payload = 900 }), PassSYN},
		{"SYN-ACK is no SYN", v4(func(s *frameSpec) { s.flags = flagSYN | flagACK }), PassPacket},
		{"ACK without connection", v4(func(s *frameSpec) { s.flags = flagACK }), PassPacket},
		{"RST without connection", v6(func(s *frameSpec) { s.flags = flagRST }), PassPacket},
		{"no flags", v4(func(s *frameSpec) { s.flags = 0 }), PassPacket},
		{"all flags", v4(func(s *frameSpec) { s.flags = 0x3f }), PassPacket},
		{"SYN and FIN", v4(func(s *frameSpec) { s.flags = flagSYN | flagFIN }), PassSYN},
		{"another port", v4(func(s *frameSpec) { s.dport = 22 }), PassOther},
		{"from our port", v4(func(s *frameSpec) { s.sport, s.dport = 8080, 9 }), PassOther},
		{"UDP to the port's number", v4(func(s *frameSpec) { s.proto = 17 }), PassOther},
		{"UDP over IPv6", v6(func(s *frameSpec) { s.proto = 17 }), PassOther},
		{"IPv6 in IPv4", v4(func(s *frameSpec) { s.proto = 41 }), PassOther},
		{"VLAN", v4(func(s *frameSpec) { s.vlans = []uint16{q} }), PassSYN},
		{"VLAN in VLAN", v6(func(s *frameSpec) { s.vlans = []uint16{ad, q} }), PassSYN},
		{"three VLAN tags", v4(func(s *frameSpec) { s.vlans = []uint16{ad, q, q} }), PassOther},
		{"VLAN cut in the tag", v4(func(s *frameSpec) { s.vlans, s.keep = []uint16{q}, 16 }), PassMalformed},
		{"IPv4 options", v4(func(s *frameSpec) { s.options = 10 }), PassSYN},
		{"IPv4 header cut", v4(func(s *frameSpec) { s.keep = 14 + 19 }), PassMalformed},
		{"IPv4 options cut", v4(func(s *frameSpec) { s.options, s.keep = 10, 14+40 }), PassMalformed},
		{"TCP header cut", v4(func(s *frameSpec) { s.keep = 14 + 20 + 19 }), PassMalformed},
		{"Ethernet header alone", v4(func(s *frameSpec) { s.keep = 14 }), PassMalformed},
		{"do not fragment", v4(func(s *frameSpec) { s.frag = 0x4000 }), PassSYN},
		{"first fragment, whole header", v4(func(s *frameSpec) { s.frag, s.payload = 0x2000, 40 }), PassSYN},
		{"later fragment", v4(func(s *frameSpec) { s.frag = 0x2000 | 100 }), PassFragment},
		{"last fragment", v4(func(s *frameSpec) { s.frag = 100 }), PassFragment},
		{"tiny first fragment", v4(func(s *frameSpec) { s.frag, s.total = 0x2000, 28 }), DropTinyFragment},
		{"tiny first fragment, options", v4(func(s *frameSpec) { s.frag, s.options, s.total = 0x2000, 2, 28+19 }), DropTinyFragment},
		{"tiny first fragment to another port", v4(func(s *frameSpec) { s.frag, s.total, s.dport = 0x2000, 28, 22 }), PassFragment},
		{"tiny first fragment without ports", v4(func(s *frameSpec) { s.frag, s.total, s.keep = 0x2000, 28, 14+22 }), PassMalformed},
		{"hop-by-hop", chain(hopByHop), PassSYN},
		{"all extension headers", chain(hopByHop, destOpts, routing, fragment, ah, destOpts), PassSYN},
		{"long options", v6(func(s *frameSpec) { s.chain, s.extLen = []byte{destOpts}, 64 }), PassSYN},
		{"authentication header counts in words", v6(func(s *frameSpec) { s.chain, s.extLen = []byte{ah}, 4 }), PassSYN},
		{"eight headers", chain(nine[:8]...), PassSYN},
		{"nine headers", chain(nine...), DropHeaderChain},
		{"nothing follows", chain(hopByHop, noNext), PassOther},
		{"extension header cut", v6(func(s *frameSpec) { s.chain, s.keep = []byte{hopByHop}, 14+41 }), PassMalformed},
		{"fragment header cut", v6(func(s *frameSpec) { s.chain, s.keep = []byte{fragment}, 14+47 }), PassMalformed},
		{"IPv6 header cut", v6(func(s *frameSpec) { s.keep = 14 + 39 }), PassMalformed},
		{"IPv6 first fragment", v6(func(s *frameSpec) { s.chain, s.frag = []byte{fragment}, 1 }), PassSYN},
		{"IPv6 later fragment", v6(func(s *frameSpec) { s.chain, s.frag = []byte{fragment}, 8 }), PassFragment},
		{"denied", v4(func(s *frameSpec) { s.src = "10.9.0.1" }), DropDeny},
		{"denied, no SYN, no connection", v4(func(s *frameSpec) { s.src, s.flags = "10.9.0.1", flagACK }), DropDeny},
		{"denied, another port", v4(func(s *frameSpec) { s.src, s.dport = "10.9.0.1", 22 }), PassOther},
		{"denied and cut", v4(func(s *frameSpec) { s.src = "10.10.0.1" }), DropDeny},
		{"allowed within what is denied", v4(func(s *frameSpec) { s.src = "10.9.8.1" }), PassAllowed},
		{"one address denied", v4(func(s *frameSpec) { s.src = "203.0.113.7" }), DropDeny},
		{"its neighbour", v4(func(s *frameSpec) { s.src = "203.0.113.6" }), PassSYN},
		{"denied, IPv6", v6(func(s *frameSpec) { s.src = "fd09::1" }), DropDeny},
		{"allowed, IPv6", v6(func(s *frameSpec) { s.src = "fd09:8::1" }), PassAllowed},
		{"one IPv6 address denied", v6(func(s *frameSpec) { s.src = "2001:db8::7" }), DropDeny},
		{"an IPv6 address with an IPv4 prefix's bytes", v6(func(s *frameSpec) { s.src = "a09::1" }), PassSYN},
	}
}

func TestFrames(t *testing.T) {
	newSpace(t).do(func() error { // no socket of the host must match
		l := loadProgram(t, 8080, 3)
		m := addTestRules(l)
		for _, x := range frameCases() {
			for k := range (*m).syn {
				m.forget(l, k)
			}
			for k := range (*m).packet {
				m.forget(l, k)
			}
			frame := x.spec.frame()
			if got := l.run(frame); got != x.want {
				t.Errorf("%s: %v, want %v", x.name, got, x.want)
			}
			if got := m.judge(frame); got != x.want {
				t.Errorf("%s: the model says %v, want %v", x.name, got, x.want)
			}
		}
		return nil
	})
}

// forget gives a source its budgets back, in both.
func (m *model) forget(l *loaded, from netip.Prefix) {
	delete(m.syn, from)
	delete(m.packet, from)
	if err := l.obj.Sources.Delete(address(from.Addr())); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		l.t.Fatal(err)
	}
}

// FuzzFrame holds the program against the model: the same frame five times, so
// that budgets of three are exceeded.
func FuzzFrame(f *testing.F) {
	for _, x := range frameCases() {
		f.Add(x.spec.frame())
	}
	needRoot(f)
	l := loadProgram(f, 8080, 3)
	m := addTestRules(l)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 14 || len(frame) > 3000 {
			t.Skip() // the kernel runs no frame below an Ethernet header
		}
		l.t = t
		for i := range 5 {
			if got, want := l.run(frame), m.judge(frame); got != want {
				t.Fatalf("run %d of %x: %v, model %v", i, frame, got, want)
			}
		}
		for k := range m.syn {
			m.forget(l, k)
		}
		for k := range m.packet {
			m.forget(l, k)
		}
	})
}

// Sockets of the kernel decide what a connection is.
func TestConnections(t *testing.T) {
	newSpace(t).do(func() error {
		for _, host := range []string{"127.0.0.1", "::1"} {
			ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				return err
			}
			defer ln.Close()
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return err
			}
			defer c.Close()
			a, err := ln.Accept()
			if err != nil {
				return err
			}
			defer a.Close()
			from := c.LocalAddr().(*net.TCPAddr).AddrPort()
			to := ln.Addr().(*net.TCPAddr).AddrPort()
			l := loadProgram(t, to.Port(), 1)
			spec := frameSpec{src: from.Addr().String(), dst: host, sport: from.Port(), dport: to.Port(), flags: flagACK}
			check := func(what string, change func(*frameSpec), want Reason) {
				t.Helper()
				s := spec
				change(&s)
				if got := l.run(s.frame()); got != want {
					t.Errorf("%s, %s: %v, want %v", host, what, got, want)
				}
			}
			same := func(*frameSpec) {}
			syn := func(s *frameSpec) { s.flags = flagSYN }
			stranger := func(s *frameSpec) { s.sport ^= 1 }
			for range 100 {
				check("its connection, again and again", same, PassConnection)
			}
			check("first SYN", syn, PassSYN)
			check("second SYN", syn, DropSYNBudget)
			check("first without connection", stranger, PassPacket)
			check("second without connection", stranger, DropPacketBudget)
			check("its connection with both budgets spent", same, PassConnection)
			whole := netip.PrefixFrom(from.Addr(), from.Addr().BitLen())
			if err := l.f.Add(Deny, Rule{Prefix: whole}); err != nil {
				return err
			}
			check("denied stranger", stranger, DropDeny)
			check("denied SYN", syn, DropDeny)
			check("its connection although denied", same, PassConnection)
			if err := l.f.Add(Deny, Rule{Prefix: whole, Cut: true}); err != nil {
				return err
			}
			check("its connection, cut", same, DropDeny)
			if err := l.f.Add(Allow, Rule{Prefix: whole}); err != nil {
				return err
			}
			check("allowed over all", syn, PassAllowed)
		}
		return nil
	})
}

// An expired rule does not hide the network that holds it.
func TestExpiry(t *testing.T) {
	l := loadProgram(t, 8080, 1000)
	syn := func(src string) []byte {
		return frameSpec{src: src, sport: 1, dport: 8080, flags: flagSYN}.frame()
	}
	const soon = 150 * time.Millisecond
	for _, p := range []string{"192.0.2.7/32", "192.0.2.0/25", "192.0.2.0/26", "192.0.2.0/27", "2001:db8:0:1::/64", "2001:db8::7/128"} {
		if err := l.f.Add(Deny, Rule{Prefix: prefix(p), Left: soon}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(src string, want Reason) {
		t.Helper()
		if got := l.run(syn(src)); got != want {
			t.Errorf("%s: %v, want %v", src, got, want)
		}
	}
	for _, src := range []string{"192.0.2.7", "192.0.2.100", "2001:db8::7", "2001:db8:0:1:9::"} {
		expect(src, DropDeny)
	}
	expect("192.0.2.200", PassSYN)
	time.Sleep(soon + 10*time.Millisecond)
	for _, src := range []string{"192.0.2.7", "192.0.2.100", "2001:db8::7", "2001:db8:0:1:9::"} {
		expect(src, PassSYN)
	}
	for _, p := range []string{"192.0.2.0/24", "::/0"} {
		if err := l.f.Add(Deny, Rule{Prefix: prefix(p)}); err != nil {
			t.Fatal(err)
		}
	}
	expect("192.0.2.7", DropDeny) // behind four that are over
	expect("2001:db8::7", DropDeny)
	expect("198.51.100.1", PassSYN) // ::/0 is IPv6
	if n, err := l.f.Sweep(); n != 6 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if rules, err := l.f.Rules(Deny); len(rules) != 2 || err != nil {
		t.Errorf("%v %v", rules, err)
	}
}

// An IPv6 source is its /64; an IPv4 source its address.
func TestSourceIsANetworkOfIPv6(t *testing.T) {
	l := loadProgram(t, 8080, 2)
	for i, x := range []struct {
		src  string
		want Reason
	}{
		{"2001:db8::1", PassSYN}, {"2001:db8::2", PassSYN}, {"2001:db8::ffff:0:3", DropSYNBudget}, {"2001:db8:0:1::1", PassSYN},
		{"192.0.2.1", PassSYN}, {"192.0.2.1", PassSYN}, {"192.0.2.1", DropSYNBudget}, {"192.0.2.2", PassSYN},
	} {
		if got := l.run(frameSpec{src: x.src, sport: 1, dport: 8080, flags: flagSYN}.frame()); got != x.want {
			t.Errorf("%d, %s: %v, want %v", i, x.src, got, x.want)
		}
	}
}

// The bucket refills at its rate and holds its burst.
func TestBudgetRefills(t *testing.T) {
	l := loadProgram(t, 8080, 1)
	set := Config{Port: 8080, SYN: Budget{Rate: 100, Burst: 100}, Packets: Budget{None: true}}.settings()
	if err := l.obj.Config.Put(uint32(0), set); err != nil {
		t.Fatal(err)
	}
	frame := frameSpec{src: "192.0.2.1", sport: 1, dport: 8080, flags: flagSYN}.frame()
	start := time.Now()
	passed := 0
	for time.Since(start) < 300*time.Millisecond {
		if l.run(frame) == PassSYN {
			passed++
		}
	}
	took := time.Since(start)
	want := 100 + int(took/(10*time.Millisecond)) // a pause of the test up to 1 s loses no token
	if passed < want-1 || passed > want+1 {
		t.Errorf("%d passed in %v, want %d", passed, took, want)
	}
	frame = frameSpec{src: "192.0.2.1", sport: 1, dport: 8080, flags: flagACK}.frame()
	for range 5000 {
		if l.run(frame) != PassPacket {
			t.Fatal("limited without a limit")
		}
	}
}

// CPUs that see packets of one source at once share its budget to the packet.
func TestBudgetIsSharedByCPUs(t *testing.T) {
	const burst = 500
	l := loadProgram(t, 8080, burst)
	frame := frameSpec{src: "192.0.2.1", sport: 1, dport: 8080, flags: flagSYN}.frame()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if _, err := l.obj.TickrelayXdp.Run(&ebpf.RunOptions{Data: frame, Repeat: 100}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c := l.counts(); c[PassSYN] != burst || c[DropSYNBudget] < 4*100*100-burst {
		t.Errorf("%d passed, want %d; %d dropped", c[PassSYN], burst, c[DropSYNBudget])
	}
}

func TestRuleKeys(t *testing.T) {
	for _, x := range []struct{ in, want string }{
		{"192.0.2.77/24", "192.0.2.0/24"}, {"::ffff:192.0.2.77/120", "192.0.2.0/24"}, {"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:db8::77/64", "2001:db8::/64"}, {"::/0", "::/0"}, {"2001:db8::1/128", "2001:db8::1/128"},
	} {
		k, err := ruleKey(prefix(x.in))
		if err != nil || k.prefix() != prefix(x.want) {
			t.Errorf("%s: %v %v, want %s", x.in, k.prefix(), err, x.want)
		}
	}
	for _, bad := range []netip.Prefix{{}, prefix("::ffff:0:0/90")} {
		if _, err := ruleKey(bad); err == nil {
			t.Errorf("%v taken", bad)
		}
	}
	if got := swap16(0x1f90); binary.NativeEndian.AppendUint16(nil, got)[0] != 0x1f {
		t.Errorf("port bytes %#x", got)
	}
}
