package feeds

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickrelay/ring/md"
)

func coinbaseFixture() fixture {
	btc := subFor("BTC-USD", "BTC-USD", md.InstrumentSpot)
	eth := subFor("ETH-USD", "ETH-USD", md.InstrumentSpot)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	all := func(kind string) []string {
		return []string{
			`{"type":"` + kind + `","product_ids":["BTC-USD"],"channel":"market_trades"}`,
			`{"type":"` + kind + `","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}`,
			`{"type":"` + kind + `","product_ids":["ETH-USD"],"channel":"ticker"}`,
			`{"type":"` + kind + `","product_ids":["BTC-USD"],"channel":"status"}`,
		}
	}
	return fixture{
		venue: Coinbase{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelStatus, btc}, {md.ChannelBook, eth}, {md.ChannelTicker, eth},
				{md.ChannelBook, eth}},
			subscribe: all("subscribe"), unsubscribe: all("unsubscribe"),
		}},
		catalogues: []catalogueCase{
			{
				body: `{"products":[
					{"product_id":"BTC-USD","product_type":"SPOT","status":"online","alias":"","base_increment":"0.00000001","quote_increment":"0.01","price_increment":"0.01"},
					{"product_id":"BTC-USDC","product_type":"SPOT","status":"online","alias":"BTC-USD","base_increment":"0.00000001","quote_increment":"0.01"},
					{"product_id":"OLD-USD","product_type":"SPOT","status":"delisted","base_increment":"1","quote_increment":"1"},
					{"product_id":"NO-USD","product_type":"SPOT","status":"online","trading_disabled":true},
					{"product_id":"BIT-28NOV26-CDE","product_type":"FUTURE","status":"online"},
					{"product_id":"SKL-BTC","product_type":"SPOT","status":"online","base_increment":"0.1","quote_increment":"0.00000001"}],
					"num_products":6,"pagination":{"next_cursor":"Ng==","has_next":true}}`,
				want: []md.Instrument{
					{Kind: md.InstrumentSpot, Symbol: "BTC-USD", Native: "BTC-USD", PriceExp: -2, SizeExp: -8, Tick: dec(1, -2), Lot: dec(1, -8)},
					{Kind: md.InstrumentSpot, Symbol: "SKL-BTC", Native: "SKL-BTC", PriceExp: -8, SizeExp: -1, Tick: dec(1, -8), Lot: dec(1, -1)},
				},
				more: "&cursor=Ng%3D%3D",
			},
			{body: `{"products":[],"pagination":{"next_cursor":"","has_next":false}}`},
		},
		symbols: []symbolCase{
			{native: "BTC-USD", symbol: "BTC-USD", kind: md.InstrumentSpot},
			{native: "00-EUR", symbol: "00-EUR", kind: md.InstrumentSpot},
		},
		captures: []captureCase{{file: "coinbase/advanced_2026-08-09_first450.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 31, md.ChannelBook: 69000, md.ChannelTicker: 4 * 69}}},
		refused:   []string{"coinbase/exchange_level2_2021-04-17.ndjson.gz"},
		reference: referenceCoinbase,
	}
}

func referenceCoinbase(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root struct {
		Channel string
		Events  []struct {
			Updates []struct {
				Side  string
				Price string `json:"price_level"`
				Size  string `json:"new_quantity"`
			}
			Trades []struct {
				ID                string `json:"trade_id"`
				Price, Size, Side string
			}
		}
	}
	if json.Unmarshal([]byte(frame), &root) != nil || root.Channel != "l2_data" && root.Channel != "market_trades" {
		return nil, false
	}
	for _, e := range root.Events {
		for _, u := range e.Updates {
			recs = append(recs, refRecord{map[string]uint8{"bid": md.SideBid, "offer": md.SideAsk}[u.Side], u.Price, u.Size})
		}
		slices.Reverse(e.Trades) // newest first
		for _, u := range e.Trades {
			recs = append(recs, refRecord{map[string]uint8{"BUY": md.SideSell, "SELL": md.SideBuy}[u.Side], u.Price, u.Size})
		}
	}
	return recs, true
}

