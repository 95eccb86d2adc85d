package feeds

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"tickrelay/feeds/wsconn"
	"tickrelay/nettune"
)

// Fault is why an attempt to connect, or a connection, ended. The list is
// closed: every fault is counted from the start, under its name.
type Fault uint8

// Faults in the order in which a connection can meet them.
const (
	FaultNone             Fault = iota
	FaultResolve                // the host's name could not be looked up
	FaultRefused                // nobody listens
	FaultUnreachable            // no route, no local address, out of descriptors
	FaultDialTimeout            // no answer to the TCP handshake
	FaultProxy                  // the outbound proxy did not make the tunnel
	FaultCertificate            // the peer's certificate was not accepted
	FaultTLS                    // TLS failed otherwise
	FaultHandshakeTimeout       // TLS or the WebSocket upgrade took too long
	FaultUpgrade                // the answer to the upgrade was no 101
	FaultRateLimited            // that answer was 418 or 429
	FaultClosed                 // the venue sent a close frame
	FaultCut                    // the connection ended without one
	FaultCutMidFrame            // … inside a message
	FaultReset                  // … by a TCP reset or another network error
	FaultSilent                 // nothing came for Spec.DeadAfter
	FaultTooBig                 // a message exceeded Spec.MaxFrame
	FaultProtocol               // the peer broke RFC 6455
	FaultStalled                // the venue does not take what we send
	FaultAsked                  // the venue announced the end, or the integrity check wants a new connection
	FaultAge                    // renewed by ourselves before the venue's daily cut
	FaultStopped                // the feed was stopped
	faultCount
)

var faultNames = [faultCount]string{"none", "resolve", "refused", "unreachable", "dial_timeout", "proxy", "certificate", "tls",
	"handshake_timeout", "upgrade", "rate_limited", "closed", "cut", "cut_mid_frame", "reset", "silent", "too_big",
	"protocol", "stalled", "asked", "age", "stopped"}

// String returns the fault's name as in Health and metrics.
func (f Fault) String() string {
	if f < faultCount {
		return faultNames[f]
	}
	return "unknown"
}

// Errors of sessions that no other package names.
var (
	errSilent           = errors.New("feeds: nothing came from the venue for too long")
	errHandshakeTimeout = errors.New("feeds: WebSocket upgrade timed out")
	errRenewed          = errors.New("feeds: renewed before the venue's daily cut")
	errProxy            = errors.New("feeds: the proxy refused to connect")
	errAsked            = errors.New("feeds: new connection wanted")
	errStopped          = errors.New("feeds: stopped")
)

// classify finds the fault that err stands for in state. Errors of the
// transport come wrapped by every layer above, so the outer ones are asked
// first.
func classify(state LineState, err error) Fault {
	var (
		closed    *wsconn.ErrClosed
		protocol  *wsconn.ErrProtocol
		handshake *wsconn.ErrHandshake
	)
	switch {
	case state == LineResolving:
		return FaultResolve
	case errors.Is(err, errProxy):
		return FaultProxy
	case errors.Is(err, errSilent):
		return FaultSilent
	case errors.Is(err, errRenewed):
		return FaultAge
	case errors.Is(err, errAsked):
		return FaultAsked
	case errors.Is(err, errStopped):
		return FaultStopped
	case errors.Is(err, errHandshakeTimeout), errors.Is(err, nettune.ErrHandshakeTimeout):
		return FaultHandshakeTimeout
	case isCertificate(err):
		return FaultCertificate
	case errors.As(err, &closed):
		return FaultClosed
	case errors.Is(err, wsconn.ErrTooBig):
		return FaultTooBig
	case errors.Is(err, wsconn.ErrPendingFull):
		return FaultStalled
	case errors.As(err, &protocol):
		return FaultProtocol
	case errors.As(err, &handshake):
		if handshake.Status == 418 || handshake.Status == 429 {
			return FaultRateLimited
		}
		return FaultUpgrade
	}
	return classifyNetwork(state, err)
}

func classifyNetwork(state LineState, err error) Fault {
	var (
		cut   *wsconn.ErrCut
		netOp net.Error
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED): // with Fast Open as late as the first read
		return FaultRefused
	case errors.Is(err, nettune.ErrDialTimeout), state == LineDialling && errors.As(err, &netOp) && netOp.Timeout():
		return FaultDialTimeout
	case state == LineDialling:
		return FaultUnreachable
	case state == LineTLS:
		return FaultTLS
	case errors.As(err, &cut) && cut.MidFrame:
		return FaultCutMidFrame
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EPIPE),
		errors.Is(err, os.ErrDeadlineExceeded):
		return FaultReset
	case errors.As(err, &cut), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return FaultCut
	}
	return FaultReset
}

func isCertificate(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.As(err, &verify) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}
