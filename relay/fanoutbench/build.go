package fanoutbench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Names of the servers, as rows show them.
const (
	nameOurs       = "gateway"
	nameFloor      = "floor"
	nameGWS        = "gws"
	nameCentrifuge = "centrifuge"
)

// workshop is where peers are built and certificates lie.
type workshop struct {
	dir       string
	cert, key string
}

// newWorkshop makes a folder with a certificate for localhost.
func newWorkshop() (*workshop, error) {
	dir, err := os.MkdirTemp("", "tickrelay-bench-")
	if err != nil {
		return nil, fmt.Errorf("fanoutbench: %w", err)
	}
	w := &workshop{dir: dir, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	if err := w.certify(); err != nil {
		w.close()
		return nil, fmt.Errorf("fanoutbench: certificate: %w", err)
	}
	return w, nil
}

func (w *workshop) close() { os.RemoveAll(w.dir) }

func (w *workshop) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path, kind string
		der        []byte
	}{{w.cert, "CERTIFICATE", cert}, {w.key, "PRIVATE KEY", der}} {
		if err := os.WriteFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// build makes a peer's program; why says what is missing if it cannot.
func (w *workshop) build(ctx context.Context, sources, name string, log *slog.Logger) (path, why string) {
	peers := filepath.Join(sources, "relay", "fanoutbench", "peers")
	if _, err := os.Stat(filepath.Join(peers, "go.mod")); err != nil {
		return "", "no sources in " + peers
	}
	path = filepath.Join(w.dir, name)
	args := []string{"go", "build", "-o", path, "./" + name}
	if name == nameFloor {
		args = []string{"gcc", "-O2", "-o", path, "floor/floor.c"}
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		return "", "no " + args[0]
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = peers
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		log.Warn("peer is left out: it cannot be built", "peer", name, "error", err, "output", strings.TrimSpace(string(out)))
		return "", "cannot be built"
	}
	return path, ""
}

// kinds are the servers that take part, ours first. With secure all speak TLS, and the
// floor has none.
func (w *workshop) kinds(cfg *Config, built map[string]string, missing map[string]string, secure bool) []*kind {
	var pair []string
	suffix := ""
	if secure {
		pair, suffix = []string{w.cert, w.key}, "tls"
	}
	out := []*kind{{name: nameOurs, greet: []string{`{"op":"subscribe","id":1,"topics":["` + topic + `"]}`},
		start: func(ctx context.Context) (*server, error) { return startGateway(ctx, cfg, "fanout"+suffix, pair...) }}}
	for _, name := range []string{nameFloor, nameGWS, nameCentrifuge} {
		if secure && name == nameFloor {
			continue
		}
		path := built[name]
		k := &kind{name: name, skip: missing[name],
			start: func(ctx context.Context) (*server, error) { return startPeer(ctx, path, pair...) }}
		if name == nameCentrifuge {
			k.greet = []string{`{"id":1,"connect":{}}`}
		}
		out = append(out, k)
	}
	return out
}
