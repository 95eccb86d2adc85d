package relay

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// reports collects what Offender is told.
type reports struct {
	mu   sync.Mutex
	said []string
}

func (r *reports) offender(a netip.Addr, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, a.String()+" "+reason)
}

func (r *reports) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := r.said
	r.said = nil
	return said
}

func TestOffenders(t *testing.T) {
	var r reports
	g := gateway(t, Config{Table: newTable(t).View(), Shards: 2, Offender: r.offender,
		ProxyProtocol: []netip.Prefix{netip.MustParsePrefix(theProxy + "/32")}, Limits: Limits{Offences: 3, HeadTimeout: 50 * time.Millisecond}})
	wrong := "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\n\r\n"
	for _, x := range []struct {
		name, from string
		parts      []string
		want       string
	}{
		{"no correct upgrade", "127.0.0.10", []string{wrong}, "127.0.0.10 upgrade"},
		{"half a head", "127.0.0.11", []string{"GET / HT"}, "127.0.0.11 head"},
		{"names itself", "127.0.0.12", []string{named("192.0.2.1")}, "127.0.0.12 proxy_protocol"},
		{"good upgrades", "127.0.0.13", []string{upgradeRequest}, ""},
		{"plain requests", "127.0.0.14", []string{"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"}, ""},
		{"another page's visitors", "127.0.0.15", []string{upgradeRequest[:len(upgradeRequest)-2] + "Origin: https://elsewhere.example\r\n\r\n"}, ""},
		{"through the proxy", theProxy, []string{named("192.0.2.9"), wrong}, ""},
	} {
		for i := range 3 {
			if said := r.take(); len(said) > 0 {
				t.Errorf("%s: %q after %d", x.name, said, i)
			}
			_, c := talk(t, g, x.from, x.parts...)
			_ = c.Close()
		}
		if x.want != "" {
			eventually(t, x.name, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.said) > 0 })
		}
		if said := fmt.Sprint(r.take()); said != "["+x.want+"]" {
			t.Errorf("%s: %s, want [%s]", x.name, said, x.want)
		}
	}
	for range 3 { // RFC 6455: opcode 3 is reserved
		c := dial(t, g)
		c.frame(ws.NewFrame(ws.OpCode(3), true, nil))
		c.closed()
	}
	eventually(t, "report of wrong frames", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.said) > 0 })
	if said := fmt.Sprint(r.take()); said != "[127.0.0.1 protocol]" {
		t.Error(said)
	}
}

func TestOffenceWindow(t *testing.T) {
	o := &offenders{most: 3, suspects: map[netip.Addr]suspect{}}
	now := time.Unix(1000, 0)
	at := func(addr string, after time.Duration) bool {
		return o.count(party(netip.MustParseAddr(addr)), now.Add(after))
	}
	for i, x := range []struct {
		addr  string
		after time.Duration
		want  bool
	}{
		{"192.0.2.1", 0, false}, {"192.0.2.1", 1, false}, {"192.0.2.2", 1, false}, {"192.0.2.1", 2, true},
		{"192.0.2.1", 3, false},                                                        // counted anew
		{"2001:db8::1", 0, false}, {"2001:db8::2", 0, false}, {"2001:db8::3", 0, true}, // one /64
		{"192.0.2.3", 0, false}, {"192.0.2.3", 1, false}, {"192.0.2.3", offenceWindow + 2, false}, // too long ago
		{"::ffff:192.0.2.4", 0, false}, {"192.0.2.4", 0, false}, {"192.0.2.4", 0, true},
	} {
		if got := at(x.addr, x.after); got != x.want {
			t.Errorf("%d, %s: %v", i, x.addr, got)
		}
	}
	for i := range 3 * maxSuspects {
		at(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), time.Duration(i)*time.Millisecond)
		if len(o.suspects) > maxSuspects {
			t.Fatalf("%d suspects are remembered", len(o.suspects))
		}
	}
}
