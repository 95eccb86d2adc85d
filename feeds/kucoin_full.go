package feeds

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"

	"tickrelay/ring/md"
)

// With an account the spot market's book is whole: the increments of level2,
// joined to the full snapshot, whose request is signed (page "Get Full OrderBook",
// weight 3 of what an account may ask). No permission beyond reading is needed.

var (
	_ Credentialed = Kucoin{}
	_ Signer       = Kucoin{}
)

// kucoinFullSpec is kucoinSpec of who has an account. The numbers are those of the
// instrument: the snapshot by REST has them too.
var kucoinFullSpec = func() Spec {
	s := kucoinSpec
	s.MergeBooks = true
	s.Channels = slices.Clone(s.Channels)
	for i := range s.Channels {
		if c := &s.Channels[i]; c.Channel == md.ChannelBook {
			c.Native = "/market/level2"
			c.Rule = "REST snapshot joined at sequenceStart <= its sequence + 1, then sequenceStart = previous sequenceEnd + 1"
		}
	}
	return s
}()

// WithCredentials implements Credentialed.
func (Kucoin) WithCredentials(c Credentials) (Venue, error) {
	if c.Key == "" || c.Secret == "" || c.Passphrase == "" {
		return nil, errors.New("kucoin: key, secret and passphrase are wanted")
	}
	return Kucoin{key: c.Key, secret: c.Secret, passphrase: c.Passphrase}, nil
}

// CredentialsFor implements Credentialed.
func (Kucoin) CredentialsFor() string {
	return "the whole book (/market/level2 and its snapshot) instead of the 50 best levels; keys of version 3"
}

func (v Kucoin) topics() int {
	if v.key != "" {
		return kucoinFull
	}
	return kucoinSpot
}

// Sign implements Signer as the page on authentication describes for keys of
// version 3: the secret itself is never sent, nor the passphrase.
func (v Kucoin) Sign(rq *Request, now int64) {
	u, err := url.Parse(rq.URL)
	if v.key == "" || err != nil {
		return
	}
	sign := func(text string) string {
		mac := hmac.New(sha256.New, []byte(v.secret))
		mac.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	ms := strconv.FormatInt(now/1e6, 10)
	rq.Header = append(rq.Header,
		[2]string{"KC-API-KEY", v.key},
		[2]string{"KC-API-SIGN", sign(ms + "GET" + u.RequestURI())},
		[2]string{"KC-API-TIMESTAMP", ms},
		[2]string{"KC-API-PASSPHRASE", sign(v.passphrase)},
		[2]string{"KC-API-KEY-VERSION", "3"})
}
