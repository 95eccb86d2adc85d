package proxy

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"
)

//go:embed template
var templates embed.FS

// Nginx writes a complete nginx.conf for c: an HTTP proxy, or a TCP proxy with
// c.ProxyProtocol. The error joins every problem of c.
func Nginx(w io.Writer, c Config) error {
	name := "nginx-http.conf"
	if c.ProxyProtocol {
		name = "nginx-stream.conf"
	}
	return c.write(w, name)
}

// HAProxy writes a complete haproxy.cfg for c. The error joins every problem of c.
func HAProxy(w io.Writer, c Config) error {
	if c.TLSKey != "" && c.TLSKey != c.TLSCert && c.TLSKey != c.TLSCert+".key" {
		return errors.Join(c.withDefaultsAndCheck(), fmt.Errorf(
			"proxy: haproxy reads the key from the certificate's file or from %[1]s.key: put it there (ln -s %[2]s %[1]s.key)", c.TLSCert, c.TLSKey))
	}
	return c.write(w, "haproxy.cfg")
}

func (c Config) withDefaultsAndCheck() error {
	c = c.withDefaults()
	return c.validate()
}

func (c Config) write(w io.Writer, name string) error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	t, err := template.New(name).ParseFS(templates, "template/"+name)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, c.page()); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	_, err = w.Write(out.Bytes())
	return err
}

// page is what the templates see.
type page struct {
	Config
	Path             string   // of the WebSocket
	Idle, Ping, Head string   // times
	Send             string   // beyond the gateway's patience with a slow client
	Binds            []bind   // listening addresses
	Capacity         int      // client connections, pages included
	Workers          int      // connections of one nginx worker
	Files            int      // descriptors of one nginx worker
	Servers          []server // haproxy: gateway × source
	Split            []share  // nginx: part of the clients per source
}

// bind is a listening address. V6Only: of IPv6 alone, beside one of IPv4.
type bind struct {
	Addr   string
	V6Only bool
}

// server is one way from haproxy to a gateway.
type server struct {
	Name, Addr, Source, Track string
}

// share is one line of split_clients.
type share struct{ Part, Source string }

func (c Config) page() page {
	p := page{Config: c, Path: DefaultPath, Send: moment(max(c.Idle(), 3*slowTimeout)), Idle: moment(c.Idle()), Ping: moment(c.PingInterval),
		Head: moment(min(10*time.Second, c.Idle())), Capacity: c.MaxConns + spareConns}
	// A client takes two connections. A worker must bear them all: the kernel does
	// not deal them out evenly.
	p.Workers = 2*p.Capacity + 64
	p.Files = p.Workers + 256
	a, _ := c.listen()
	switch {
	case !a.Addr().IsValid():
		p.Binds = []bind{{Addr: fmt.Sprintf("0.0.0.0:%d", a.Port())}, {Addr: fmt.Sprintf("[::]:%d", a.Port()), V6Only: true}}
	default:
		p.Binds = []bind{{Addr: a.String()}}
	}
	for i, g := range c.Gateways {
		first := fmt.Sprintf("gateway%d", i+1)
		if len(c.Sources) == 0 {
			p.Servers = append(p.Servers, server{Name: first, Addr: g})
		}
		for j, s := range c.Sources {
			v := server{Name: fmt.Sprintf("%s-source%d", first, j+1), Addr: g, Source: bracket(s.String())}
			if j > 0 {
				v.Track = first + "-source1"
			}
			p.Servers = append(p.Servers, v)
		}
	}
	for i, s := range c.Sources {
		part := "*"
		if i < len(c.Sources)-1 {
			// Percentages of the whole, two decimals; the last takes the rest.
			n := 10000 / len(c.Sources)
			part = fmt.Sprintf("%d.%02d%%", n/100, n%100)
		}
		p.Split = append(p.Split, share{Part: part, Source: bracket(s.String())})
	}
	return p
}

// bracket puts an IPv6 address into brackets.
func bracket(s string) string {
	if strings.Contains(s, ":") {
		return "[" + s + "]"
	}
	return s
}
