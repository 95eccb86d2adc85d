package wsconn

import (
	"bytes"
	crand "crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"tickrelay/nettune"
)

// acceptGUID is fixed by RFC 6455 section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Handshake sends the opening request and reads the answer. Call it when the
// stream is Connected and again at each Readable or Writable until it returns
// nil (open) or an error other than nettune.ErrWouldBlock, which is final:
// *ErrHandshake when the server refused or answered wrongly. After nil, Read
// may return at once what came with the answer. The caller keeps the deadline.
func (c *Conn) Handshake() error {
	switch c.st {
	case open:
		return nil
	case failed:
		return c.err
	case idle:
		if err := c.request(); err != nil {
			return c.fail(err)
		}
		c.st = opening
	}
	if err := c.Flush(); err != nil {
		if errors.Is(err, nettune.ErrWouldBlock) {
			return err
		}
		return c.fail(&ErrHandshake{What: "request could not be sent", Err: err})
	}
	for {
		if end := c.headerEnd(); end > 0 {
			if err := checkAnswer(c.buf[:end], c.buf[end:c.w], c.key[:], c.cfg.Header); err != nil {
				return c.fail(err)
			}
			c.r, c.st = end, open
			c.drained = false
			return nil
		}
		if c.w >= maxAnswer {
			return c.fail(&ErrHandshake{What: fmt.Sprintf("answer's header exceeds %d bytes", maxAnswer)})
		}
		if err := c.readAnswer(); err != nil {
			return err
		}
	}
}

