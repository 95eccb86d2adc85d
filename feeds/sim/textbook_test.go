package sim_test

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/feeds/sim"
)

// textBook is a book of the texts that a venue sends, by price as a number of
// 10^-decimals.
type textBook struct {
	priceDP, sizeDP int
	bids, asks      map[int64]textLevel
}

type textLevel struct{ price, size string }

func newTextBook(priceDP, sizeDP int) *textBook {
	return &textBook{priceDP, sizeDP, map[int64]textLevel{}, map[int64]textLevel{}}
}

// scaled reads a decimal as a number of 10^-dp.
func scaled(text string, dp int) int64 {
	whole, rest, _ := strings.Cut(text, ".")
	if len(rest) > dp {
		panic(text + " has more decimals than expected")
	}
	v, err := strconv.ParseInt(whole+rest+strings.Repeat("0", dp-len(rest)), 10, 64)
	if err != nil {
		panic(err)
	}
	return v
}

func (b *textBook) apply(bids, asks [][2]string) {
	for i, side := range []map[int64]textLevel{b.bids, b.asks} {
		for _, lv := range [][][2]string{bids, asks}[i] {
			p := scaled(lv[0], b.priceDP)
			if scaled(lv[1], b.sizeDP) == 0 {
				delete(side, p)
			} else {
				side[p] = textLevel{lv[0], lv[1]}
			}
		}
	}
}

// levels are a side's prices, best first.
func (b *textBook) prices(bid bool) []int64 {
	if bid {
		return slices.SortedFunc(maps.Keys(b.bids), func(x, y int64) int { return cmp.Compare(y, x) })
	}
	return slices.Sorted(maps.Keys(b.asks))
}

func (b *textBook) topText() [4]string {
	bid, ask := b.bids[b.prices(true)[0]], b.asks[b.prices(false)[0]]
	return [4]string{bid.price, bid.size, ask.price, ask.size}
}

// equal compares level by level with the truth.
func (b *textBook) equal(t *testing.T, truth sim.Book) {
	t.Helper()
	for i, want := range [][]sim.Level{truth.Bids, truth.Asks} {
		side, prices := b.bids, b.prices(i == 0)
		if i == 1 {
			side = b.asks
		}
		if len(prices) != len(want) {
			t.Fatalf("side %d: %d levels, want %d", i, len(prices), len(want))
		}
		if len(want) < 100 {
			t.Fatalf("side %d: only %d levels", i, len(want))
		}
		for j, lv := range want {
			got := side[prices[j]]
			if scaled(got.price, 8) != lv.Price*pow10(8+int(truth.PriceExp)) {
				t.Fatalf("side %d level %d: price %s, want %d", i, j, got.price, lv.Price)
			}
			if scaled(got.size, 8) != lv.Size*pow10(8+int(truth.SizeExp)) {
				t.Fatalf("side %d level %d: size %s, want %d", i, j, got.size, lv.Size)
			}
		}
	}
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// waitSessions waits until the server has n connections.
func waitSessions(t *testing.T, s *sim.Server, n int) {
	t.Helper()
	for range 500 {
		if s.Stats().Sessions == n {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("%d sessions, want %d", s.Stats().Sessions, n)
}

// wantClose reads up to the close frame and checks its code.
func wantClose(t *testing.T, c *client, code ws.StatusCode) {
	t.Helper()
	for {
		f, err := c.frame()
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
		if f.Header.OpCode == ws.OpClose {
			if got, reason := ws.ParseCloseFrameData(f.Payload); got != code {
				t.Fatalf("closed with %d %s, want %d", got, reason, code)
			}
			return
		}
	}
}
