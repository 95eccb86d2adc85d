package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const desk = "0123456789abcdef0123456789abcdef"

// writeCertificate makes a self-signed one for 127.0.0.1 and adds it to pool.
func writeCertificate(t *testing.T, cert, key string, serial int64, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "relay"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := x509.ParseCertificate(der)
	pool.AddCert(c)
	secret, _ := x509.MarshalPKCS8PrivateKey(k)
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Certificates are renewed, tokens expire and the gateway is replaced, over TLS and under
// load: every client that resumes has every message.
func TestRenewExpireUpgradeUnderLoad(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := x509.NewCertPool()
	writeCertificate(t, cert, key, 1, pool)
	next := pool.Clone()
	newCert, newKey := cert+".next", key+".next"
	writeCertificate(t, newCert, newKey, 2, next)
	t.Setenv("TICKRELAY_TEST_SECRET", desk)
	s := newSplit(t, "tls: {cert: "+cert+", key: "+key+"}\nauth:\n  jwt: {hs256_env: TICKRELAY_TEST_SECRET}\n")
	gw := s.gateway()
	gw.line("websocket wss://")
	token := func() string { // lives for three seconds
		exp := float64(time.Now().Add(3*time.Second).UnixMilli()) / 1e3
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "alice", "exp": exp, "topics": []string{"binance.trades.*"}}).SignedString([]byte(desk))
		if err != nil {
			t.Error(err)
		}
		return text
	}
	clients := follow(t, 10, s.listen, token, &tls.Config{RootCAs: next}) // trusts both
	moved(t, clients)
	until(t, clients, "expired tokens", func(st followerState) bool { return st.closes[3000] >= len(clients) })

	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	gw.cmd.Process.Signal(syscall.SIGHUP)
	waitFor(t, "the new certificate", func() bool {
		c, err := tls.Dial("tcp", s.listen, &tls.Config{RootCAs: next})
		if err != nil {
			return false
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
	})
	moved(t, clients)
	second := s.gateway("--takeover")
	if code := gw.ended(); code != 0 {
		t.Errorf("the replaced gateway ended with %d", code)
	}
	if st := moved(t, clients); st.gaps > 0 || st.epochs > 0 || st.closes[1012] == 0 {
		t.Errorf("something was missed: %+v", st)
	}
	logs := gw.errors() + second.errors() + s.feeds.errors()
	if strings.Contains(logs, desk) || strings.Contains(logs, "eyJ") {
		t.Error("a secret or a token is in the log")
	}
}
