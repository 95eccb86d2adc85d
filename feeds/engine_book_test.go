package feeds

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestEngineJoin follows the venue's document: events are held, the snapshot is
// fetched, older events are dropped, the rest applied.
func TestEngineJoin(t *testing.T) {
	r := newEngineRig(t, Binance{}, nil)
	r.connect(0)
	r.expectActions("subscription", `send 0 "SUBSCRIBE" btcusdt@trade btcusdt@depth@100ms btcusdt@bookTicker`)
	r.frame(depth(90, 94, `["8.0","9"]`, ``))
	r.expectActions("first event", "fetch 1 https://rest.test/api/v3/depth?symbol=BTCUSDT")
	r.frame(depth(95, 97, `["10.0","3"]`, ``))
	r.frame(depth(98, 99, ``, `["12.0","4"]`))
	r.expect("before the snapshot")
	r.snapshot(1, restBook(96, `["10.0","5"],["9.0","1"]`, `["11.0","2"]`), nil)
	r.expect("joined", `"action":"snapshot" "bids":[["10","3"],["9","1"]] "asks":[["11","2"],["12","4"]]`)
	r.frame(depth(100, 101, `["9.0","0.00000000"]`, ``))
	r.expect("chained", `"seq":1,"prev":0 "update" "bids":[["9","0"]]`)
	r.frame(depth(98, 101, `["7.0","1"]`, ``))
	r.expect("repeated")
	if n := r.eng.Stats().Ignored[IgnoreStale].Load(); n != 1 {
		t.Errorf("%d stale, want 1", n)
	}
	r.frame(depth(101, 103, `["9.5","1"]`, ``)) // overlaps: U <= L+1 <= u
	r.expect("overlapping", `"update" "bids":[["9.5","1"]]`)
}