// TestCoinbaseCapture holds every frame of a session to its number, and the books
// of 46,000 levels to reason.
func TestCoinbaseCapture(t *testing.T) {
	_, sum, err := normalizeBytes(t, Coinbase{}, captureFile(t, "coinbase/advanced_2026-08-09_first450.ndjson.gz"))
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 2 || sum.Resyncs != 0 {
		t.Errorf("%v\n%s", err, sum)
	}
}

// TestCoinbaseLogin reads the tokens that requests carry, for both kinds of keys.
func TestCoinbaseLogin(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1786309548, 0)
	for _, c := range []struct {
		alg, secret string
		public      any
	}{{"ES256", text, &ec.PublicKey}, {"ES256", strings.ReplaceAll(text, "\n", `\n`), &ec.PublicKey},
		{"EdDSA", base64.StdEncoding.EncodeToString(private), public}} {
		v, err := Coinbase{}.WithCredentials(Credentials{Key: "organizations/a/apiKeys/b", Secret: c.secret})
		if err != nil {
			t.Fatal(err)
		}
		rq := Requests{ID: 1, Now: now.UnixNano()}
		btc := subFor("BTC-USD", "BTC-USD", md.InstrumentSpot)
		frames := append(v.(Opener).Open(nil, &rq), v.Subscribe(nil, []Sub{{md.ChannelBook, btc}}, &rq)...)
		nonces := map[any]bool{}
		for _, f := range frames {
			var msg struct{ Type, Channel, JWT string }
			if err := json.Unmarshal(f, &msg); err != nil || msg.Type != "subscribe" || msg.Channel == "" {
				t.Fatalf("%s: %v", f, err)
			}
			token, err := jwt.Parse(msg.JWT, func(*jwt.Token) (any, error) { return c.public, nil },
				jwt.WithValidMethods([]string{c.alg}), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithIssuer("cdp"),
				jwt.WithSubject("organizations/a/apiKeys/b"), jwt.WithExpirationRequired())
			if err != nil || token.Header["kid"] != "organizations/a/apiKeys/b" {
				t.Errorf("%s: %v", c.alg, err)
			}
			nonces[token.Header["nonce"]] = true
		}
		if len(nonces) != 2 {
			t.Errorf("%d nonces in 2 tokens", len(nonces))
		}
	}
	for _, c := range []Credentials{{}, {Key: "k"}, {Key: "k", Secret: "c2VjcmV0"}, {Key: "k", Secret: "-----BEGIN secret"}, {Key: "k", Secret: "?"}} {
		if _, err := (Coinbase{}).WithCredentials(c); err == nil || c.Secret != "" && strings.Contains(err.Error(), c.Secret) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestCoinbaseRefuses(t *testing.T) {
	head := `{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":3,"events":[`
	trades := `{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":3,"events":[`
	for _, frame := range []string{
		head + `{"type":"update","product_id":"BTC-USD"}]}`, head + `{"type":"update","updates":[]}]}`,
		head + `{"type":"update","product_id":"BTC-USD","updates":[{"side":"buy","event_time":"2026-08-09T21:05:48.5Z","price_level":"1","new_quantity":"1"}]}]}`,
		head + `{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.5Z","price_level":"1","new_quantity":"-1"}]}]}`,
		head + `{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","price_level":"1"}]}]}`,
		head + `],"events":[]}`,
		trades + `{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1","price":"1","size":"1","time":"2026-08-09T21:05:48.5Z"}]}]}`,
		trades + `{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"x","price":"1","size":"1","time":"2026-08-09T21:05:48.5Z","side":"BUY"}]}]}`,
		`{"channel":"heartbeats","sequence_num":1,"sequence_num":2,"events":[]}`, `{"channel":"heartbeats","timestamp":"yesterday"}`, `[]`,
	} {
		var d Decoded
		if err := (Coinbase{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeCoinbase(f *testing.F) { fuzzVenue(f, Coinbase{}) }
