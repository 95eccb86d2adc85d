package md

import (
	"errors"
	"strings"
	"testing"
)

func TestTopic(t *testing.T) {
	f := func(s string, want Topic) {
		t.Helper()
		got, err := ParseTopic(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	f("binance.trades.BTC-USDT", Topic{VenueBinance, ChannelTrades, "BTC-USDT"})
	f("binance-usdm.open_interest.BTC-USDT-PERP", Topic{VenueBinanceUSDM, ChannelOpenInterest, "BTC-USDT-PERP"})
	f("okx.status._", Topic{VenueOKX, ChannelStatus, "_"})
	f("deribit.candles_1s.SOL-USDC-251226-0d55-P", Topic{VenueDeribit, ChannelCandles1s, "SOL-USDC-251226-0d55-P"})
	f("okx.raw.币安人生-USDT", Topic{VenueOKX, ChannelRaw, "币安人生-USDT"})
	for _, s := range []string{"", ".", "..", "binance", "binance.trades", "binance.trades.", "binance..BTC-USDT",
		".trades.BTC-USDT", "nyse.trades.X", "binance.candles.X", "binance.unknown.X", "unknown.trades.X",
		"binance.trades.A.B", "binance.trades.A B", "binance.trades.*", "binance.trades.>", "binance.trades.a>",
		"binance.trades.\x00", "binance.trades.\xff", "binance.trades.a\u00a0b", "Binance.trades.X",
		"binance.trades." + strings.Repeat("x", MaxToken+1)} {
		if got, err := ParseTopic(s); !errors.Is(err, ErrTopic) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}

func TestPattern(t *testing.T) {
	f := func(pattern string, yes, no string) {
		t.Helper()
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Error(err)
			return
		}
		for _, s := range strings.Fields(yes) {
			topic, err := ParseTopic(s)
			if err != nil || !p.Match(s) || !p.MatchTopic(topic) {
				t.Errorf("%q does not match %q (%v)", pattern, s, err)
			}
		}
		for _, s := range strings.Fields(no) {
			if p.Match(s) {
				t.Errorf("%q matches %q", pattern, s)
			}
		}
	}
	f(">", "okx.trades.A-B binance.book._", "okx okx.trades okx.raw.A-B")
	f("okx.>", "okx.trades.A-B", "binance.trades.A-B okx.raw.A-B")
	f("okx.trades.>", "okx.trades.A-B", "okx.book.A-B okx.raw.A-B")
	f("okx.trades.A-B", "okx.trades.A-B", "okx.trades.A-C okx.trades.A-B-PERP okx.trades.a-b")
	f("*.trades.A-B", "okx.trades.A-B bitget.trades.A-B", "okx.book.A-B")
	f("okx.*.A-B", "okx.trades.A-B okx.status.A-B", "okx.raw.A-B okx.trades.C-D")
	f("*.*.*", "okx.trades.A-B", "okx.raw.A-B okx.trades")
	f("okx.raw.A-B", "okx.raw.A-B", "okx.raw.C-D")
	f("*.raw.>", "okx.raw.A-B", "okx.trades.A-B")
	f("okx.raw.*", "okx.raw.A-B", "okx.book.A-B")
	for _, s := range []string{"", ".", "okx", "okx.trades", "okx.*", "okx.trades.A-B.>", "okx.trades.A.B", ">.okx", "*.>.A-B",
		"okx.trades.A*", "okx.trades.*-USDT", "nyse.>", "okx.candles.>", "okx..>", ">>", "okx.trades.A B", "okx.>."} {
		if _, err := ParsePattern(s); !errors.Is(err, ErrTopic) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if (Pattern{}).Match("okx.trades.A-B") {
		t.Error("the zero pattern matches")
	}
	p, _ := ParsePattern("okx.trades.A-B")
	q, _ := ParsePattern("okx.trades.*")
	if !p.Literal() || q.Literal() || (Pattern{}).Literal() || p.String() != "okx.trades.A-B" {
		t.Error("Literal or String")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("okx.*.>", "okx.trades.A-B")
	f.Add(">", "okx.raw.A-B")
	f.Add("okx.raw.A-B", "okx.raw.A-B")
	f.Add("*.trades.币", "okx.trades.币")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		p, err := ParsePattern(pattern)
		if err != nil {
			return
		}
		tp, err := ParseTopic(topic)
		if err != nil {
			return
		}
		if tp.String() != topic || p.String() != pattern {
			t.Fatalf("%q and %q do not print as they were read", pattern, topic)
		}
		if got, want := p.Match(topic), plainMatch(pattern, topic); got != want || p.MatchTopic(tp) != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, topic, got, want)
		}
	})
}

// plainMatch is the rule token by token.
func plainMatch(pattern, topic string) bool {
	ps, ts := strings.Split(pattern, "."), strings.Split(topic, ".")
	if ts[1] == "raw" && (len(ps) < 2 || ps[1] != "raw") {
		return false
	}
	for i, p := range ps {
		if p == ">" {
			return i < len(ts)
		}
		if i >= len(ts) || p != "*" && p != ts[i] {
			return false
		}
	}
	return len(ps) == len(ts)
}

func TestNames(t *testing.T) {
	venues, channels := 0, 0
	for v := Venue(1); v < 1000; v++ {
		if back, ok := ParseVenue(v.String()); ok != v.Known() || ok && back != v {
			t.Errorf("venue %d is %q, which is %d", v, v, back)
		}
		if v.Known() {
			venues++
		}
	}
	for c := range Channel(255) {
		if back, ok := ParseChannel(c.String()); ok {
			channels++
			if back != c || CheckToken(c.String()) != nil {
				t.Errorf("channel %d is %q, which is %d", c, c, back)
			}
		}
	}
	if venues != 21 || channels != NumChannels-1 {
		t.Errorf("%d venues, %d channels", venues, channels)
	}
	for _, s := range []string{Kind(0).String(), Kind(200).String(), GapReason(0).String(), Status(0).String(), Status(99).String(),
		Signal(0).String(), Venue(0).String(), StatName(NumStats), CandleName(NumCandle), TradeSideName(3), BookSideName(4), InstrumentKind(0).String()} {
		if s != "unknown" {
			t.Errorf("a code outside its list is %q", s)
		}
	}
	if _, ok := ParseVenue(""); ok {
		t.Error("the empty venue")
	}
	if _, ok := ParseChannel("unknown"); ok {
		t.Error("the unknown channel")
	}
	for k := range Kind(255) {
		gap := Record{Kind: k, Side: uint8(ChannelBook)}
		if ch := gap.Channel(); (k == KindGap || k == KindHeartbeat || k == KindCandle) != (ch == ChannelBook) && k != KindBook {
			t.Errorf("%s record is of channel %s", k, ch)
		}
	}
	if r := (Record{Kind: KindGap, Side: 200}); r.Channel() != ChannelAll {
		t.Error("channel 200")
	}
}
