package proxy

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// CheckOptions says what existing configurations are held against. The zero value
// fits a gateway with its defaults.
type CheckOptions struct {
	// PingInterval is the gateway's, default 30 s: the longest silence of a living
	// WebSocket. A time-out up to it cuts.
	PingInterval time.Duration
	// SlowTimeout is the gateway's patience with a client that takes nothing,
	// default 10 s. A proxy that has less closes before the gateway can say why.
	SlowTimeout time.Duration
	// MaxConns is the number of WebSockets to bear. Default: not judged.
	MaxConns int
	// Path of the WebSocket, default /ws: nginx is judged in the locations that it
	// picks for this path.
	Path string
	// ServerName restricts nginx to the servers of this name. Default: all.
	ServerName string
	// Gateway restricts the check to what leads to this address (HOST:PORT).
	// Default: everything.
	Gateway string
	// Kind is "nginx" or "haproxy". Default: told by the text.
	Kind string
}

func (o CheckOptions) withDefaults() CheckOptions {
	if o.PingInterval == 0 {
		o.PingInterval = DefaultPingInterval
	}
	if o.SlowTimeout == 0 {
		o.SlowTimeout = slowTimeout
	}
	if o.Path == "" {
		o.Path = DefaultPath
	}
	return o
}

func (o *CheckOptions) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("proxy: "+format, args...)) }
	if o.PingInterval < 0 || o.SlowTimeout < 0 {
		bad("ping interval %s, slow time-out %s: want positive times", o.PingInterval, o.SlowTimeout)
	}
	if o.MaxConns < 0 {
		bad("%d connections: want 0 (not judged) or more", o.MaxConns)
	}
	if !strings.HasPrefix(o.Path, "/") {
		bad("path %q: want /…", o.Path)
	}
	if o.Kind != "" && o.Kind != "nginx" && o.Kind != "haproxy" {
		bad("kind %q: want nginx or haproxy", o.Kind)
	}
	if _, _, err := net.SplitHostPort(o.Gateway); o.Gateway != "" && err != nil {
		bad("gateway %q: want HOST:PORT", o.Gateway)
	}
	return errors.Join(errs...)
}

// Check reads the configuration in files and reports what will cut or delay a
// WebSocket. nginx has one main file, whose includes are followed; haproxy may have
// several, read in this order as with its -f. The error says what kept it from
// judging: a file that cannot be read, a syntax error with file:line.
func Check(o CheckOptions, files ...string) (*Report, error) { return check(disk(), o, files) }

func check(src source, o CheckOptions, files []string) (*Report, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("proxy: no configuration file to check")
	}
	kind := o.Kind
	if kind == "" {
		data, err := src.read(files[0])
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		kind = tell(string(data))
	}
	r := &Report{Kind: kind, Ping: o.PingInterval, Judged: []string{}, Findings: []Finding{}}
	var err error
	switch {
	case kind == "haproxy":
		err = checkHAProxy(src, o, files, r)
	case len(files) > 1:
		err = fmt.Errorf("proxy: %s is nginx's: name its main file alone, includes are followed", files[0])
	default:
		err = checkNginx(src, o, files[0], r)
	}
	if err != nil {
		return nil, err
	}
	r.sort()
	return r, nil
}

// tell tells the two syntaxes apart: haproxy's sections start with a word alone or
// with a name, nginx's statements end with a semicolon or brace.
func tell(text string) string {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if strings.ContainsAny(line, ";{") {
			return "nginx"
		}
		if word, _, _ := strings.Cut(line, " "); haSections[word] {
			return "haproxy"
		}
	}
	return "nginx"
}

// silence judges a time-out that runs while nothing is sent in either direction.
// what follows the number in the reason.
func (o *CheckOptions) silence(at place, setting string, d time.Duration, what, fix string) (Finding, bool) {
	switch {
	case d <= o.PingInterval:
		return at.finding(Error, setting, fmt.Sprintf("a WebSocket is cut after %s of silence%s, and the gateway pings only every %s",
			show(d), what, show(o.PingInterval)), fix), true
	case d < 2*o.PingInterval:
		return at.finding(Warning, setting, fmt.Sprintf("a WebSocket is cut after %s of silence%s: one ping (every %s) that comes late is enough",
			show(d), what, show(o.PingInterval)), fix), true
	}
	return Finding{}, false
}

// show writes a time as configurations do.
func show(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// enough is the time-out to recommend.
func (o *CheckOptions) enough() string { return moment(idleFactor * o.PingInterval) }
