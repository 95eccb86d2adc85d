package sim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// Key, secret and passphrase of the only account at the simulated KuCoin.
const (
	KucoinKey        = "simulated-key"
	KucoinSecret     = "simulated-secret"
	KucoinPassphrase = "simulated-phrase"
)

// kucoinSigned checks what proves the account
// (https://www.kucoin.com/docs-new/authentication).
func kucoinSigned(r *http.Request) bool {
	sum := func(text string) string {
		mac := hmac.New(sha256.New, []byte(KucoinSecret))
		mac.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h := r.Header
	return h.Get("KC-API-KEY") == KucoinKey && h.Get("KC-API-PASSPHRASE") == sum(KucoinPassphrase) &&
		h.Get("KC-API-SIGN") == sum(h.Get("KC-API-TIMESTAMP")+r.Method+r.URL.RequestURI()) && h.Get("KC-API-KEY-VERSION") == "3"
}