// headerEnd finds the empty line that ends the answer's header; 0 if it is not
// there yet.
func (c *Conn) headerEnd() int {
	from := max(c.scanned-3, 0)
	limit := min(c.w, maxAnswer)
	if i := bytes.Index(c.buf[from:limit], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	c.scanned = limit
	return 0
}

// readAnswer reads once from the stream.
func (c *Conn) readAnswer() error {
	if c.w == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, rx, err := c.s.Read(c.buf[c.w:])
	if n > 0 {
		c.w += n
		c.lastRecv = rx
		c.stats.Bytes += uint64(n)
		return nil
	}
	if err == nil || errors.Is(err, nettune.ErrWouldBlock) {
		return nettune.ErrWouldBlock
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return c.fail(&ErrHandshake{What: "connection ended before the answer was complete", Err: err})
}

// request puts the opening request into the output buffer, RFC 6455 section
// 4.1.
func (c *Conn) request() error {
	if err := checkRequest(c.cfg); err != nil {
		return err
	}
	var nonce [16]byte
	_, _ = crand.Read(nonce[:]) // never fails, crypto/rand
	base64.StdEncoding.Encode(c.key[:], nonce[:])
	b := c.out[:0]
	b = append(b, "GET "...)
	b = append(b, c.cfg.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.cfg.Host...)
	b = append(b, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
	b = append(b, c.key[:]...)
	for _, h := range c.cfg.Header {
		b = append(b, "\r\n"...)
		b = append(b, h[0]...)
		b = append(b, ": "...)
		b = append(b, h[1]...)
	}
	c.out = append(b, "\r\n\r\n"...)
	return nil
}

// ownHeaders may not be given in Config.Header: the client writes them, or
// could not act on what they ask for.
var ownHeaders = []string{"Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key",
	"Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"}

// checkRequest refuses what would not be one well-formed request.
func checkRequest(cfg Config) error {
	bad := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
	}
	if cfg.Host == "" || bad(cfg.Host) || strings.ContainsAny(cfg.Host, " \t/?#@") {
		return &ErrHandshake{What: fmt.Sprintf("bad host %q", cfg.Host)}
	}
	if cfg.Path[0] != '/' || bad(cfg.Path) || strings.ContainsAny(cfg.Path, " \t#") {
		return &ErrHandshake{What: fmt.Sprintf("bad path %q", cfg.Path)}
	}
	for _, h := range cfg.Header {
		if !isToken([]byte(h[0])) || bad(h[1]) {
			return &ErrHandshake{What: fmt.Sprintf("bad request header %q", h[0])}
		}
		for _, own := range ownHeaders {
			if strings.EqualFold(h[0], own) {
				return &ErrHandshake{What: fmt.Sprintf("request header %s is not the caller's to set", own)}
			}
		}
	}
	return nil
}

// checkAnswer judges the server's answer, RFC 6455 section 4.1 (second half).
// head ends with the empty line; rest is what came behind it.
func checkAnswer(head, rest, key []byte, asked [][2]string) error {
	line, lines, _ := bytes.Cut(head, []byte("\r\n"))
	status, reason, err := parseStatus(line)
	if err != nil {
		return err
	}
	a := answer{}
	for len(lines) > 2 {
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		if err := a.add(line); err != nil {
			return err
		}
	}
	if status != 101 {
		return &ErrHandshake{Status: status, What: reason, RetryAfter: a.retryAfter,
			Body: string(rest[:min(len(rest), 1024)])}
	}
	return a.judge(key, asked)
}

// parseStatus reads the status line.
func parseStatus(line []byte) (int, string, error) {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, reason, _ := bytes.Cut(rest, []byte(" "))
	n, err := strconv.ParseUint(string(code), 10, 16)
	if string(version) != "HTTP/1.1" || err != nil || len(code) != 3 || n < 100 {
		return 0, "", &ErrHandshake{What: fmt.Sprintf("not an HTTP/1.1 answer: %.60q", line)}
	}
	return int(n), string(reason[:min(len(reason), 200)]), nil
}

// answer collects the headers that matter.
type answer struct {
	upgrade, accept, protocol []string
	connection, extensions    bool
	retryAfter                string
}

// add takes one header line.
func (a *answer) add(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return &ErrHandshake{What: fmt.Sprintf("malformed header line %.60q", line)}
	}
	v := string(bytes.Trim(value, " \t"))
	switch strings.ToLower(string(name)) {
	case "upgrade":
		a.upgrade = append(a.upgrade, v)
	case "connection":
		for t := range strings.SplitSeq(v, ",") {
			a.connection = a.connection || strings.EqualFold(strings.Trim(t, " \t"), "upgrade")
		}
	case "sec-websocket-accept":
		a.accept = append(a.accept, v)
	case "sec-websocket-protocol":
		a.protocol = append(a.protocol, v)
	case "sec-websocket-extensions":
		a.extensions = a.extensions || v != ""
	case "retry-after":
		a.retryAfter = v
	}
	return nil
}

// judge checks what a 101 must say.
func (a *answer) judge(key []byte, asked [][2]string) error {
	wrong := func(format string, args ...any) error {
		return &ErrHandshake{Status: 101, What: fmt.Sprintf(format, args...)}
	}
	if len(a.upgrade) != 1 || !strings.EqualFold(a.upgrade[0], "websocket") {
		return wrong("Upgrade is %q, want websocket", a.upgrade)
	}
	if !a.connection {
		return wrong("Connection does not name Upgrade")
	}
	sum := sha1.Sum(append(append([]byte{}, key...), acceptGUID...))
	if want := base64.StdEncoding.EncodeToString(sum[:]); len(a.accept) != 1 || a.accept[0] != want {
		return wrong("Sec-WebSocket-Accept is %q, want %q", a.accept, want)
	}
	if a.extensions {
		return wrong("server uses an extension that was not offered")
	}
	if len(a.protocol) > 1 || len(a.protocol) == 1 && !offered(asked, a.protocol[0]) {
		return wrong("server chose subprotocol %q, which was not offered", a.protocol)
	}
	return nil
}

// offered reports whether the request offered a subprotocol.
func offered(asked [][2]string, protocol string) bool {
	for _, h := range asked {
		if strings.EqualFold(h[0], "Sec-WebSocket-Protocol") {
			for t := range strings.SplitSeq(h[1], ",") {
				if strings.Trim(t, " \t") == protocol {
					return true
				}
			}
		}
	}
	return false
}

// isToken reports whether b is an HTTP token, RFC 9110 section 5.6.2.
func isToken(b []byte) bool {
	for _, ch := range b {
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", ch) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
