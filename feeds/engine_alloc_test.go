package feeds

import (
	"fmt"
	"strings"
	"testing"

	"tickrelay/feeds/capture"
	"tickrelay/ring/md"
)

// steadyVenues are one of each way of keeping books: by REST, by checksums, by
// numbers. The engine does the same for all others.
var steadyVenues = [...]Venue{Binance{}, Bitget{}, OKX{}}

// steadyFrames are frames of a venue that leave the engine live however often
// they are repeated: n updates with trades, quotes and tickers between.
func steadyFrames(venue string, i int) [][]byte {
	p := fmt.Sprintf("%d.%02d", 100+i%7, i%100)
	s := fmt.Sprintf("%d.5", i%13)
	switch venue {
	case "binance":
		return [][]byte{
			[]byte(depth(101+i, 101+i, `["`+p+`","`+s+`"],["90.0","1"]`, `["200.0","`+s+`"]`)),
			[]byte(tradeFrame(8+i, p, "1.25")), []byte(quoteFrame(101+i, p, "200.0")),
			[]byte(`{"e":"24hrTicker","E":1700000000000,"s":"BTCUSDT","c":"` + p + `","o":"9","h":"12","l":"8","v":"5","q":"50"}`)}
	case "okx":
		arg := func(ch string) string { return `{"arg":{"channel":"` + ch + `","instId":"BTC-USDT"},` }
		return [][]byte{
			[]byte(okxPush("update", fmt.Sprint(10+i), fmt.Sprint(11+i), `["`+p+`","`+s+`","0","3"]`, `["200.0","2","0","1"]`, "0")),
			[]byte(arg("trades") + `"data":[{"instId":"BTC-USDT","tradeId":"` + fmt.Sprint(i) + `","px":"` + p + `","sz":"1.5","side":"buy","ts":"1700000000000"}]}`),
			[]byte(arg("bbo-tbt") + `"data":[{"asks":[["200.0","1","0","2"]],"bids":[["` + p + `","1","0","2"]],"ts":"1700000000000","seqId":` + fmt.Sprint(i+11) + `}]}`),
			[]byte(arg("tickers") + `"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"` + p + `","lastSz":"1","askPx":"200","askSz":"1","bidPx":"1","bidSz":"1","open24h":"9","high24h":"12","low24h":"8","volCcy24h":"50","vol24h":"5","ts":"1700000000000"}]}`)}
	}
	arg := func(action, ch string) string {
		return `{"action":"` + action + `","arg":{"instType":"SPOT","channel":"` + ch + `","instId":"BTCUSDT"},"data":[`
	}
	return [][]byte{
		[]byte(arg("update", "books") + `{"asks":[["200.0","2"]],"bids":[["` + p + `","` + s + `"]],"checksum":0,"seq":` + fmt.Sprint(11+i) + `,"pseq":` + fmt.Sprint(10+i) + `,"ts":"1700000000000"}],"ts":1700000000001}`),
		[]byte(arg("update", "trade") + `{"ts":"1700000000000","price":"` + p + `","size":"2","side":"buy","tradeId":"` + fmt.Sprint(i) + `"}],"ts":1700000000001}`),
		[]byte(arg("snapshot", "books1") + `{"asks":[["200.0","2"]],"bids":[["` + p + `","3"]],"checksum":0,"seq":` + fmt.Sprint(11+i) + `,"ts":"1700000000000"}],"ts":1700000000001}`),
		[]byte(arg("snapshot", "ticker") + `{"instId":"BTCUSDT","lastPr":"` + p + `","open24h":"9","high24h":"12","low24h":"8","baseVolume":"5","quoteVolume":"50","ts":"1700000000000"}],"ts":1700000000001}`),
	}
}

// steadyRig is a live engine of a venue and frames for n rounds.
func steadyRig(tb testing.TB, v Venue, n int) (*engineRig, [][]byte) {
	tb.Helper()
	r := newEngineRig(tb, v, nil)
	r.connect(0)
	switch v.Spec().Name {
	case "binance":
		r.frame(depth(90, 100, `["90.0","1"]`, ``))
		r.snapshot(1, restBook(95, `["90.0","5"],["89.0","1"]`, `["200.0","2"]`), nil)
	case "okx":
		r.frame(okxPush("snapshot", "-1", "10", `["90.0","5","0","1"]`, `["200.0","2","0","1"]`, "0"))
	case "bitget":
		r.frame(`{"action":"snapshot","arg":{"instType":"SPOT","channel":"books","instId":"BTCUSDT"},"data":[{"asks":[["200.0","2"]],"bids":[["90.0","5"]],"checksum":0,"seq":10,"ts":"1700000000000"}],"ts":1700000000001}`)
	}
	var frames [][]byte
	for i := range n {
		frames = append(frames, steadyFrames(v.Spec().Name, i)...)
	}
	return r, frames
}

