package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"hash"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/feeds"
	"tickrelay/feeds/capture"
	"tickrelay/feeds/sim"
	"tickrelay/relay"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// ourCaptures are the captures in dialects that a venue speaks.
var ourCaptures = map[string]string{
	"binance/spot_2021-10-12_cf": "binance", "binance/spot_btcusdt_2024-08-08": "binance",
	"binance/usdm_2021-07-22_cf": "binance-usdm", "binance/usdm_btcusdt_2024-08-08": "binance-usdm",
	"binance/coinm_btcusd_perp_2024-08-08": "binance-coinm", "bitfinex/v2_2021-04-17": "bitfinex",
	"bitget/v1_spot_mix_2022-04-07": "bitget", "bitstamp/v2_2022-01-05": "bitstamp",
	"bybit/v5_linear_2026-08-09": "bybit-linear", "bybit/v5_linear_ob1_2025-06-13": "bybit-linear",
	"coinbase/advanced_2026-08-09_first450": "coinbase", "coinbase/exchange_level2_2021-04-17": "coinbase-exchange",
	"deribit/v2_options_2021-07-22": "deribit", "gateio/futures_v4_2023-05-24": "gateio-futures", "gateio/spot_v4_2021-04-22": "gateio",
	"hyperliquid/btc_2025-01-26": "hyperliquid", "kraken/v1_2021-04-17": "kraken", "kraken_futures/v1_2021-07-22": "kraken-futures",
	"kucoin/spot_2021-04-25": "kucoin", "okx/v5_2022-05-13": "okx", "upbit/v1_2021-04-17": "upbit",
}

var rerunLarge = flag.Bool("rerun-large", false, "run captures of more than a megabyte again, too")

// TestCapturesRecordedAndRunAgain: every capture is served by a replayed exchange
// to a live feed that is recorded raw; the recording is run again at two speeds. The records are
// the live ring's, byte for byte, each time, and so are the bytes that a WebSocket
// client gets from a gateway on such a run.
func TestCapturesRecordedAndRunAgain(t *testing.T) {
	root := os.Getenv("TICKRELAY_CAPTURES")
	if root == "" {
		t.Skip("TICKRELAY_CAPTURES names no folder of recorded exchange traffic")
	}
	names := make([]string, 0, len(ourCaptures))
	for name := range ourCaptures {
		names = append(names, name)
	}
	slices.Sort(names)
	files, equal, records, wire := 0, 0, 0, uint64(0)
	for _, name := range names {
		path := filepath.Join(root, name+".ndjson.gz")
		t.Run(filepath.Base(name), func(t *testing.T) {
			st, err := os.Stat(path)
			if err != nil {
				t.Skip(err)
			}
			if !*rerunLarge && st.Size() > 1<<20 {
				t.Skip("-rerun-large runs it")
			}
			files++
			live, recorded := recordCapture(t, ourCaptures[name], path)
			if len(live) == 0 {
				t.Fatal("no record was published")
			}
			span := recordedSpan(t, recorded)
			sumLive := sha256.Sum256(md.AsBytes(live))
			var frames [2][sha256.Size]byte
			for i, speed := range []float64{0, max(1, span.Seconds()/0.5)} {
				recs, sum, n := runAgain(t, recorded, speed)
				if sum.Inexact != "" {
					t.Errorf("inexact: %s", sum.Inexact)
				}
				if recs != sumLive {
					t.Errorf("speed %v: the records are not those of the live ring", speed)
				}
				frames[i], wire = n.sum(), wire+n.bytes
				if n.bytes == 0 {
					t.Error("the client got nothing")
				}
			}
			if frames[0] != frames[1] {
				t.Error("the WebSocket frames differ between two speeds")
			}
			if !t.Failed() {
				equal++
				records += len(live)
			}
		})
	}
	t.Logf("%d captures, %d with all hashes equal, %d records, %d bytes of WebSocket frames", files, equal, records, wire)
}

