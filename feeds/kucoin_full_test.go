package feeds

import (
	"strings"
	"testing"

	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// TestKucoinSign: the signatures were worked out with another program (Python's
// hmac).
func TestKucoinSign(t *testing.T) {
	if _, err := (Kucoin{}).WithCredentials(Credentials{Key: "hush", Secret: "hush"}); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("without a passphrase: %v", err)
	}
	v, err := Kucoin{}.WithCredentials(Credentials{Key: "key", Secret: "secret", Passphrase: "phrase"})
	if err != nil {
		t.Fatal(err)
	}
	in := subFor("BTC-USDT", "BTC-USDT", md.InstrumentSpot)
	rq := Request{URL: v.SnapshotURL("https://api.kucoin.com", in)}
	v.(Signer).Sign(&rq, 1704876947_123456789)
	want := [][2]string{{"KC-API-KEY", "key"}, {"KC-API-SIGN", "rpeo/5EyDyZ3uo1rtYrvImLDtdOsaM3YU1ICLplPzHg="},
		{"KC-API-TIMESTAMP", "1704876947123"}, {"KC-API-PASSPHRASE", "+n/mrTSNU7CrscsmDK22syRThdivpLcovw6amkVEEug="}, {"KC-API-KEY-VERSION", "3"}}
	if len(rq.Header) != len(want) {
		t.Fatalf("%v", rq.Header)
	}
	for i := range want {
		if rq.Header[i] != want[i] {
			t.Errorf("%v, want %v", rq.Header[i], want[i])
		}
	}
	nobody := Request{URL: rq.URL}
	if (Kucoin{}).Sign(&nobody, 1); len(nobody.Header) != 0 {
		t.Errorf("signed without credentials: %v", nobody.Header)
	}
	requests := Requests{ID: 1}
	compareFrames(t, "subscribe", v.Subscribe(nil, []Sub{{md.ChannelBook, in}}, &requests), []string{
		`{"type":"subscribe","topic":"/market/level2:BTC-USDT","privateChannel":false,"response":true,"id":"1"}`})
}

// TestFeedKucoinFull: with an account the whole book is joined to a signed
// snapshot, also after frames were lost; with a wrong secret it never is.
func TestFeedKucoinFull(t *testing.T) {
	right := Credentials{Key: sim.KucoinKey, Secret: sim.KucoinSecret, Passphrase: sim.KucoinPassphrase}
	for _, c := range []struct {
		name  string
		fault sim.Fault
	}{{"quiet", 0}, {"missing update", sim.FaultMissingSeq}} {
		t.Run(c.name, func(t *testing.T) {
			v, err := Kucoin{}.WithCredentials(right)
			if err != nil {
				t.Fatal(err)
			}
			r := newRig(t, v, sim.Options{}, nil)
			runFeed(t, r.feed)
			r.live()
			r.same()
			if c.fault != 0 {
				if err := r.server.Inject(c.fault); err != nil {
					t.Fatal(err)
				}
				r.wait("a gap", func() bool { return r.feed.Stats().Gaps[md.GapSequence].Load() > 0 })
				r.live()
				r.same()
			}
		})
	}
	wrong := right
	wrong.Secret = "guessed"
	v, err := Kucoin{}.WithCredentials(wrong)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, v, sim.Options{}, nil)
	runFeed(t, r.feed)
	r.wait("refusals", func() bool { return r.feed.Health().RESTFailures > 1 })
	if n := r.feed.Stats().BooksBuilt.Load(); n > 0 {
		t.Errorf("%d books were joined without an account", n)
	}
}
