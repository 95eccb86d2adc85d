package main

import (
	"context"
	"os"

	"tickrelay/relay"
	"tickrelay/relay/record"
)

// pastConfig is the recording that the gateway serves to clients who ask for a past
// window.
type pastConfig struct {
	Dir string `yaml:"dir"`
	Max int    `yaml:"max"` // replays at a time; default 8
}

var pastDocs = []keyDoc{
	{"replay.dir", "required", "", "folder of a recording of records (Parquet)"},
	{"replay.max", "`8`", "1 to 1000", "replays at a time, of all clients together"},
}

func (c *pastConfig) validate(d *yamlDecoder) {
	if c == nil {
		return
	}
	if c.Dir == "" {
		d.at("replay", "dir is missing: name the folder of a recording")
	} else if st, err := os.Stat(c.Dir); err == nil && !st.IsDir() {
		d.at("replay.dir", "%s is no folder", c.Dir)
	}
	if c.Max < 0 || c.Max > 1000 {
		d.at("replay.max", "%d: want 1 to 1000", c.Max)
	}
}

// use gives the gateway the recording.
func (c *pastConfig) use(g *relay.Config) {
	if c != nil {
		g.Archive, g.Limits.MaxReplays = recording(c.Dir), c.Max
	}
}

// recording is the folder of a recording of package record.
type recording string

// KeyFrame implements relay.Archive.
func (recording) KeyFrame(t int64) int64 { return record.KeyFrame(t) }

// Scan implements relay.Archive.
func (dir recording) Scan(ctx context.Context, topics []string, from, to int64, f func(*relay.PastEvent) error) error {
	var out relay.PastEvent
	return record.Scan(ctx, string(dir), record.Query{Topics: topics, From: from, To: to}, func(e record.Event) error {
		out = relay.PastEvent{Topic: e.Topic, Instrument: e.Instrument, Epoch: e.Epoch, Time: e.Time, Records: e.Records}
		return f(&out)
	})
}
