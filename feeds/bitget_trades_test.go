package feeds

import (
	"fmt"
	"strings"
	"testing"
)

// TestBitgetTradesOldestFirst: the venue sends the newest trade of a frame first;
// readers get them as they happened.
func TestBitgetTradesOldestFirst(t *testing.T) {
	one := func(ts int, id string) string {
		return fmt.Sprintf(`{"ts":"%d","price":"%d","size":"1","side":"buy","tradeId":"%s"}`, ts, ts, id)
	}
	for _, c := range []struct {
		name   string
		data   []string
		prices string // of the records, in order
		events int
	}{
		{"times fall", []string{one(30, "9"), one(20, "8"), one(10, "7")}, "10 20 30", 1},
		{"ids fall", []string{one(10, "9"), one(10, "8")}, "10 10", 1},
		{"times rise", []string{one(10, "8"), one(20, "9")}, "10 20", 1},
		{"ids are texts", []string{one(30, "5"), one(20, "c0ffee-2"), one(10, "c0ffee-1"), one(9, "2"), one(8, "1")}, "8 9 10 20 30", 4},
		{"v1", []string{`["30","30","1","buy"]`, `["20","20","1","sell"]`}, "20 30", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Decoded
			frame := `{"action":"update","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"},"data":[` + strings.Join(c.data, ",") + `]}`
			if err := (Bitget{}).Decode([]byte(frame), &d); err != nil {
				t.Fatal(err)
			}
			var prices []string
			last := uint64(0)
			for _, ev := range d.Events {
				for k := range d.Recs[ev.From:ev.To] {
					r := &d.Recs[ev.From+k]
					prices = append(prices, fmt.Sprint(r.Price))
					if ev.Text != nil {
						continue
					}
					if r.ID < last {
						t.Errorf("id %d after %d", r.ID, last)
					}
					last = r.ID
				}
				if ev.Text != nil && string(ev.Text) != "c0ffee-"+fmt.Sprint(d.Recs[ev.From].Price/10) {
					t.Errorf("text %q at a price of %d", ev.Text, d.Recs[ev.From].Price)
				}
			}
			if got := strings.Join(prices, " "); got != c.prices || len(d.Events) != c.events {
				t.Errorf("%s in %d events, want %s in %d", got, len(d.Events), c.prices, c.events)
			}
		})
	}
}
