package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"tickrelay/feeds"
)

// wayConfig is how one line of a feed reaches the venue.
type wayConfig struct {
	URL   string `yaml:"url"`   // WebSocket address; default the feed's
	Bind  string `yaml:"bind"`  // local address; default the host's choice
	Proxy string `yaml:"proxy"` // http://[user:password@]host:port; default none
}

// credentialsConfig are an account's keys at a venue, for market data; each may
// stand in a file of its own.
type credentialsConfig struct {
	Key            string `yaml:"key"`
	Secret         string `yaml:"secret"`
	Passphrase     string `yaml:"passphrase"`
	KeyFile        string `yaml:"key_file"`
	SecretFile     string `yaml:"secret_file"`
	PassphraseFile string `yaml:"passphrase_file"`
}

func (c *credentialsConfig) given() bool { return *c != credentialsConfig{} }

// read collects the keys. Its errors name files, never what they hold.
func (c *credentialsConfig) read() (feeds.Credentials, error) {
	var out feeds.Credentials
	for _, f := range []struct {
		name, value, file string
		into              *string
	}{
		{"key", c.Key, c.KeyFile, &out.Key},
		{"secret", c.Secret, c.SecretFile, &out.Secret},
		{"passphrase", c.Passphrase, c.PassphraseFile, &out.Passphrase},
	} {
		*f.into = f.value
		if f.file == "" {
			continue
		}
		if f.value != "" {
			return out, fmt.Errorf("%s and %s_file are both given", f.name, f.name)
		}
		data, err := os.ReadFile(f.file)
		if err != nil {
			return out, err
		}
		*f.into = strings.TrimSpace(string(data))
	}
	return out, nil
}

// venue is the feed's venue, with the account's keys where there are some.
func (f *feedConfig) venue() (feeds.Venue, error) {
	v, ok := feeds.ByName(f.Venue)
	if !ok {
		return nil, fmt.Errorf("unknown venue %q", f.Venue)
	}
	if !f.Credentials.given() {
		return v, nil
	}
	c, ok := v.(feeds.Credentialed)
	if !ok {
		return nil, fmt.Errorf("%s takes no credentials for market data", f.Venue)
	}
	keys, err := f.Credentials.read()
	if err != nil {
		return nil, err
	}
	return c.WithCredentials(keys)
}

// auditEvery is the time between audits, 0 for none.
func (f *feedConfig) auditEvery() time.Duration {
	t, _ := time.ParseDuration(f.Audit) // validated
	return t
}

// ways are those of the lines.
func (f *feedConfig) ways() ([]feeds.Way, error) {
	var out []feeds.Way
	for _, w := range f.Ways {
		way := feeds.Way{URL: w.URL, Proxy: w.Proxy}
		if w.Bind != "" {
			a, err := netip.ParseAddr(w.Bind)
			if err != nil {
				return nil, fmt.Errorf("bind: %w", err)
			}
			way.Bind = a
		}
		out = append(out, way)
	}
	return out, nil
}

func (f *feedConfig) validateLines(d *yamlDecoder, path string) {
	if f.Lines < 1 || f.Lines > feeds.MaxLines {
		d.at(path+".lines", "%d: want 1 to %d connections", f.Lines, feeds.MaxLines)
	}
	if t, err := time.ParseDuration(f.Audit); f.Audit != "" && (err != nil || t < 10*time.Second) {
		d.at(path+".audit", "%q: want a time of 10s or more, such as 10m", f.Audit)
	}
	if len(f.Ways) > f.Lines {
		d.at(path+".ways", "%d ways for %d lines: raise lines, or leave some out", len(f.Ways), f.Lines)
	}
	for i, w := range f.Ways {
		at := fmt.Sprintf("%s.ways[%d]", path, i)
		checkURL(d, at+".url", w.URL, "ws", "wss")
		checkURL(d, at+".proxy", w.Proxy, "http")
		if _, err := netip.ParseAddr(w.Bind); w.Bind != "" && err != nil {
			d.at(at+".bind", "%q is no IP address of this host", w.Bind)
		}
	}
	if _, known := feeds.ByName(f.Venue); known && f.Credentials.given() {
		if _, err := f.venue(); err != nil {
			d.at(path+".credentials", "%v", err)
		}
	}
}
