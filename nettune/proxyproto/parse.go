package proxyproto

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"

	library "github.com/pires/go-proxyproto"
)

// Header is what a proxy says about a connection.
type Header struct {
	// Source is the client's address and Destination the one it connected to.
	// Both are invalid when Local is true. IPv4 addresses are plain, not mapped.
	Source, Destination netip.AddrPort
	// Local says that the proxy speaks for itself (a health check) or does not
	// know: the addresses of the connection are the ones to use.
	Local bool
}

// Bounds of a header in bytes.
const (
	// MaxSize is the longest header that is accepted: version 2 allows 65551, but
	// what proxies send stays well below this, extensions included.
	MaxSize = 4096
	maxV1   = 107 // specification, section 2.1
	fixedV2 = 16  // section 2.2: signature, version and command, family, length
)

// Errors that callers decide on.
var (
	// ErrIncomplete: the bytes are the start of a header; read more.
	ErrIncomplete = errors.New("proxyproto: header incomplete")
	// ErrNone: the bytes do not start a header.
	ErrNone = errors.New("proxyproto: no header")
	// ErrMalformed: the bytes start as a header and are none.
	ErrMalformed = errors.New("proxyproto: malformed header")
)

const (
	proxyV2     = 0x21 // version 2, command PROXY
	unspecV2    = 0x00 // family not known
	signatureV1 = "PROXY "
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// Parse reads the header at the start of b and returns its length. b may be shorter
// or longer than the header. It does not keep b.
func Parse(b []byte) (h Header, n int, err error) {
	if n, err = length(b); err != nil {
		return Header{}, 0, err
	}
	if b[0] == signatureV2[0] && b[12] == proxyV2 && b[13] == unspecV2 {
		// The library refuses it; section 2.2 wants it taken as a local connection.
		return Header{Local: true}, n, nil
	}
	raw, err := library.Read(bufio.NewReaderSize(bytes.NewReader(b[:n]), n))
	if err != nil {
		return Header{}, 0, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if raw.Command.IsLocal() || raw.TransportProtocol.IsUnspec() || raw.TransportProtocol.IsUnix() {
		return Header{Local: true}, n, nil
	}
	src, ok1 := raw.SourceAddr.(*net.TCPAddr)
	dst, ok2 := raw.DestinationAddr.(*net.TCPAddr)
	if !ok1 || !ok2 {
		return Header{}, 0, fmt.Errorf("%w: not a TCP connection", ErrMalformed)
	}
	h = Header{Source: plain(src), Destination: plain(dst)}
	if !h.Source.IsValid() || !h.Destination.IsValid() {
		return Header{}, 0, fmt.Errorf("%w: no address", ErrMalformed)
	}
	return h, n, nil
}

func plain(a *net.TCPAddr) netip.AddrPort {
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// length is the size of the header that b starts with, all of which is in b.
func length(b []byte) (int, error) {
	switch {
	case starts(b, signatureV2):
		if len(b) < fixedV2 {
			return 0, ErrIncomplete
		}
		n := fixedV2 + int(b[14])<<8 + int(b[15])
		switch {
		case n > MaxSize:
			return 0, fmt.Errorf("%w: %d bytes, %d are allowed", ErrMalformed, n, MaxSize)
		case len(b) < n:
			return 0, ErrIncomplete
		}
		return n, nil
	case starts(b, signatureV1):
		end := bytes.Index(b[:min(len(b), maxV1)], []byte("\r\n"))
		switch {
		case end >= 0:
			return end + 2, nil
		case len(b) >= maxV1:
			return 0, fmt.Errorf("%w: no end of line within %d bytes", ErrMalformed, maxV1)
		}
		return 0, ErrIncomplete
	}
	return 0, ErrNone
}

// starts reports whether b and signature agree as far as both go.
func starts(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}
