package bus

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// logText is what was logged, all levels.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logText) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// login is one try to connect.
type login struct {
	name string
	cfg  Config
	want string // in the log; "": it connects
}

// try connects and returns what was logged.
func (l *login) try(t *testing.T, url string) string {
	t.Helper()
	log := &logText{}
	l.cfg.URL, l.cfg.Log = url, log.logger()
	cfg := l.cfg.WithDefaults()
	if errs := cfg.Validate(); len(errs) > 0 {
		t.Fatalf("%s: %v", l.name, join(errs))
	}
	nc, err := cfg.connect("test", events{})
	if err != nil {
		t.Fatalf("%s: %v", l.name, err)
	}
	defer nc.Close()
	defer func() {
		if t.Failed() {
			t.Logf("%s", log)
		}
	}()
	eventually(t, l.name+": "+l.want, func() bool {
		if l.want != "" {
			return strings.Contains(log.String(), l.want)
		}
		return nc.IsConnected() && strings.Contains(log.String(), "connected to NATS")
	})
	if l.want != "" && nc.IsConnected() {
		t.Errorf("%s: connected", l.name)
	}
	return log.String()
}

// tryAll tries each at a server and looks for what must not be logged.
func tryAll(t *testing.T, change func(*server.Options), secrets []string, logins ...login) {
	t.Helper()
	srv := natsOne(t, change)
	for _, l := range logins {
		text := l.try(t, srv.URL())
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s: the log has %q:\n%s", l.name, s, text)
			}
		}
	}
}

func keep(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const refusedText = "authorization refused: check user, password, token, creds_file or nkey_file"

func TestLoginByPasswordOrToken(t *testing.T) {
	const pass, wrong = "Tr0ub4dor", "C0rrectHorse"
	t.Setenv("TICKRELAY_TEST_SECRET", pass)
	good, bad := keep(t, "pw", pass+"\nanything else"), keep(t, "bad", wrong+"\r\n")
	tryAll(t, func(o *server.Options) { o.Username, o.Password = "gw", pass }, []string{pass, wrong},
		login{"password in a file", Config{Auth: Auth{User: "gw", PasswordFile: good}}, ""},
		login{"password in a variable", Config{Auth: Auth{User: "gw", PasswordEnv: "TICKRELAY_TEST_SECRET"}}, ""},
		login{"wrong password", Config{Auth: Auth{User: "gw", PasswordFile: bad}}, refusedText},
		login{"wrong user", Config{Auth: Auth{User: "in", PasswordFile: good}}, refusedText},
		login{"none", Config{}, refusedText})
	tryAll(t, func(o *server.Options) { o.Authorization = pass }, []string{pass, wrong},
		login{"token in a file", Config{Auth: Auth{TokenFile: good}}, ""},
		login{"token in a variable", Config{Auth: Auth{TokenEnv: "TICKRELAY_TEST_SECRET"}}, ""},
		login{"wrong token", Config{Auth: Auth{TokenFile: bad}}, refusedText})
}

// TestSecretIsReadAgain: a file that is put right while the connection is tried is
// used, and one that goes missing is named.
func TestSecretIsReadAgain(t *testing.T) {
	srv := natsOne(t, func(o *server.Options) { o.Authorization = "second" })
	file, log := keep(t, "token", "first"), &logText{}
	cfg := Config{URL: srv.URL(), Auth: Auth{TokenFile: file}, Log: log.logger()}.WithDefaults()
	nc, err := cfg.connect("test", events{})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	eventually(t, "a refusal", func() bool { return strings.Contains(log.String(), refusedText) })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is missed", func() bool {
		return strings.Contains(log.String(), "no secret to log in with") && strings.Contains(log.String(), file)
	})
	if err := os.WriteFile(file, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected", nc.IsConnected)
	if n := strings.Count(log.String(), "no secret to log in with"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log)
	}
}

// userKey makes a key pair of a user, its seed's file and the seed.
func userKey(t *testing.T) (kp nkeys.KeyPair, public, file, seed string) {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := kp.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return kp, publicOf(t, kp), keep(t, "user.nk", string(text)), string(text)
}

