package nettune

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// CertificateError says why a server's certificate was refused and shows the
// certificate. Unwrap leads to the x509 error.
type CertificateError struct {
	Remote              netip.AddrPort
	ServerName          string // the name that was asked for
	Subject, Issuer     string
	NotBefore, NotAfter time.Time
	Err                 error // *tls.CertificateVerificationError
}

// Error names the server, the reason and the certificate.
func (e *CertificateError) Error() string {
	return fmt.Sprintf("nettune: certificate of %s (%s) refused: %v (subject %s, issuer %s, valid %s to %s)",
		e.ServerName, e.Remote, certificateReason(e.Err), e.Subject, e.Issuer,
		e.NotBefore.UTC().Format(time.DateOnly), e.NotAfter.UTC().Format(time.DateOnly))
}

// Unwrap returns the error of crypto/tls.
func (e *CertificateError) Unwrap() error { return e.Err }

// certificateReason strips crypto/tls' own preamble.
func certificateReason(err error) error {
	var v *tls.CertificateVerificationError
	if errors.As(err, &v) {
		return v.Err
	}
	return err
}

// handshakeError says with whom a handshake failed and why.
func handshakeError(remote netip.AddrPort, name string, err error) error {
	var v *tls.CertificateVerificationError
	if errors.As(err, &v) && len(v.UnverifiedCertificates) > 0 {
		return newCertificateError(remote, name, v.UnverifiedCertificates[0], err)
	}
	if name == "" {
		return fmt.Errorf("nettune: TLS handshake with %s: %w", remote, err)
	}
	return fmt.Errorf("nettune: TLS handshake with %s (%s): %w", name, remote, err)
}

func newCertificateError(remote netip.AddrPort, name string, c *x509.Certificate, err error) error {
	return &CertificateError{Remote: remote, ServerName: name, Err: err,
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
}
