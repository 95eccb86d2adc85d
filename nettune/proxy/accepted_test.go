package proxy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune/proxy"
)

// certificate writes a self-signed certificate and its key into one file.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	_ = pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: k})
	file := filepath.Join(t.TempDir(), "tls.pem")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAccepted gives every sort of configuration to the proxies' own tests. They must
// have nothing to say, warnings included.
func TestAccepted(t *testing.T) {
	cert := certificate(t)
	two := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	for _, c := range []struct {
		name string
		cfg  proxy.Config
	}{
		{"plain", proxy.Config{}},
		{"tls", proxy.Config{TLSCert: cert, ServerName: "md.example.net"}},
		{"sources", proxy.Config{Sources: two, Gateways: []string{"127.0.0.1:8080", "[::1]:8081"}}},
		{"one source", proxy.Config{Sources: two[:1], MaxConns: 1}},
		{"fast open", proxy.Config{FastOpen: true, MaxPerClient: 3}},
		{"short times", proxy.Config{PingInterval: 150 * time.Millisecond}},
		{"all", proxy.Config{TLSCert: cert, ServerName: "md.example.net", Sources: two, FastOpen: true, MaxPerClient: 3, MaxConns: 50_000}},
	} {
		for _, pp := range []bool{false, true} {
			for _, k := range kinds {
				name := c.name + " " + k.name
				if pp {
					name += " proxy protocol"
				}
				t.Run(name, func(t *testing.T) {
					program := tool(t, k.name)
					c.cfg.ProxyProtocol, c.cfg.Listen = pp, freePort(t)
					var conf strings.Builder
					if err := k.write(&conf, c.cfg); err != nil {
						t.Fatal(err)
					}
					var cmd *exec.Cmd
					if k.name == "nginx" {
						_, args := nginxArgs(t, conf.String())
						cmd = exec.Command(program, append([]string{"-t", "-q"}, args...)...)
					} else {
						cmd = exec.Command(program, "-c", "-q", "-f", "/dev/stdin")
						cmd.Stdin = strings.NewReader(conf.String())
					}
					if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
						t.Errorf("%v\n%s\n%s", err, out, conf.String())
					}
				})
			}
		}
	}
}