// TestEngineJoinRefetches: a snapshot older than the events held is of no use,
// nor is none, nor garbage; each costs a longer wait, and no gap is told while
// nothing was published.
func TestEngineJoinRefetches(t *testing.T) {
	r := newEngineRig(t, Binance{}, nil)
	r.connect(0)
	r.frame(depth(90, 94, `["8.0","9"]`, ``))
	r.actions()
	r.snapshot(1, restBook(80, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("older than the buffer")
	r.expectActions("rate limit")
	r.tick(3 * time.Second)
	r.expectActions("second", "fetch 2")
	r.snapshot(2, "", errors.New("timeout"))
	r.tick(1900 * time.Millisecond)
	r.expectActions("back-off of 2 s")
	r.tick(3 * time.Second)
	r.expectActions("third", "fetch 3")
	r.snapshot(3, `{"lastUpdateId":`, nil)
	r.tick(6 * time.Second)
	r.expectActions("fourth", "fetch 4")
	r.frame(depth(97, 98, ``, `["12.0","4"]`)) // 95 and 96 are missing, but the snapshot has them
	r.snapshot(4, restBook(96, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("joined", `"snapshot" "bids":[["10","5"]] [["11","2"],["12","4"]]`)
	s := r.eng.Stats()
	if s.GapsTotal() != 0 || s.SnapshotsStale.Load() != 1 || s.SnapshotsFailed.Load() != 1 || s.Rejected[RejectSnapshot].Load() != 1 {
		t.Errorf("gaps %d, stale %d, failed %d, refused %d", s.GapsTotal(), s.SnapshotsStale.Load(),
			s.SnapshotsFailed.Load(), s.Rejected[RejectSnapshot].Load())
	}
}

// TestEngineJoinHole: a hole in the events held makes the snapshot useless.
func TestEngineJoinHole(t *testing.T) {
	r := newEngineRig(t, Binance{}, nil)
	r.connect(0)
	r.frame(depth(90, 94, `["8.0","9"]`, ``))
	r.frame(depth(97, 98, `["8.0","9"]`, ``))
	r.snapshot(1, restBook(92, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("a hole behind the snapshot")
	r.tick(3 * time.Second)
	r.frame(depth(99, 99, `["8.0","1"]`, ``))
	r.snapshot(2, restBook(98, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("joined", `"snapshot" [["10","5"],["8","1"]]`)
}

func TestEngineQuietBookIsFetchedWithoutEvents(t *testing.T) {
	r := newEngineRig(t, Binance{}, nil)
	r.connect(0)
	r.actions()
	r.tick(2 * time.Second)
	r.expectActions("after a moment", "fetch 1")
	r.snapshot(1, restBook(92, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("built", `"snapshot" [["10","5"]] [["11","2"]]`)
	r.frame(depth(93, 94, `["10.0","6"]`, ``))
	r.expect("chained", `"update" [["10","6"]]`)
}

// TestEngineSequenceGap: one gap, nothing more until the book is right again.
func TestEngineSequenceGap(t *testing.T) {
	r := liveBinance(t)
	r.frame(depth(102, 103, `["10.0","7"]`, ``)) // 101 is missing
	r.expect("one missing", `gap binance.book.BTC-USDT "seq":1 "reason":"sequence","first":"1","missed":null`)
	r.frame(depth(104, 105, `["10.0","8"]`, ``))
	r.expect("while broken")
	r.tick(4 * time.Second)
	r.expectActions("snapshot", "fetch 2")
	r.snapshot(2, restBook(104, `["10.0","8"],["9.0","1"]`, `["11.0","2"]`), nil)
	r.expect("rebuilt", `"seq":1 "snapshot" [["10","8"],["9","1"]] [["11","2"]]`)
	r.frame(depth(106, 106, `["9.0","0"]`, ``))
	r.expect("goes on", `"seq":2,"prev":1 "update"`)
	if s := r.eng.Stats(); s.Resyncs.Load() != 1 || s.BooksBuilt.Load() != 2 {
		t.Errorf("resyncs %d, built %d", s.Resyncs.Load(), s.BooksBuilt.Load())
	}
}

func TestEngineCrossedBook(t *testing.T) {
	r := liveBinance(t)
	r.frame(depth(101, 101, `["11.5","7"]`, ``))
	r.expect("crossed", `gap "reason":"checksum"`)
	if n := r.eng.Stats().BooksCrossed.Load(); n != 1 {
		t.Errorf("%d crossed", n)
	}
}

// TestEngineDisconnectInEachState breaks the connection before the snapshot,
// while it is fetched, when live and when broken already.
func TestEngineDisconnectInEachState(t *testing.T) {
	r := newEngineRig(t, Binance{}, nil)
	r.connect(0)
	r.disconnect(0)
	r.expect("nothing was published: nothing is missing")
	r.connect(0)
	r.frame(depth(90, 94, `["8.0","9"]`, ``))
	r.disconnect(0)
	r.connect(0)
	r.frame(depth(190, 194, `["8.0","9"]`, ``))
	r.actions()
	r.snapshot(1, restBook(92, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("the answer to a request of the connection before")
	r.tick(4 * time.Second)
	r.expectActions("its own", "fetch 2")
	r.snapshot(2, restBook(194, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("live", `"snapshot"`)
	r.frame(quoteFrame(200, "10.0", "11.0"))
	r.frame(tradeFrame(7, "10.5", "1"))
	r.lines()
	r.disconnect(0)
	r.expect("live", `gap book "reason":"disconnect" "missed":null`, `gap bbo "reason":"disconnect"`)
	r.connect(0)
	r.disconnect(0)
	r.expect("broken already")
	r.connect(0)
	r.frame(quoteFrame(150, "10.0", "11.0")) // older, but nothing is held to be newer than
	r.expect("recovered", `"bbo" "bid":["10","1"],"ask":["11","2"]`)
}

func okxPush(action, prev, seq, bids, asks, sum string) string {
	return `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"` + action + `","data":[{"asks":[` + asks + `],"bids":[` + bids +
		`],"ts":"1700000000000","checksum":` + sum + `,"prevSeqId":` + prev + `,"seqId":` + seq + `}]}`
}

// TestEngineResubscribes: venues with snapshots in band give a new one to a new
// subscription; if it does not come, the line is made again.
func TestEngineResubscribes(t *testing.T) {
	r := newEngineRig(t, OKX{}, nil)
	r.connect(0)
	r.actions()
	r.frame(okxPush("snapshot", "-1", "10", `["10.0","5","0","1"]`, `["11.0","2","0","1"]`, "0"))
	r.expect("start", `"snapshot" [["10","5"]] [["11","2"]]`)
	r.frame(okxPush("update", "10", "12", `["10.0","6","0","1"]`, ``, "0"))
	r.expect("chained", `"update" [["10","6"]]`)
	r.frame(okxPush("update", "12", "12", ``, ``, "0"))
	r.expect("keep-alive")
	r.frame(okxPush("update", "13", "14", `["10.0","7","0","1"]`, ``, "0"))
	r.expect("hole", `gap "reason":"sequence"`)
	r.expectActions("new subscription", `send "unsubscribe" "books"`, `send "subscribe" "books"`)
	r.frame(okxPush("update", "14", "15", `["10.0","8","0","1"]`, ``, "0"))
	r.expect("in flight")
	r.frame(okxPush("snapshot", "-1", "20", `["10.0","9","0","1"]`, `["11.0","2","0","1"]`, "0"))
	r.expect("rebuilt", `"snapshot" [["10","9"]]`)

	r.frame(okxPush("update", "20", "21", `["10.0","9","0","1"]`, ``, "12345"))
	r.expect("wrong checksum", `gap "reason":"checksum"`)
	r.tick(90 * time.Second)
	var sends, reconnects int
	for _, a := range r.actions() {
		if strings.HasPrefix(a, "send") {
			sends++
		} else if strings.Contains(a, "was not restored") {
			reconnects++
		}
	}
	if reconnects != 1 || sends < 4 || sends > 12 {
		t.Errorf("%d requests and %d reconnects while no snapshot came", sends, reconnects)
	}
	if s := r.eng.Stats(); s.ChecksumsBad.Load() != 1 || s.GapsTotal() != 2 {
		t.Errorf("%d bad checksums, %d gaps", s.ChecksumsBad.Load(), s.GapsTotal())
	}
}

// TestEngineRepeatedSnapshot: a whole book that a live one meets is published
// as the difference, numbered like any update.
func TestEngineRepeatedSnapshot(t *testing.T) {
	r := newEngineRig(t, OKX{}, nil)
	r.connect(0)
	r.frame(okxPush("snapshot", "-1", "10", `["10","5","0","1"],["9","1","0","1"]`, `["11","2","0","1"],["13","2","0","1"]`, "0"))
	r.lines()
	r.frame(okxPush("snapshot", "-1", "30", `["10","4","0","1"],["8","1","0","1"]`, `["11","2","0","1"],["12","2","0","1"],["13","2","0","1"]`, "0"))
	r.expect("difference", `"seq":4,"prev":0 "update" "bids":[["10","4"],["9","0"],["8","1"]],"asks":[["12","2"]]`)
	r.frame(okxPush("snapshot", "-1", "30", `["10","4","0","1"],["8","1","0","1"]`, `["11","2","0","1"],["12","2","0","1"],["13","2","0","1"]`, "0"))
	r.expect("the same again")
	r.frame(okxPush("update", "30", "31", `["8","0","0","0"]`, ``, "0"))
	r.expect("chains to the repeated one", `"seq":5,"prev":4 [["8","0"]]`)
}
