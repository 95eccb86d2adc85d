package feeds

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"tickrelay/ring/md"
)

// With an account of the tier that OKX asks for (Doc, "Order book channel"),
// books come tick by tick (books-l2-tbt, 10 ms) instead of every 100 ms.

var (
	_ Opener       = OKX{}
	_ Credentialed = OKX{}
)

// okxTickSpec is okxSpec of who logs in.
var okxTickSpec = func() Spec {
	s := okxSpec
	s.WaitReady = true
	s.Channels = slices.Clone(s.Channels)
	for i := range s.Channels {
		if s.Channels[i].Channel == md.ChannelBook {
			s.Channels[i].Native = okxTickBooks
		}
	}
	return s
}()

const okxTickBooks = "books-l2-tbt"

// WithCredentials implements Credentialed.
func (OKX) WithCredentials(c Credentials) (Venue, error) {
	if c.Key == "" || c.Secret == "" || c.Passphrase == "" {
		return nil, errors.New("okx: key, secret and passphrase are wanted")
	}
	return OKX{c.Key, c.Secret, c.Passphrase}, nil
}

// CredentialsFor implements Credentialed.
func (OKX) CredentialsFor() string {
	return "books tick by tick (books-l2-tbt), for accounts of the tier"
}

// Open implements Opener: the channel of maintenance, and the log-in, signed as
// the page on WebSocket log-in describes; the secret itself is never sent.
func (v OKX) Open(dst [][]byte, rq *Requests) [][]byte {
	rq.ID++
	dst = append(dst, []byte(`{"op":"subscribe","args":[{"channel":"status"}]}`))
	if v.key == "" {
		return dst
	}
	at := rq.Now / 1e9
	mac := hmac.New(sha256.New, []byte(v.secret))
	fmt.Fprintf(mac, "%dGET/users/self/verify", at)
	rq.ID++
	return append(dst, fmt.Appendf(nil, `{"op":"login","args":[{"apiKey":%s,"passphrase":%s,"timestamp":"%d","sign":"%s"}]}`,
		quoted(v.key), quoted(v.passphrase), at, base64.StdEncoding.EncodeToString(mac.Sum(nil))))
}

// books is the channel of books.
func (v OKX) books() string {
	if v.key != "" {
		return okxTickBooks
	}
	return "books"
}

// okxControl reads what an answer or a notice says about the session.
func okxControl(d *Decoded, event, code, msg []byte) {
	d.Text = msg
	switch string(event) {
	case "subscribe", "unsubscribe":
		d.Control = ControlAck
	case "login":
		d.Control = ControlReady
	case "error":
		d.Control = ControlError
	case "notice":
		// 64008: the connection will be closed for a service upgrade.
		if d.Control = ControlNotice; string(code) == `"64008"` {
			d.Control = ControlReconnect
		}
	}
}
