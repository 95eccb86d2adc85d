package feeds

import (
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// TestOKXLogin logs in as the document describes; the signature was worked out
// with another program (Python's hmac). Books are asked for tick by tick, and not
// before the log-in is confirmed.
func TestOKXLogin(t *testing.T) {
	if _, err := (OKX{}).WithCredentials(Credentials{Key: "hush", Secret: "hush"}); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("without a passphrase: %v", err)
	}
	v, err := OKX{}.WithCredentials(Credentials{Key: "key", Secret: "secret", Passphrase: "phrase"})
	if err != nil {
		t.Fatal(err)
	}
	rq := Requests{ID: 1, Now: 1704876947_123456789}
	status := `{"op":"subscribe","args":[{"channel":"status"}]}`
	compareFrames(t, "log-in", v.(Opener).Open(nil, &rq), []string{status,
		`{"op":"login","args":[{"apiKey":"key","passphrase":"phrase","timestamp":"1704876947","sign":"QR8IYXSz8YsO8ec0umZAawJDAM1GgDAkZvjJkRiUTxk="}]}`})
	compareFrames(t, "no log-in", OKX{}.Open(nil, &rq), []string{status})
	r := newEngineRig(t, v, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelBook} })
	r.connect(0)
	r.expectActions("first", `"status"`, `{"op":"login"`)
	r.frame(`{"event":"login","code":"0","msg":"","connId":"a4d3ae55"}`)
	r.expectActions("then", `"op":"subscribe" "books-l2-tbt" "BTC-USDT"`)
	r.frame(`{"event":"error","code":"60009","msg":"Login failed."}`)
	if n := r.eng.Stats().VenueErrors.Load(); n != 1 {
		t.Errorf("%d refusals counted", n)
	}
}
