package relay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// What real clients of other makes do with a market that moves: subscribe, snapshot,
// updates that chain, going away and coming back. Chromium's part is in the tests of the
// page, Node's also in TestJavaScriptAnyInterleaving.

const matrixTrades = 40

// TestMatrixNode: the package ws of the npm registry, both formats.
func TestMatrixNode(t *testing.T) {
	dir := wsPackage(t)
	g := market(t, Config{})
	f := follow(t, dir)
	var valves []*valve
	for _, format := range []string{"json", "binary"} {
		v := newValve(t, g.Addr().String())
		valves = append(valves, v)
		f.open("ws://"+v.listener.Addr().String()+"/ws", format, followSub{Topics: []string{btcTrades}},
			followSub{Topics: []string{btcBook}, Depth: 10}, followSub{Topics: []string{"*.bbo.*"}, ConflateMs: 50}, followSub{Topics: []string{"binance.candles_1s.BTC-USDT"}})
	}
	full := func(trades, sessions int) bool {
		for _, r := range f.report() {
			b := r.Books[btcBook]
			if len(r.Trades) < trades || r.Sessions < sessions || b.State != "live" || len(b.Bids) != 10 || len(r.Seqs) != 7 {
				return false
			}
		}
		return true
	}
	eventually(t, "trades and a book", func() bool { return full(10, 1) })
	for _, v := range valves {
		v.cut()
	}
	eventually(t, "more after coming back", func() bool { return full(20, 2) })
	for i, r := range f.report() {
		if len(r.Wrong) > 0 || r.Gaps > 0 || r.Lost > 0 || r.Resumed < 7 {
			t.Errorf("client %d: wrong %v, %d gaps, %d lost, %d topics resumed", i, r.Wrong, r.Gaps, r.Lost, r.Resumed)
		}
	}
}

// TestMatrixPython: the package websockets as Debian has it.
func TestMatrixPython(t *testing.T) {
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import websockets").Run(); err != nil {
		t.Skip("no python3-websockets: Python's client is not tested")
	}
	g := market(t, Config{})
	out, err := command(t, ".", nil, python, "testdata/follow.py", "ws://"+g.Addr().String()+"/ws", btcBook, btcTrades, fmt.Sprint(matrixTrades))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct {
		Trades []uint64
		Book   struct{ Bids, Asks map[string]string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(got.Trades) < matrixTrades || len(got.Book.Bids) != 10 || len(got.Book.Asks) != 10 {
		t.Errorf("%d trades, %d bids, %d asks", len(got.Trades), len(got.Book.Bids), len(got.Book.Asks))
	}
	for i := 1; i < len(got.Trades); i++ {
		if got.Trades[i] != got.Trades[i-1]+1 {
			t.Errorf("trade %d after %d", got.Trades[i], got.Trades[i-1])
		}
	}
}

// TestMatrixGobwas: a Go program with wsutil, as one would write it in ten lines.
func TestMatrixGobwas(t *testing.T) {
	g := market(t, Config{})
	eventually(t, "the book, which has the epoch", func() bool {
		status, _, _ := get(t, g, "/api/v1/book/binance/BTC-USDT")
		return status == 200
	})
	last := map[string]uint64{}
	epoch := ""
	trades, snapshots := 0, 0
	session := func(request string, until int) {
		d := ws.Dialer{Protocols: []string{ProtocolJSON}, Timeout: 10 * time.Second}
		conn, br, _, err := d.Dial(t.Context(), "ws://"+g.Addr().String()+"/ws")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		rw := readWriter{conn.Read, conn.Write}
		if br != nil {
			rw.read = br.Read
		}
		if err := wsutil.WriteClientText(conn, []byte(request)); err != nil {
			t.Fatal(err)
		}
		for trades < until {
			conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			text, err := wsutil.ReadServerText(rw)
			if err != nil {
				t.Fatal(err)
			}
			m := answerMsg{}
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if m.Op == "subscribed" {
				for topic, at := range m.positions(t) {
					last[topic], epoch = at.Seq, at.Epoch
				}
				continue
			}
			if m.Prev > last[m.Topic] {
				t.Fatalf("missed before %s", text)
			}
			last[m.Topic] = m.Seq
			if m.Type == "trade" {
				trades++
			}
			if m.Action == "snapshot" {
				snapshots++
			}
		}
	}
	session(fmt.Sprintf(`{"op":"subscribe","topics":[%q,%q]}`, btcBook, btcTrades), matrixTrades/2)
	first := last[btcTrades] + 1 - uint64(trades)
	session(fmt.Sprintf(`{"op":"resume","topics":{%q:{"epoch":%q,"seq":%d},%q:{"epoch":%q,"seq":%d}}}`,
		btcBook, epoch, last[btcBook], btcTrades, epoch, last[btcTrades]), matrixTrades)
	if want := last[btcTrades] + 1 - first; uint64(trades) != want {
		t.Errorf("%d trades, of %d", trades, want)
	}
	if snapshots != 1 {
		t.Errorf("%d snapshots: a resumed book needs none", snapshots)
	}
}

// readWriter joins what was read with the handshake's end and the connection.
type readWriter struct {
	read, write func([]byte) (int, error)
}

func (rw readWriter) Read(p []byte) (int, error)  { return rw.read(p) }
func (rw readWriter) Write(p []byte) (int, error) { return rw.write(p) }

// TestMatrixCurl: the HTTP side with curl.
func TestMatrixCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl: HTTP is tested with Go's client only")
	}
	g := market(t, Config{})
	eventually(t, "the book", func() bool {
		status, _, _ := get(t, g, "/api/v1/book/binance/BTC-USDT")
		return status == 200
	})
	for path, want := range map[string]string{
		"/healthz": "", "/api/v1/topics": `"binance.trades.BTC-USDT"`, "/api/v1/instruments": `"symbol":"BTC-USDT"`,
		"/api/v1/book/binance/BTC-USDT?depth=3": `"action":"snapshot"`, "/api/v1/feeds": `"stages":[`,
		"/metrics": "tickrelay_", "/": "<!doctype html>", "/client/tickrelay.js": "export",
	} {
		out, err := command(t, ".", nil, curl, "--silent", "--show-error", "--fail", "--max-time", "20", "http://"+g.Addr().String()+path)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v: %.200s", path, err, out)
		}
	}
	out, err := command(t, ".", nil, curl, "--silent", "--max-time", "20", "--output", "/dev/null", "--write-out", "%{http_code}",
		"http://"+g.Addr().String()+"/nowhere")
	if err != nil || out != fmt.Sprint(http.StatusNotFound) {
		t.Errorf("/nowhere: %v: %s", err, out)
	}
}