func publicOf(t *testing.T, kp nkeys.KeyPair) string {
	t.Helper()
	p, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoginByNKey(t *testing.T) {
	_, public, file, seed := userKey(t)
	_, _, other, otherSeed := userKey(t)
	tryAll(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} }, []string{seed, otherSeed},
		login{"nkey", Config{Auth: Auth{NKeyFile: file}}, ""},
		login{"another one's nkey", Config{Auth: Auth{NKeyFile: other}}, refusedText})
	tryAll(t, nil, []string{seed}, login{"a server without nkeys", Config{Auth: Auth{NKeyFile: file}}, "the server knows no nkeys and no creds files"})
}

// TestLoginByCreds: JWTs of an operator's account, as nsc makes them.
func TestLoginByCreds(t *testing.T) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		t.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewOperatorClaims(publicOf(t, operator))
	encoded, err := jwt.NewAccountClaims(publicOf(t, account)).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	accounts := &server.MemAccResolver{}
	if err := accounts.Store(publicOf(t, account), encoded); err != nil {
		t.Fatal(err)
	}
	var secrets []string
	creds := func(signer nkeys.KeyPair, expires time.Time) string {
		_, public, _, seed := userKey(t)
		c := jwt.NewUserClaims(public)
		if c.IssuerAccount = publicOf(t, account); signer == account {
			c.IssuerAccount = ""
		}
		if !expires.IsZero() {
			c.Expires = expires.Unix()
		}
		token, err := c.Encode(signer)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.FormatUserConfig(token, []byte(seed))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, seed, token)
		return keep(t, "user.creds", string(text))
	}
	stranger, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	logins := []login{
		{"creds", Config{Auth: Auth{CredsFile: creds(account, time.Time{})}}, ""},
		{"of a stranger", Config{Auth: Auth{CredsFile: creds(stranger, time.Time{})}}, refusedText},
		{"expired", Config{Auth: Auth{CredsFile: creds(account, time.Now().Add(-time.Hour))}}, refusedText},
		{"none", Config{}, refusedText},
	}
	tryAll(t, func(o *server.Options) {
		o.JetStream = false // it would want a system account
		o.TrustedOperators, o.AccountResolver = []*jwt.OperatorClaims{claims}, accounts
	}, secrets, logins...)
}

