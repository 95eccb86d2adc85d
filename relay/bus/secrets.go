package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Passwords, tokens, seeds and certificates. What they hold appears in no error
// and no log line: those name the file, or the variable.

// options turn Auth into the client's. Secrets are read again at each connect
// where the library lets us, so that they can be renewed.
func (a *Auth) options(log *slog.Logger) ([]nats.Option, error) {
	var told atomic.Bool
	read := func(file, env string) string {
		text, err := secret(file, env)
		if err != nil && !told.Swap(true) {
			log.Warn("no secret to log in with", "reason", err)
		} else if err == nil {
			told.Store(false)
		}
		return text
	}
	switch {
	case a.User != "":
		return []nats.Option{nats.UserInfoHandler(func() (string, string) { return a.User, read(a.PasswordFile, a.PasswordEnv) })}, nil
	case a.TokenFile != "" || a.TokenEnv != "":
		return []nats.Option{nats.TokenHandler(func() string { return read(a.TokenFile, a.TokenEnv) })}, nil
	case a.CredsFile != "":
		return []nats.Option{nats.UserCredentials(a.CredsFile)}, nil
	case a.NKeyFile != "":
		o, err := nats.NkeyOptionFromSeed(a.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("bus: nkey_file %s: %w", a.NKeyFile, err)
		}
		return []nats.Option{o}, nil
	}
	return nil, nil
}

// secret is the file's first line, or the variable's value.
func secret(file, env string) (string, error) {
	if file == "" {
		if v := os.Getenv(env); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("environment variable %s is not set", env)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("%s: the first line is empty", file)
	}
	return line, nil
}

func (a *Auth) validate(bad func(string, string, ...any)) {
	var ways []string
	has := func(name string, set bool) {
		if set {
			ways = append(ways, name)
		}
	}
	has("user", a.User != "")
	has("token_file", a.TokenFile != "")
	has("token_env", a.TokenEnv != "")
	has("creds_file", a.CredsFile != "")
	has("nkey_file", a.NKeyFile != "")
	if len(ways) > 1 {
		bad(ways[1], "%s are set: want one way to log in", strings.Join(ways, " and "))
	}
	password := (a.PasswordFile != "") != (a.PasswordEnv != "")
	switch {
	case a.User != "" && !password:
		bad("user", "want password_file or password_env with it")
	case a.User == "" && (a.PasswordFile != "" || a.PasswordEnv != ""):
		bad("user", "missing: there is a password")
	}
	for _, f := range []struct{ field, file, env string }{{"password_file", a.PasswordFile, ""}, {"token_file", a.TokenFile, ""},
		{"password_env", "", a.PasswordEnv}, {"token_env", "", a.TokenEnv}} {
		if f.file+f.env == "" {
			continue
		}
		if _, err := secret(f.file, f.env); err != nil {
			bad(f.field, "%v", err)
		}
	}
	if a.CredsFile != "" {
		if err := checkCreds(a.CredsFile); err != nil {
			bad("creds_file", "%v", err)
		}
	}
	if a.NKeyFile != "" {
		if _, err := nats.NkeyOptionFromSeed(a.NKeyFile); err != nil {
			bad("nkey_file", "%s: %v: want a file with the seed of a user, SU…", a.NKeyFile, err)
		}
	}
}

// checkCreds reads a file as the client does when it connects.
func checkCreds(file string) error {
	var o nats.Options
	var unread *fs.PathError
	err := nats.UserCredentials(file)(&o)
	if errors.As(err, &unread) {
		return unread
	}
	text := ""
	if err == nil {
		text, err = o.UserJWT()
	}
	if err != nil || strings.Count(text, ".") != 2 { // header, claims, signature
		return fmt.Errorf("%s holds no JWT of a user: want a file as nsc generate creds writes it", file)
	}
	if _, err := o.SignatureCB([]byte("nonce")); err != nil {
		return fmt.Errorf("%s holds no seed of a user: want a file as nsc generate creds writes it", file)
	}
	return nil
}

func (t *TLS) validate(bad func(string, string, ...any)) {
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no PEM certificate", t.CA)
		}
		if err != nil {
			bad("tls.ca", "%v", err)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		bad("tls", "cert and key belong together")
		return
	}
	if t.Cert == "" {
		return
	}
	_, errCert := os.Stat(t.Cert)
	_, errKey := os.Stat(t.Key)
	if err := errors.Join(errCert, errKey); err != nil {
		bad("tls.cert", "%v", err)
	} else if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
		bad("tls.cert", "%s and %s: %v", t.Cert, t.Key, err)
	}
}
