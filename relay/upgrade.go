package relay

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// webSocketPath is the one path that speaks WebSocket.
const webSocketPath = "/ws"

// wantsUpgrade reports whether there is an Upgrade field.
func wantsUpgrade(head []byte) bool {
	return bytes.Contains(bytes.ToLower(head), []byte("\r\nupgrade:"))
}

// isUpgrade reports whether a head asks for the WebSocket, rightly or not: the path
// is /ws and there is an Upgrade field. handshake then judges it.
func isUpgrade(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	_, rest, _ := bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	path, _, _ := bytes.Cut(target, []byte("?"))
	return string(path) == webSocketPath && wantsUpgrade(head)
}

var errOrigin = errors.New("relay: origin not allowed")

// exchange feeds a complete head to the handshake and takes its answer.
type exchange struct {
	io.Reader
	io.Writer
}

// handshake judges an upgrade request (RFC 6455, section 4.2) and returns the answer
// to write: 101, or the refusal together with an error. admit judges the token of a
// request from an origin that is allowed. deflate: compression may be negotiated.
func handshake(head []byte, origins []string, deflate bool, admit func(token string) error) (format, []byte, error) {
	var host, origin string
	var denied error
	var out bytes.Buffer
	chosen := formatJSON
	taken := false
	u := ws.Upgrader{
		ReadBufferSize: len(head) + 64,
		Protocol: func(p []byte) bool {
			if taken {
				return false
			}
			switch string(p) {
			case ProtocolJSON:
				chosen, taken = formatJSON, true
			case ProtocolBinary:
				chosen, taken = formatBinary, true
			}
			return taken
		},
		OnHost: func(h []byte) error { host = string(h); return nil },
		OnHeader: func(k, v []byte) error {
			if strings.EqualFold(string(k), "Origin") {
				origin = string(v)
			}
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !originAllowed(origin, host, origins) {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(http.StatusForbidden),
					ws.RejectionReason(errOrigin.Error()))
			}
			if denied = admit(tokenOf(head)); denied != nil {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(http.StatusUnauthorized),
					ws.RejectionReason(unauthorized(denied)), ws.RejectionHeader(ws.HandshakeHeaderHTTP{"Www-Authenticate": {"Bearer"}}))
			}
			return nil, nil
		},
	}
	var d deflater
	if deflate {
		u.Negotiate = d.negotiate
	}
	_, err := u.Upgrade(exchange{bytes.NewReader(head), &out})
	switch {
	case err != nil && !originAllowed(origin, host, origins):
		err = errOrigin
	case denied != nil:
		err = errUnauthorized
	}
	if d.taken {
		chosen = chosen.deflated()
	}
	return chosen, out.Bytes(), err
}

// originAllowed keeps other sites' pages in a browser from using the relay. A client
// that sends no origin is no browser.
func originAllowed(origin, host string, allowed []string) bool {
	if origin == "" || slices.Contains(allowed, "*") {
		return true
	}
	if len(allowed) > 0 {
		return slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, origin) })
	}
	_, at, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(at, host)
}
