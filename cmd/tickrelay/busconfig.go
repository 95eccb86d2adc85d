package main

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"tickrelay/relay/bus"
	"tickrelay/ring/md"
)

// busConfig is the bus between hosts; there is one kind.
type busConfig struct {
	NATS *natsConfig `yaml:"nats"`
}

// natsConfig is what this host does on the bus. See docs/bus.md.
type natsConfig struct {
	URL       string   `yaml:"url"`
	Prefix    string   `yaml:"prefix"`
	Publish   []string `yaml:"publish"`   // topics of this host's feeds; default all
	Subscribe []string `yaml:"subscribe"` // topics of other hosts, each with its venue; default none

	Lease    string `yaml:"lease"` // a time, or none; default 5s
	KeyFrame string `yaml:"keyframe"`
	History  string `yaml:"history"`

	Stream       string `yaml:"stream"`
	StreamAge    string `yaml:"stream_age"`
	StreamBytes  int    `yaml:"stream_bytes"`
	StreamMemory bool   `yaml:"stream_memory"`
	Replicas     int    `yaml:"replicas"`

	User         string        `yaml:"user"`
	PasswordFile string        `yaml:"password_file"`
	PasswordEnv  string        `yaml:"password_env"`
	TokenFile    string        `yaml:"token_file"`
	TokenEnv     string        `yaml:"token_env"`
	CredsFile    string        `yaml:"creds_file"`
	NKeyFile     string        `yaml:"nkey_file"`
	TLS          natsTLSConfig `yaml:"tls"`
}

// natsTLSConfig is TLS towards NATS, beside a tls:// address.
type natsTLSConfig struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// nats is the bus' configuration, nil without one.
func (c *fileConfig) nats() *natsConfig {
	if c.Bus == nil {
		return nil
	}
	return c.Bus.NATS
}

// busVenues are those that come over the bus, in the configuration's order.
func (c *fileConfig) busVenues() (list []md.Venue) {
	n := c.nats()
	if n == nil {
		return nil
	}
	for _, t := range n.Subscribe {
		p, err := md.ParsePattern(t)
		if err != nil {
			continue // told by validateTopics
		}
		if v, err := bus.PatternVenue(p); err == nil && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// noLease is what lease says where nobody is asked who leads.
const noLease = "none"

// bus is what the bus is told; bad gets what is no time.
func (n *natsConfig) bus(name string, log *slog.Logger, bad func(key, text string)) bus.Config {
	span := func(key, text string) time.Duration {
		if text == "" {
			return 0
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			bad(key, fmt.Sprintf("%q: want a time such as 30s", text))
			return 0
		}
		return d
	}
	c := bus.Config{URL: n.URL, Name: name, Prefix: n.Prefix, Log: log,
		Auth: bus.Auth{User: n.User, PasswordFile: n.PasswordFile, PasswordEnv: n.PasswordEnv, TokenFile: n.TokenFile, TokenEnv: n.TokenEnv,
			CredsFile: n.CredsFile, NKeyFile: n.NKeyFile},
		TLS: bus.TLS(n.TLS), KeyFrame: span("keyframe", n.KeyFrame), History: span("history", n.History),
		Stream: bus.Stream{Name: n.Stream, Age: span("stream_age", n.StreamAge), Bytes: int64(n.StreamBytes), Memory: n.StreamMemory, Replicas: n.Replicas}}
	if c.NoLease = n.Lease == noLease; !c.NoLease {
		c.Lease = span("lease", n.Lease)
	}
	return c
}

func (c *fileConfig) validateBus(d *yamlDecoder) {
	if c.Bus == nil {
		return
	}
	n := c.Bus.NATS
	if n == nil {
		d.at("bus", "empty: want nats: {url: nats://host:4222}")
		return
	}
	cfg := n.bus(c.Relay, nil, func(key, text string) { d.at("bus.nats."+key, "%s", text) })
	for _, e := range cfg.Validate() {
		d.at("bus.nats."+e.Field, "%s", e.Text)
	}
	if n.Stream == "" && (n.StreamAge != "" || n.StreamBytes != 0 || n.StreamMemory) {
		d.at("bus.nats.stream", "missing: there are settings of a stream")
	}
	n.validateTopics(d, c)
}

func (n *natsConfig) validateTopics(d *yamlDecoder, c *fileConfig) {
	for i, t := range n.Publish {
		if _, err := md.ParsePattern(t); err != nil {
			d.at(fmt.Sprintf("bus.nats.publish[%d]", i), "%v", err)
		}
	}
	if len(n.Publish) > 0 && len(c.Feeds) == 0 {
		d.at("bus.nats.publish", "this host has no feeds whose topics could be published")
	}
	if len(n.Subscribe) == 0 && len(c.Feeds) == 0 {
		d.at("bus.nats", "nothing to do: want feeds to publish, or subscribe: [binance.>]")
	}
	for i, t := range n.Subscribe {
		path := fmt.Sprintf("bus.nats.subscribe[%d]", i)
		p, err := md.ParsePattern(t)
		if err != nil {
			d.at(path, "%v", err)
			continue
		}
		v, err := bus.PatternVenue(p)
		if err != nil {
			d.at(path, "%q: name the venue, such as binance.> or okx.book.*", t)
			continue
		}
		for _, f := range c.Feeds {
			if f.Venue == v.String() {
				d.at(path, "%s comes from the feed %s of this host already", v, f.Name)
			}
		}
	}
}