// TestEngineDoesNotAllocate drives whole frames from bytes to a reader's copy.
func TestEngineDoesNotAllocate(t *testing.T) {
	const warm, runs = 400, 2000
	for _, v := range steadyVenues {
		r, frames := steadyRig(t, v, (warm+runs)/4+2)
		next := 0
		step := func() {
			r.now += 1000
			if err := r.eng.Frame(0, frames[next], r.now); err != nil {
				t.Fatal(err)
			}
			next++
			r.pub.Flush()
			r.pub.Turn(r.now)
			for {
				n, err := r.cons.Poll(r.recs)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					return
				}
			}
		}
		for range warm {
			step()
		}
		if n := testing.AllocsPerRun(runs, step); n != 0 {
			t.Errorf("%s: %v allocations per frame", v.Spec().Name, n)
		}
		s := r.eng.Stats()
		if s.GapsTotal() != 0 || s.RejectedTotal() != 0 || s.Records.Load() < uint64(runs) {
			t.Errorf("%s: not steady: %d gaps, %d refused, %d records", v.Spec().Name, s.GapsTotal(), s.RejectedTotal(), s.Records.Load())
		}
		for _, h := range s.Topics() {
			if h.State != TopicLive && !strings.Contains(h.Topic, "funding") && !strings.Contains(h.Topic, "open_interest") {
				t.Errorf("%s is %s", h.Topic, h.State)
			}
		}
	}
}

// BenchmarkEngineCapture drives a recorded session through every hop: decode,
// fit, book, publish, poll. What would make it lie: the frames are in memory
// and come back to back, so caches are warmer than a socket leaves them.
func BenchmarkEngineCapture(b *testing.B) {
	for _, c := range []struct {
		venue Venue
		file  string
	}{{Binance{}, "binance/spot_btcusdt_2024-08-08.ndjson.gz"}, {OKX{}, "okx/v5_2022-05-13.ndjson.gz"}, {Bitget{}, "bitget/v1_spot_mix_2022-04-07.ndjson.gz"}} {
		b.Run(c.venue.Spec().Name, func(b *testing.B) {
			frames, rest := benchFrames(b, captureFile(b, c.file))
			var records, size uint64
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r := newEngineRig(b, c.venue, func(cfg *EngineConfig) { cfg.Open, cfg.Instruments = true, []string{""} })
				r.connect(0)
				b.StartTimer()
				records += driveAll(b, r, frames, rest)
				for _, f := range frames {
					size += uint64(len(f))
				}
			}
			n := float64(len(frames)) * float64(b.N)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/frame")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
			b.ReportMetric(float64(size)/1e6/b.Elapsed().Seconds(), "MB/s")
		})
	}
}

func driveAll(b *testing.B, r *engineRig, frames [][]byte, rest []byte) uint64 {
	for _, f := range frames {
		r.now += 1000
		if err := r.eng.Frame(0, f, r.now); err != nil {
			b.Fatal(err)
		}
		r.pub.Flush()
		r.pub.Turn(r.now)
		for n := 1; n > 0; {
			n, _ = r.cons.Poll(r.recs)
		}
		if len(r.eng.fetches) > 0 && rest != nil {
			r.eng.Snapshot(r.eng.fetches[0].req, rest, nil, r.now)
		}
	}
	return r.eng.Stats().Records.Load()
}

func benchFrames(b *testing.B, path string) (frames [][]byte, rest []byte) {
	r, err := capture.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for {
		l, err := r.Next()
		if err != nil {
			break
		}
		if l.Dir == capture.Recv {
			frames = append(frames, l.Frame)
		}
	}
	answers, _ := capture.ReadREST(capture.RESTFile(path))
	if len(answers) == 1 {
		rest = answers[0].Body
	}
	return frames, rest
}

// BenchmarkHop times the hops of one book event of 20 levels near the touch.
func BenchmarkHop(b *testing.B) {
	const levels = 20
	var bids strings.Builder
	for i := range levels {
		fmt.Fprintf(&bids, `,["%d.%02d000000","1.5%03d0000"]`, 90+i%5, i, i)
	}
	frame := []byte(depth(101, 101, bids.String()[1:], ``))
	perLevel := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/levels, "ns/level")
	}
	var d Decoded
	if err := (Binance{}).Decode(frame, &d); err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		var d Decoded
		for b.Loop() {
			d.Reset()
			if err := (Binance{}).Decode(frame, &d); err != nil {
				b.Fatal(err)
			}
		}
		perLevel(b)
	})
	r, _ := steadyRig(b, Binance{}, 1)
	tp := r.eng.instruments[0].topics[md.ChannelBook]
	recs := make([]md.Record, levels)
	b.Run("fit+book", func(b *testing.B) {
		ev := d.Events[0]
		for b.Loop() {
			copy(recs, d.Recs)
			if _, ok := r.eng.bookUpdate(tp, &ev, recs, r.now); !ok {
				b.Fatal("broken")
			}
		}
		perLevel(b)
	})
	b.Run("publish+poll", func(b *testing.B) {
		copy(recs, d.Recs)
		for b.Loop() {
			r.pub.Publish(tp.id, recs)
			r.pub.Flush()
			if n, _ := r.cons.Poll(r.recs); n == 0 {
				b.Fatal("nothing arrived")
			}
		}
		perLevel(b)
	})
}
