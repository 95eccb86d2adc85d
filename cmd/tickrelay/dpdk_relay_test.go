//go:build dpdk

package main

import (
	"context"
	bin "encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/vishvananda/netns"

	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// tagged builds the program with DPDK, once.
var tagged = sync.OnceValues(func() (string, error) {
	if _, err := binary(); err != nil { // its folder is removed at the end
		return "", err
	}
	out := filepath.Join(binaryDir, "tickrelay-dpdk")
	if msg, err := exec.Command("go", "build", "-tags", "dpdk", "-o", out, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build -tags dpdk: %w\n%s", err, msg)
	}
	return out, nil
})

// world is an exchange's namespace and a relay's, joined by a cable.
type world struct{ exchange, relay string }

func newWorld(t *testing.T) world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces, DPDK's devices")
	}
	for _, tool := range []string{"ip", "ethtool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	id := time.Now().UnixNano() % 1e8
	w := world{fmt.Sprintf("dpdk-x%d", id), fmt.Sprintf("dpdk-r%d", id)}
	sh := func(line string) {
		f := strings.Fields(line)
		if out, err := exec.Command(f[0], f[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	for _, ns := range []string{w.exchange, w.relay} {
		sh("ip netns add " + ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		sh("ip -n " + ns + " link set lo up")
	}
	sh("ip link add vx netns " + w.exchange + " type veth peer name vr netns " + w.relay)
	for _, end := range [][2]string{{w.exchange, "vx"}, {w.relay, "vr"}} {
		sh("ip netns exec " + end[0] + " ethtool -K " + end[1] + " tx off tso off gso off gro off")
		sh("ip -n " + end[0] + " link set " + end[1] + " up")
	}
	sh("ip -n " + w.exchange + " addr add 10.7.0.1/24 dev vx")
	return w
}

// in runs f on a thread that is in a namespace; sockets made there stay there.
func in(t *testing.T, name string, f func() error) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		h, err := netns.GetFromName(name)
		if err == nil {
			err = netns.Set(h)
			h.Close()
		}
		if err == nil {
			err = f()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// nameServer answers every question over TCP with 10.7.0.1.
func nameServer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				var n [2]byte
				if _, err := io.ReadFull(c, n[:]); err != nil {
					return
				}
				q := make([]byte, bin.BigEndian.Uint16(n[:]))
				if _, err := io.ReadFull(c, q); err != nil || len(q) < 17 {
					return
				}
				end := 12
				for q[end] != 0 {
					end += int(q[end]) + 1
				}
				end += 5 // the root label, type, class
				answer := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
				if q[end-3] == 1 { // an A question; for others there is nothing
					answer[7] = 1
					answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 7, 0, 1)
				}
				if _, err := c.Write(append(bin.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		}()
	}
}

// session runs a relay on a transport until a replay has ended, and returns what
// a strategy and a client of the gateway saw.
func (w world) session(t *testing.T, file, transport string, secure bool) (strategy, gateway *collector) {
	t.Helper()
	o := sim.ReplayOptions{Speed: 5}
	dir := t.TempDir()
	host, ca := "10.7.0.1", ""
	if secure {
		conf, _, err := sim.SelfSigned("exchange.test")
		if err != nil {
			t.Fatal(err)
		}
		o.TLS = conf
		host = "exchange.test"
		ca = writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conf.Certificates[0].Certificate[0]})))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var names net.Listener
	in(t, w.exchange, func() (err error) {
		names, err = net.Listen("tcp", "10.7.0.1:53")
		return err
	})
	defer names.Close()
	go nameServer(names)
	name := fmt.Sprintf("dpdk-%d", time.Now().UnixNano()%1e9)
	scheme := "ws"
	if secure {
		scheme = "wss"
	}
	text := fmt.Sprintf(`
relay: %s
listen: 10.7.0.2:8080
socket: %s
%s
feeds:
  - venue: okx
    url: %s://%s:9001/ws/v5/public
    rest: %s://%[5]s:9001
    instruments: [BTC-USDT]
    channels: [trades, book, bbo]
    ca: %[7]q
rings:
  - {strategy: alpha, topics: ["okx.>"], capacity: 65536}
`, name, filepath.Join(dir, "s"), transport, scheme, host, strings.Replace(scheme, "ws", "http", 1), ca)
	path, err := tagged()
	if err != nil {
		t.Fatal(err)
	}
	relay := startCommand(t, exec.Command("ip", "netns", "exec", w.relay, path, "run", "-c", writeFile(t, "relay.yaml", text)))
	rings := relay.line("rings ")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TICKRELAY_TEST_STRATEGY="+rings+"|alpha-okx")
	reader := startCommand(t, cmd)
	reader.line("open")
	var client net.Conn
	in(t, w.exchange, func() (err error) {
		d := ws.Dialer{Protocols: []string{"tickrelay.v1.binary"}, Timeout: 10 * time.Second}
		client, _, _, err = d.Dial(ctx, "ws://10.7.0.2:8080/ws")
		return err
	})
	defer client.Close()
	if err := wsutil.WriteClientText(client, []byte(`{"op":"subscribe","id":1,"topics":["okx.trades.>","okx.book.>","okx.bbo.>"]}`)); err != nil {
		t.Fatal(err)
	}
	var exchange *sim.Server
	in(t, w.exchange, func() (err error) {
		exchange, err = sim.Replay(ctx, "okx", "10.7.0.1:9001", []string{file}, o)
		return err
	})
	defer exchange.Close()
	got := make(chan error, 1)
	go func() {
		var err error
		gateway, err = readBinary(ctx, client, 3)
		got <- err
	}()
	if strategy, err = readStrategy(ctx, reader, 3); err != nil {
		t.Fatalf("strategy: %v", err)
	}
	if err := <-got; err != nil {
		t.Fatalf("client of the gateway: %v", err)
	}
	if code := relay.stop(); code != 0 {
		t.Errorf("run ended with %d", code)
	}
	return strategy, gateway
}

