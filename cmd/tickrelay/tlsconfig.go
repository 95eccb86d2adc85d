package main

import (
	"net/url"

	"tickrelay/relay"
)

// tlsConfig encrypts the gateway's port.
type tlsConfig struct {
	Cert  string `yaml:"cert"`  // PEM file: certificate and chain
	Key   string `yaml:"key"`   // PEM file: its private key
	Plain bool   `yaml:"plain"` // serve plain text on the same port too
}

func (t *tlsConfig) validate(d *yamlDecoder) {
	switch {
	case t.Cert == "" && t.Key == "" && !t.Plain:
	case t.Cert == "" || t.Key == "":
		d.at("tls", "want both cert and key, PEM files")
	}
}

// gateway is what the gateway is told, nil for plain text.
func (t *tlsConfig) gateway() *relay.TLSConfig {
	if t.Cert == "" {
		return nil
	}
	return &relay.TLSConfig{Cert: t.Cert, Key: t.Key, AllowPlain: t.Plain}
}

// schemes are those of the gateway's addresses.
func (t *tlsConfig) schemes() (http, ws string) {
	if t.Cert != "" {
		return "https", "wss"
	}
	return "http", "ws"
}

// validateOrigins wants what browsers send: scheme, host and port, no path.
func (c *fileConfig) validateOrigins(d *yamlDecoder) {
	for _, o := range c.Origins {
		if o == "*" {
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			d.at("origins", `%q: want an origin such as https://desk.example or https://desk.example:8443, or "*" for any`, o)
		}
	}
}
