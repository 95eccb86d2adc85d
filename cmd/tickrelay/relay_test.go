package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// strategyProcess is the strategy of the tests: a process of its own that opens
// its ring by path and prints every record in hexadecimal.
func strategyProcess() int {
	dir, name, _ := strings.Cut(os.Getenv("TICKRELAY_TEST_STRATEGY"), "|")
	c, err := ring.Open(dir, name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "open")
	out.Flush()
	var recs [512]md.Record
	for {
		n, err := c.Poll(recs[:])
		for i := range recs[:n] {
			fmt.Fprintf(out, "%x\n", md.AsBytes(recs[i:i+1]))
		}
		out.Flush()
		if errors.Is(err, ring.ErrProducerGone) {
			return 0
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if n == 0 {
			c.Wait(ring.WaitBlock, time.Second)
		}
	}
}

// wsClient connects and subscribes to every topic of OKX.
func wsClient(t *testing.T, addr, protocol string) net.Conn {
	t.Helper()
	d := ws.Dialer{Protocols: []string{protocol}, Timeout: 10 * time.Second}
	conn, br, hs, err := d.Dial(t.Context(), "ws://"+addr+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	if br != nil || hs.Protocol != protocol {
		t.Fatalf("handshake: protocol %q, early data %v", hs.Protocol, br != nil)
	}
	t.Cleanup(func() { conn.Close() })
	if err := wsutil.WriteClientText(conn, []byte(`{"op":"subscribe","id":1,"topics":["okx.trades.*","okx.book.*","okx.bbo.*","okx.ticker.*"]}`)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// syntheticOKX writes a capture in OKX's documented format: a book of which
// every update changes levels, trades and best prices.
func syntheticOKX(t *testing.T, updates int) string {
	t.Helper()
	var b bytes.Buffer
	recv := int64(1_700_000_000_000_000_000)
	line := func(frame string) {
		text, _ := json.Marshal(frame)
		fmt.Fprintf(&b, "{\"recv_ns\":%d,\"dir\":\"recv\",\"frame\":%s}\n", recv, text)
		recv += 2_000_000
	}
	ms := func() int64 { return recv/1_000_000 - 3 }
	line(fmt.Sprintf(`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["30001.5","2","0","1"],["30002","1.25","0","2"]],"bids":[["30000","3","0","4"],["29999.5","1","0","1"]],"ts":"%d","checksum":0,"prevSeqId":-1,"seqId":100}]}`, ms()))
	for i := range updates {
		line(fmt.Sprintf(`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["3000%d.5","%d","0","1"]],"bids":[["2999%d.5","%d.%02d","0","2"]],"ts":"%d","checksum":0,"prevSeqId":%d,"seqId":%d}]}`,
			1+i%9, i%7, i%9, 1+i%5, i%100, ms(), 100+i, 101+i))
		line(fmt.Sprintf(`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"3000%d.%d","sz":"0.0%03d","side":"buy","ts":"%d"}]}`, 5000+i, i%9, i%10, 1+i%999, ms()))
		line(fmt.Sprintf(`{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["30001.5","%d","0","1"]],"bids":[["30000","%d","0","1"]],"ts":"%d","seqId":%d}]}`, 1+i%8, 1+i%6, ms(), 101+i))
	}
	return writeFile(t, "okx.ndjson", b.String())
}

func TestReplayRunThreeReadersSynthetic(t *testing.T) {
	threeReaders(t, syntheticOKX(t, 400), []string{"BTC-USDT"}, "trades, book, bbo", "2")
}

func TestReplayRunThreeReadersCapture(t *testing.T) {
	dir := captures(t)
	threeReaders(t, filepath.Join(dir, "okx/v5_2022-05-13.ndjson.gz"), []string{"BTC-USDT"}, "trades, book, ticker", "5")
}

// threeReaders replays a capture to a relay and compares what a strategy in
// another process, a JSON and a binary WebSocket client saw until the capture
// ended: the same live records with the same numbers, none lost.
func threeReaders(t *testing.T, file string, symbols []string, channels, speed string) {
	addr := freePort(t)
	name := fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	config := writeFile(t, "relay.yaml", fmt.Sprintf(`
relay: %s
listen: 127.0.0.1:0
socket: %s
feeds:
  - venue: okx
    url: ws://%s/ws/v5/public
    rest: http://%[3]s
    instruments: [%[4]s]
    channels: [%[5]s]
rings:
  - {strategy: alpha, topics: ["okx.>"], capacity: 65536}
`, name, filepath.Join(t.TempDir(), "s"), addr, strings.Join(symbols, ", "), channels))
	relay := start(t, "run", "-c", config)
	wsAddr := strings.TrimSuffix(strings.TrimPrefix(relay.line("websocket "), "ws://"), "/ws")
	rings := relay.line("rings ")

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TICKRELAY_TEST_STRATEGY="+rings+"|alpha-okx")
	strategy := startCommand(t, cmd)
	strategy.line("open")
	jsonConn := wsClient(t, wsAddr, "tickrelay.v1.json")
	binConn := wsClient(t, wsAddr, "tickrelay.v1.binary")
	topics := len(symbols) * len(strings.Split(channels, ","))
	start(t, "replay", "--venue", "okx", "--listen", addr, "--speed", speed, file)

	type result struct {
		name string
		recs *collector
		text *texts
		err  error
	}
	results := make(chan result, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	go func() {
		recs, err := readStrategy(ctx, strategy, topics)
		results <- result{name: "strategy", recs: recs, err: err}
	}()
	go func() {
		recs, err := readBinary(ctx, binConn, topics)
		results <- result{name: "binary", recs: recs, err: err}
	}()
	go func() {
		text, err := readText(ctx, jsonConn, topics)
		results <- result{name: "json", text: text, err: err}
	}()
	got := map[string]result{}
	for range 3 {
		r := <-results
		if r.err != nil {
			t.Errorf("%s: %v", r.name, r.err)
		}
		got[r.name] = r
	}
	if t.Failed() {
		return
	}
	compareRecords(t, got["strategy"].recs, got["binary"].recs)
	compareText(t, rings, got["strategy"].recs.recs, got["json"].text)
	if code := relay.stop(); code != 0 {
		t.Errorf("run ended with %d after Ctrl-C", code)
	}
	if _, err := os.Stat(rings); !os.IsNotExist(err) {
		t.Errorf("%s is still there after Ctrl-C (%v)", rings, err)
	}
}
