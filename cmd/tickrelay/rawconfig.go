package main

import (
	"fmt"

	"tickrelay/relay"
	"tickrelay/relay/raw"
)

// rawConfig switches passthrough on for one venue.
type rawConfig struct {
	Venue string `yaml:"venue"`
	URL   string `yaml:"url"` // default the venue's documented address
}

func (c *fileConfig) validateRaw(d *yamlDecoder) {
	seen := map[string]bool{}
	for i, v := range c.Raw {
		path := fmt.Sprintf("raw[%d]", i)
		if _, err := raw.New(raw.Config{Venue: v.Venue, URL: v.URL}); err != nil {
			d.at(path, "%v", err)
		}
		if seen[v.Venue] {
			d.at(path, "%s is there twice", v.Venue)
		}
		seen[v.Venue] = true
	}
}

// rawVenues are those of the configuration.
func (c *fileConfig) rawVenues() []relay.RawVenue {
	var out []relay.RawVenue
	for _, v := range c.Raw {
		out = append(out, relay.RawVenue{Venue: v.Venue, URL: v.URL})
	}
	return out
}