// authority is one of the test's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
	n    int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	cert, key := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign})
	a.file = cert
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue writes a certificate and its key.
func (a *authority) issue(c *x509.Certificate) (cert, key string) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.n), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return keep(a.t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		keep(a.t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

func (a *authority) server(ip string) *tls.Config {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "nats"}, IPAddresses: []net.IP{net.ParseIP(ip)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, MinVersion: tls.VersionTLS12}
}

func (a *authority) client() TLS {
	a.t.Helper()
	cert, key := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "gw"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return TLS{CA: a.file, Cert: cert, Key: key}
}

func encrypted(c *tls.Config, verify bool) func(*server.Options) {
	return func(o *server.Options) {
		o.TLSConfig, o.TLS, o.TLSVerify, o.TLSTimeout = c, true, verify, 5
		if verify {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
}

func TestTLS(t *testing.T) {
	own, other := newAuthority(t), newAuthority(t)
	const mismatch = "server and client do not agree on TLS"
	tryAll(t, encrypted(own.server("127.0.0.1"), false), nil,
		login{"authority known", Config{TLS: TLS{CA: own.file}}, ""},
		login{"authority not known", Config{}, "is of an authority that is not known here: set tls.ca"},
		login{"another authority", Config{TLS: TLS{CA: other.file}}, "is of an authority that is not known here"})
	tryAll(t, encrypted(own.server("127.0.0.2"), false), nil,
		login{"another name", Config{TLS: TLS{CA: own.file}}, "certificate is for another name"})
	tryAll(t, nil, nil, login{"a server without TLS", Config{TLS: TLS{CA: own.file}}, mismatch})
	const wanted = "the server may want another certificate of ours: check tls.cert and tls.key"
	stranger := other.client()
	stranger.CA = own.file
	tryAll(t, encrypted(own.server("127.0.0.1"), true), nil,
		login{"certificate of ours", Config{TLS: own.client()}, ""},
		login{"no certificate", Config{TLS: TLS{CA: own.file}}, wanted},
		login{"certificate of a stranger", Config{TLS: stranger}, wanted})
}

// TestThereAndBackSecurely carries records over TLS, with certificates both ways and
// a password.
func TestThereAndBackSecurely(t *testing.T) {
	own := newAuthority(t)
	srv := natsOne(t, func(o *server.Options) {
		encrypted(own.server("127.0.0.1"), true)(o)
		o.Username, o.Password = "bus", "s3cret"
	})
	cfg := Config{URL: strings.Replace(srv.URL(), "nats:", "tls:", 1), NoLease: true, TLS: own.client(),
		Auth: Auth{User: "bus", PasswordFile: keep(t, "pw", "s3cret")}}
	src := newSource(t, 0, 1<<12)
	src.start()
	src.publish(cfg)
	k := subscribe(t, cfg, 1)
	for range 20 {
		src.tick()
	}
	eventually(t, "the same book and quote", func() bool { return k.agrees(src) })
}

// TestValidateSecrets: what cannot work is told before anything is connected to,
// without what the files hold.
func TestValidateSecrets(t *testing.T) {
	own := newAuthority(t)
	client, strange := own.client(), own.client()
	junk, empty := keep(t, "junk", "h4rdToGuess\n"), keep(t, "empty", "\nx")
	_, _, nkey, seed := userKey(t)
	t.Setenv("TICKRELAY_TEST_UNSET", "")
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Auth: Auth{User: "x", PasswordFile: empty}}, "bus: password_file: " + empty + ": the first line is empty"},
		{Config{Auth: Auth{User: "x", PasswordFile: empty + "x"}}, "bus: password_file: open "},
		{Config{Auth: Auth{TokenEnv: "TICKRELAY_TEST_UNSET"}}, "bus: token_env: environment variable TICKRELAY_TEST_UNSET is not set"},
		{Config{Auth: Auth{User: "x"}}, "bus: user: want password_file or password_env with it"},
		{Config{Auth: Auth{PasswordFile: junk}}, "bus: user: missing: there is a password"},
		{Config{Auth: Auth{TokenFile: junk, NKeyFile: nkey}}, "token_file and nkey_file are set: want one way to log in"},
		{Config{Auth: Auth{NKeyFile: junk}}, "bus: nkey_file: " + junk},
		{Config{Auth: Auth{NKeyFile: junk + "x"}}, "bus: nkey_file: " + junk + "x"},
		{Config{Auth: Auth{CredsFile: junk}}, "bus: creds_file: " + junk + " holds no"},
		{Config{Auth: Auth{CredsFile: nkey}}, "bus: creds_file: " + nkey + " holds no JWT"},
		{Config{Auth: Auth{CredsFile: junk + "x"}}, "bus: creds_file: open " + junk + "x"},
		{Config{TLS: TLS{CA: junk}}, "bus: tls.ca: " + junk + " holds no PEM certificate"},
		{Config{TLS: TLS{CA: junk + "x"}}, "bus: tls.ca: open "},
		{Config{TLS: TLS{Cert: client.Cert}}, "bus: tls: cert and key belong together"},
		{Config{TLS: TLS{Cert: client.Cert, Key: junk + "x"}}, "bus: tls.cert: stat "},
		{Config{TLS: TLS{Cert: client.Cert, Key: strange.Key}}, "bus: tls.cert: " + client.Cert},
		{Config{URL: "nats://gw:h4rdToGuess@host:4222"}, "would be logged"},
	} {
		if c.cfg.URL == "" {
			c.cfg.URL = "nats://127.0.0.1:4222"
		}
		err := join(c.cfg.Validate())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		} else if strings.Contains(err.Error(), "h4rdToGuess") || strings.Contains(err.Error(), seed) {
			t.Errorf("a secret is in %v", err)
		}
	}
}