// TestRelayOnDPDK runs the whole relay over the kernel's sockets and over DPDK,
// plain and with TLS, and wants the same live records with the same numbers.
func TestRelayOnDPDK(t *testing.T) {
	w := newWorld(t)
	file := syntheticOKX(t, 300)
	kernel := func(on bool) {
		verb := "del"
		if on {
			verb = "add"
		}
		if out, err := exec.Command("ip", "-n", w.relay, "addr", verb, "10.7.0.2/24", "dev", "vr").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	kernel(true)
	want, _ := w.session(t, file, "transport: kernel", false)
	kernel(false)
	for _, device := range []string{"af_packet:vr", "af_xdp:vr"} {
		for _, secure := range []bool{false, true} {
			name := strings.TrimSuffix(device, ":vr")
			if secure {
				name += "-tls"
			}
			t.Run(name, func(t *testing.T) {
				text := fmt.Sprintf("transport: dpdk\ndpdk: {device: %q, addresses: [10.7.0.2/24], dns: [10.7.0.1]}", device)
				got, client := w.session(t, file, text, secure)
				sameLive(t, want, got)
				compareRecords(t, got, client)
				if out, _ := exec.Command("ip", "-n", w.relay, "link", "show", "vr").CombinedOutput(); strings.Contains(string(out), "xdp") {
					t.Errorf("a program is still attached: %s", out)
				}
			})
		}
	}
}

// sameLive compares records, but for the times of reception.
func sameLive(t *testing.T, want, got *collector) {
	t.Helper()
	total := 0
	for k, list := range want.recs {
		mine := got.recs[k]
		if len(mine) != len(list) {
			t.Errorf("%v: %d live records, want %d", k, len(mine), len(list))
			continue
		}
		for i := range list {
			a, b := list[i], mine[i]
			a.TsRecv, b.TsRecv = 0, 0
			if a.Kind == md.KindGap {
				a.TsEvent, b.TsEvent = 0, 0
			}
			if a != b {
				t.Errorf("%v: record %d is %+v, want %+v", k, i, b, a)
				break
			}
		}
		total += len(list)
	}
	if total < 1000 {
		t.Errorf("only %d records compared", total)
	}
}
