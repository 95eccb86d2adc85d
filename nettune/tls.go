package nettune

import (
	"crypto/tls"
	"time"
)

// TLSClient puts a TLS client on s.
func TLSClient(s Stream, p Poller, cfg *tls.Config, deadline time.Time) (Stream, error) {
	return nil, ErrNotSupported
}

// TLSServer puts a TLS server on s.
func TLSServer(s Stream, p Poller, cfg *tls.Config, deadline time.Time) (Stream, error) {
	return nil, ErrNotSupported
}
