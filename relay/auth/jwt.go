package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// keys are the verification keys in force and how to use them.
type keys struct {
	cfg    *JWT
	keys   []key
	parser *jwt.Parser
}

// key is one verification key. It is used with its own algorithm only: a token that
// names another one (RFC 8725, section 3.1) is not looked at with it.
type key struct {
	id  string // kid, "" outside a JWKS
	alg string
	key any // []byte, *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey
}

func (c *Config) loadKeys() (*keys, error) {
	j := c.JWT
	k := &keys{cfg: j}
	if j.HS256File != "" || j.HS256Env != "" {
		secret, err := c.secret(j.HS256File, j.HS256Env)
		if err != nil {
			return nil, err
		}
		if len(secret) < minSecret {
			return nil, fmt.Errorf("the HS256 secret has %d bytes, want at least %d", len(secret), minSecret)
		}
		k.keys = append(k.keys, key{"", jwt.SigningMethodHS256.Alg(), secret})
	}
	if j.PublicKeyFile != "" {
		text, err := c.read(j.PublicKeyFile)
		if err != nil {
			return nil, err
		}
		if err := k.addPEM(text); err != nil {
			return nil, fmt.Errorf("%s: %w", j.PublicKeyFile, err)
		}
	}
	if j.JWKSFile != "" {
		text, err := c.read(j.JWKSFile)
		if err != nil {
			return nil, err
		}
		if err := k.addJWKS(text); err != nil {
			return nil, fmt.Errorf("%s: %w", j.JWKSFile, err)
		}
	}
	var algs []string
	for _, x := range k.keys {
		algs = append(algs, x.alg)
	}
	// Claims are judged apart, by the caller's clock.
	k.parser = jwt.NewParser(jwt.WithValidMethods(algs), jwt.WithoutClaimsValidation())
	return k, nil
}

func (k *keys) addPEM(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("no PEM block")
	}
	var pub any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		pub, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		pub, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			pub = cert.PublicKey
		}
	default:
		return fmt.Errorf("PEM block %q: want PUBLIC KEY", block.Type)
	}
	if err != nil {
		return err
	}
	return k.add("", "", pub)
}

// addJWKS takes the keys of a set that are for signatures. Types that are not known are
// passed over (RFC 7517, section 5).
func (k *keys) addJWKS(text []byte) error {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(text, &set); err != nil {
		return err
	}
	n := len(k.keys)
	for i, m := range set.Keys {
		if m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		switch m.KTY {
		case jwkset.KtyRSA, jwkset.KtyEC, jwkset.KtyOKP:
		case jwkset.KtyOct:
			return fmt.Errorf("key %d is a shared secret: that goes into a file of its own", i)
		default:
			continue
		}
		jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		if err := k.add(m.KID, string(m.ALG), jwk.Key()); err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
	}
	if len(k.keys) == n {
		return errors.New("no key for signatures in it")
	}
	return nil
}

// add takes a public key; alg, if not "", must be the one that it is for.
func (k *keys) add(id, alg string, pub any) error {
	x := key{id: id, key: pub}
	switch p := pub.(type) {
	case *rsa.PublicKey:
		if p.N.BitLen() < 2048 {
			return fmt.Errorf("RSA key of %d bits, want at least 2048", p.N.BitLen())
		}
		x.alg = jwt.SigningMethodRS256.Alg()
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return errors.New("elliptic curve: want P-256")
		}
		x.alg = jwt.SigningMethodES256.Alg()
	case ed25519.PublicKey:
		x.alg = jwt.SigningMethodEdDSA.Alg()
	default:
		return fmt.Errorf("a key of type %T: want RSA, P-256 or Ed25519", pub)
	}
	if alg != "" && alg != x.alg {
		return fmt.Errorf("algorithm %q: want %s for this key", cleanName(alg), x.alg)
	}
	k.keys = append(k.keys, x)
	return nil
}

// candidates are the keys that may have signed t.
func (k *keys) candidates(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	var set jwt.VerificationKeySet
	for _, x := range k.keys {
		if x.alg == t.Method.Alg() && (x.id == "" || id == "" || x.id == id) {
			set.Keys = append(set.Keys, x.key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("no such key")
	}
	return set, nil
}

// verify checks signature and claims. The signature comes first, so that a forged
// token learns nothing.
func (k *keys) verify(text string, now time.Time) (*Grant, error) {
	if strings.Count(text, ".") != 2 {
		return nil, ErrUnknown
	}
	claims := jwt.MapClaims{}
	if _, err := k.parser.ParseWithClaims(text, claims, k.candidates); err != nil {
		return nil, ErrUnknown
	}
	j := k.cfg
	opts := []jwt.ParserOption{jwt.WithLeeway(j.Leeway), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithTimeFunc(func() time.Time { return now })}
	if j.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(j.Issuer))
	}
	if j.Audience != "" {
		opts = append(opts, jwt.WithAudience(j.Audience))
	}
	switch err := jwt.NewValidator(opts...).Validate(claims); {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, ErrExpired
	case err != nil:
		return nil, fmt.Errorf("%w: a claim is missing or wrong: exp, nbf, iat, iss or aud", ErrUnknown)
	}
	return k.grant(claims)
}

func (k *keys) grant(claims jwt.MapClaims) (*Grant, error) {
	topics, err := claimed(claims[k.cfg.TopicsClaim])
	if err != nil {
		return nil, fmt.Errorf("%w: claim %s: %w", ErrUnknown, k.cfg.TopicsClaim, err)
	}
	g := &Grant{Name: "jwt"}
	if g.Topics, err = patterns(topics); err != nil {
		return nil, fmt.Errorf("%w: claim %s is no list of topic patterns", ErrUnknown, k.cfg.TopicsClaim)
	}
	if sub, _ := claims.GetSubject(); sub != "" {
		g.Name = cleanName(sub)
	}
	g.Metrics, _ = claims["metrics"].(bool)
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil {
		return nil, ErrUnknown
	}
	g.Expires = exp.Add(k.cfg.Leeway)
	return g, nil
}

// claimed reads an array of strings, or one string with blanks in between.
func claimed(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return strings.Fields(v), nil
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return nil, errors.New("want strings")
			}
			out = append(out, s)
		}
		return slices.Clip(out), nil
	}
	return nil, errors.New("want an array of strings")
}
