package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune/proxy"
	"tickrelay/relay"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// tool returns the path of a program, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if p := filepath.Join(dir, name); exec.Command("test", "-x", p).Run() == nil {
			return p
		}
	}
	t.Skipf("%s is not installed (apt-get install nginx-light libnginx-mod-stream haproxy)", name)
	return ""
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// nginxArgs writes a configuration into a folder of the test's and returns the
// arguments to run it there, touching nothing of the system's nginx.
func nginxArgs(t *testing.T, conf string) (file string, args []string) {
	t.Helper()
	if strings.Contains(conf, "stream {") {
		if m, _ := filepath.Glob("/etc/nginx/modules-enabled/*stream*.conf"); len(m) == 0 {
			out, _ := exec.Command(tool(t, "nginx"), "-V").CombinedOutput()
			if !strings.Contains(string(out), "--with-stream ") {
				t.Skip("nginx has no stream module (apt-get install libnginx-mod-stream)")
			}
		}
	}
	dir, err := os.MkdirTemp("", "nginx") // short path, world-readable for the workers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf = strings.Replace(conf, "\nhttp {", "\nhttp { access_log off; client_body_temp_path "+dir+"/b; proxy_temp_path "+dir+
		"/p; fastcgi_temp_path "+dir+"/f; uwsgi_temp_path "+dir+"/u; scgi_temp_path "+dir+"/s;", 1)
	file = filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, []string{"-e", filepath.Join(dir, "error.log"), "-c", file, "-g", "pid " + dir + "/pid;"}
}

// running starts a proxy and waits until it listens; it is stopped with the test.
func running(t *testing.T, addr, program string, args ...string) {
	t.Helper()
	var out lockedBuffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-gone
		}
		if t.Failed() {
			t.Logf("%s said: %s", program, out.String())
		}
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("%s ends at once: %v\n%s", program, err, out.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen on %s: %v\n%s", program, addr, err, out.String())
		}
	}
}

func runNginx(t *testing.T, addr, conf string) (file string) {
	t.Helper()
	program := tool(t, "nginx")
	file, args := nginxArgs(t, conf)
	args[len(args)-1] += " daemon off;"
	running(t, addr, program, args...)
	return file
}

func runHAProxy(t *testing.T, addr, conf string) (file string) {
	t.Helper()
	program := tool(t, "haproxy")
	file = filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	running(t, addr, program, "-db", "-f", file)
	return file
}

// kindOf is a proxy: how to write a configuration for it, and to run it.
type kindOf struct {
	name  string
	write func(io.Writer, proxy.Config) error
	run   func(t *testing.T, addr, conf string) string
}

var kinds = []kindOf{
	{"nginx", proxy.Nginx, runNginx},
	{"haproxy", proxy.HAProxy, runHAProxy},
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// market is a feed in the test's hands: one topic, on a heap ring.
type market struct {
	pub   *ring.Publisher
	topic ring.TopicID
}

const tradesTopic = "binance.trades.BTC-USDT"

// gateway starts a real gateway behind the proxies.
func gateway(t *testing.T, cfg relay.Config) (*relay.Gateway, *market) {
	t.Helper()
	table, err := md.CreateTable(make([]byte, md.TableSize(16)), 16, 7)
	if err != nil {
		t.Fatal(err)
	}
	id, err := table.Add(md.Instrument{Venue: md.VenueBinance, Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT", PriceExp: -2, SizeExp: -4,
		Tick: md.Decimal{Mant: 1, Exp: -2}, Lot: md.Decimal{Mant: 1, Exp: -4}})
	if err != nil {
		t.Fatal(err)
	}
	m := &market{pub: ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance, Epoch: 1763842100123456789, Now: func() int64 { return time.Now().UnixNano() }})}
	m.topic = m.pub.AddTopic(id, md.ChannelTrades, nil)
	seg := ring.NewHeap(1<<12, ring.Meta{Name: "test", Strategy: "gateway"})
	if _, err := m.pub.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	reader, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	m.turn()
	cfg.Table = table.View()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	g, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.AddRing(reader)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gateway: %v", err)
		}
	})
	return g, m
}

func (m *market) turn() {
	m.pub.Flush()
	for m.pub.Turn(time.Now().UnixNano()) {
	}
}

// trade publishes one trade.
func (m *market) trade(id uint64) {
	m.pub.Publish(m.topic, []md.Record{{Kind: md.KindTrade, Price: 6412345, Size: 12300, PriceExp: -2, SizeExp: -4, ID: id,
		Side: md.SideBuy, TsEvent: time.Now().UnixNano(), TsRecv: time.Now().UnixNano()}})
	m.turn()
}

// client is a WebSocket client that answers pings as browsers do.
type client struct {
	net.Conn
	read  io.Reader
	pings int
}

// connect opens a WebSocket through a proxy, from the given local address.
func connect(addr string, from netip.Addr) (*client, error) {
	return connectTLS(addr, from, nil)
}

// connectTLS is connect over TLS unless secure is nil.
func connectTLS(addr string, from netip.Addr, secure *tls.Config) (*client, error) {
	scheme := "ws"
	if secure != nil {
		scheme = "wss"
	}
	d := net.Dialer{Timeout: 20 * time.Second}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, buf, _, err := ws.Dialer{Timeout: 20 * time.Second, NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", addr)
	}, TLSConfig: secure}.Dial(context.Background(), scheme+"://"+addr+"/ws")
	if err != nil {
		return nil, err
	}
	cl := &client{Conn: c, read: c}
	if buf != nil {
		cl.read = io.MultiReader(buf, c)
	}
	return cl, nil
}

func mustConnect(t *testing.T, addr string) *client {
	t.Helper()
	c, err := connect(addr, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (c *client) send(text string) error {
	return ws.WriteFrame(c.Conn, ws.MaskFrame(ws.NewTextFrame([]byte(text))))
}

// next returns the next message; it answers pings meanwhile.
func (c *client) next(limit time.Duration) (map[string]any, error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	for {
		h, err := ws.ReadHeader(c.read)
		if err != nil {
			return nil, err
		}
		f := ws.Frame{Header: h, Payload: make([]byte, min(h.Length, 16<<20))}
		if _, err := io.ReadFull(c.read, f.Payload); err != nil {
			return nil, err
		}
		switch f.Header.OpCode {
		case ws.OpPing:
			c.pings++
			if err := ws.WriteFrame(c.Conn, ws.MaskFrame(ws.NewPongFrame(f.Payload))); err != nil {
				return nil, err
			}
		case ws.OpText:
			var m map[string]any
			return m, json.Unmarshal(f.Payload, &m)
		case ws.OpClose:
			return nil, fmt.Errorf("closed by the gateway: %q", f.Payload)
		}
	}
}
