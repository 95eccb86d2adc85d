package feeds

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// coinbaseSigner makes the tokens that requests of Advanced Trade carry
// (docs.cdp.coinbase.com, "WebSocket authentication"). A token is good for two
// minutes and made anew for each request.
type coinbaseSigner struct {
	name   string // of the key
	key    crypto.Signer
	method jwt.SigningMethod
}

// CredentialsFor implements Credentialed.
func (Coinbase) CredentialsFor() string {
	return "nothing more: optional, a CDP API key (its name and its ECDSA or Ed25519 secret) counts requests for the account instead of the address"
}

// WithCredentials implements Credentialed. Key is the name of a CDP API key,
// Secret its private key: PEM for ECDSA (P-256), base64 for Ed25519.
func (Coinbase) WithCredentials(c Credentials) (Venue, error) {
	if c.Key == "" || c.Secret == "" {
		return nil, errors.New("coinbase: the key's name and its secret are both needed")
	}
	s := &coinbaseSigner{name: c.Key}
	secret := strings.ReplaceAll(strings.TrimSpace(c.Secret), `\n`, "\n") // as key files write it
	if strings.HasPrefix(secret, "-----BEGIN") {
		key, err := jwt.ParseECPrivateKeyFromPEM([]byte(secret))
		if err != nil || key.Curve != elliptic.P256() {
			return nil, errors.New("coinbase: the secret is no PEM of an ECDSA key on P-256")
		}
		s.key, s.method = (*ecdsa.PrivateKey)(key), jwt.SigningMethodES256
		return Coinbase{s}, nil
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(raw) != ed25519.PrivateKeySize {
		return nil, errors.New("coinbase: the secret is neither PEM nor 64 bytes in base64")
	}
	s.key, s.method = ed25519.PrivateKey(raw), jwt.SigningMethodEdDSA
	return Coinbase{s}, nil
}

// member is the member of a request that carries a token made at now (ns), "" for
// who is not logged in.
func (s *coinbaseSigner) member(now int64) string {
	if s == nil {
		return ""
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	at := time.Unix(0, now)
	t := jwt.NewWithClaims(s.method, jwt.MapClaims{
		"sub": s.name, "iss": "cdp", "nbf": at.Unix(), "exp": at.Add(2 * time.Minute).Unix(),
	})
	t.Header["kid"], t.Header["nonce"] = s.name, hex.EncodeToString(nonce[:])
	token, err := t.SignedString(s.key)
	if err != nil { // keys were checked: then the venue says that a token is missing
		return ""
	}
	return `,"jwt":"` + token + `"`
}