// recordCapture has a feed read a capture from a replayed exchange and returns
// what its ring had and the files of its raw recording.
func recordCapture(t *testing.T, venue, path string) ([]md.Record, []string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv, err := sim.Replay(ctx, venue, "127.0.0.1:0", []string{path}, sim.ReplayOptions{Speed: sim.SpeedMax, NoWait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	v, _ := feeds.ByName(venue)
	table, err := md.CreateTable(make([]byte, md.TableSize(1<<12)), 1<<12, 1)
	if err != nil {
		t.Fatal(err)
	}
	var channels []md.Channel
	for _, ch := range v.Spec().Channels {
		channels = append(channels, ch.Channel)
	}
	f, err := feeds.New(feeds.Config{Venue: v, URL: srv.URL(), REST: srv.REST(), Instruments: []string{""}, Channels: channels, Open: true, CPU: -1,
		Table: table, Silence: -1, Backoff: feeds.Backoff{Min: time.Hour, Base: time.Hour, Cap: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	seg := ring.NewHeap(1<<20, ring.Meta{Name: "live"})
	if _, err := f.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rec, err := feeds.RecordRaw(f, feeds.RawConfig{Dir: dir, Buffer: 64 << 20, Every: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- f.Run(ctx) }()
	go func() { done <- rec.Run(ctx) }()
	var live []md.Record
	buf := make([]md.Record, 1<<14)
	pump := func() {
		for n := 1; n > 0; {
			n, _ = c.Poll(buf)
			live = append(live, buf[:n]...)
		}
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		pump()
		ended := len(f.Health().Lines) > 0
		for _, l := range f.Health().Lines {
			ended = ended && l.Connects > 0 && l.State == feeds.LineBackoff
		}
		if ended {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the capture does not end: %+v", f.Health())
		}
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	pump()
	if lost := rec.Stats().Lost.Load(); lost != 0 {
		t.Fatalf("%d lines lost", lost)
	}
	files, err := filepath.Glob(filepath.Join(dir, venue, "*.ndjson.zst"))
	if err != nil {
		t.Fatal(err)
	}
	return live, slices.DeleteFunc(files, func(s string) bool { return strings.Contains(s, ".rest.") })
}

// recordedSpan is the time from a recording's first line to its last.
func recordedSpan(t *testing.T, files []string) time.Duration {
	first, last := int64(0), int64(0)
	for _, path := range files {
		r, err := capture.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for {
			l, err := r.Next()
			if err != nil {
				break
			}
			if first == 0 {
				first = l.RecvNs
			}
			last = max(last, l.RecvNs)
		}
		r.Close()
	}
	return time.Duration(last - first)
}

// wireSum sums up what a WebSocket client got.
type wireSum struct {
	hash  hash.Hash
	bytes uint64
}

func (s *wireSum) sum() (out [sha256.Size]byte) {
	copy(out[:], s.hash.Sum(nil))
	return out
}

// runAgain runs a recording and a gateway on it, whose one client has subscribed to
// everything before the first record.
func runAgain(t *testing.T, files []string, speed float64) (records [sha256.Size]byte, sum feeds.Summary, wire *wireSum) {
	hash := sha256.New()
	wire = &wireSum{hash: sha256.New()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var gateway, client chan error
	var conn net.Conn
	var got atomic.Uint64
	serve := func(pub *ring.Publisher, table *md.TableView) (func(), error) {
		seg := ring.NewHeap(1<<17, ring.Meta{Name: "gateway"})
		if _, err := pub.Attach(seg, nil); err != nil {
			return nil, err
		}
		c, err := ring.OpenConsumer(seg)
		if err != nil {
			return nil, err
		}
		// Nobody is slow here, so nothing may be conflated.
		g, err := relay.New(relay.Config{Listen: "127.0.0.1:0", Table: table, Shards: 1,
			Limits: relay.Limits{QueueMessages: 1 << 24, QueueBytes: 1 << 31, SlowTimeout: time.Hour, CandleBytes: 1, DrainTimeout: 50 * time.Millisecond}})
		if err != nil {
			return nil, err
		}
		gateway, client = make(chan error, 1), make(chan error, 1)
		go func() { gateway <- g.Run(ctx) }()
		dialed, br, _, err := ws.Dial(ctx, "ws://"+g.Addr().String()+"/ws")
		if err != nil {
			return nil, err
		}
		if br != nil {
			return nil, errors.New("bytes behind the upgrade")
		}
		conn = dialed
		var topics []string
		for ch := md.ChannelTrades; ch <= md.ChannelStatus; ch++ { // candles go by the clock of the wall
			topics = append(topics, `"*.`+ch.String()+`.*"`)
		}
		ask := ws.MaskFrame(ws.NewTextFrame([]byte(`{"op":"subscribe","id":1,"topics":[` + strings.Join(topics, ",") + `]}`)))
		if err := ws.WriteFrame(conn, ask); err != nil {
			return nil, err
		}
		answer, _, err := wsutil.ReadServerData(conn)
		if err != nil || !bytes.Contains(answer, []byte(`"subscribed"`)) {
			return nil, errors.Join(err, errors.New(string(answer)))
		}
		g.AddRing(c)
		go func() {
			for {
				text, op, err := wsutil.ReadServerData(conn)
				if err != nil {
					client <- nil
					return
				}
				if op == ws.OpText {
					wire.hash.Write(text)
					wire.bytes += uint64(len(text))
					got.Add(1)
				}
			}
		}()
		return func() {
			for c.Depth() > 1<<12 {
				time.Sleep(100 * time.Microsecond)
			}
		}, nil
	}
	sum, err := feeds.Normalize(feeds.NormalizeConfig{Records: hash, Speed: speed}, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = feeds.Normalize(feeds.NormalizeConfig{Serve: serve, Speed: speed}, files); err != nil {
		t.Fatal(err)
	}
	for before, same := uint64(0), 0; same < 40; time.Sleep(5 * time.Millisecond) { // until nothing comes any more
		if n := got.Load(); n == before {
			same++
		} else {
			before, same = n, 0
		}
	}
	cancel()
	if err := errors.Join(<-gateway, <-client); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	copy(records[:], hash.Sum(nil))
	return records, sum, wire
}
