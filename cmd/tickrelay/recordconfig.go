package main

import (
	"fmt"
	"log/slog"
	"time"

	"tickrelay/relay/record"
	"tickrelay/ring/md"
)

// recordConfig says what records are written to Parquet files. See docs/recording.md.
type recordConfig struct {
	Dir         string   `yaml:"dir"`
	Topics      []string `yaml:"topics"` // default all
	Apart       bool     `yaml:"apart"`  // by a process of its own, tickrelay record -c
	KeepAge     string   `yaml:"keep_age"`
	KeepMB      int      `yaml:"keep_mb"`
	MinFreeMB   int      `yaml:"min_free_mb"`
	RowGroup    int      `yaml:"row_group"`
	Seal        string   `yaml:"seal"`
	Sync        string   `yaml:"sync"`
	NoKeyFrames bool     `yaml:"no_key_frames"`
}

var recordDocs = []keyDoc{
	{"record.dir", "required", "", "folder of the recording, `DIR/VENUE/CHANNEL/…`; one recorder at a time writes to it"},
	{"record.topics", "all", "patterns", "topics to record"},
	{"record.apart", "`false`", "", "the relay leaves the recording to a process of its own, `tickrelay record -c` with this file"},
	{"record.keep_age", "for ever", "1h or more", "age at which hours are deleted, such as `720h`"},
	{"record.keep_mb", "no bound", "0 or more", "size of the recording beyond which its oldest hours are deleted"},
	{"record.min_free_mb", "64", "1 or more", "room on the device below which nothing is written; recording goes on by itself when there is room"},
	{"record.row_group", "262144", "1,024 to 4,194,304", "rows of a row group; memory while one is written is about 250 bytes per row"},
	{"record.seal", "`10m`", "1s to 1h", "age at which records go from the journal into a file that others can read"},
	{"record.sync", "`5s`", "1s to 10m, or `none`", "time between two syncs of the journals to the device; matters only when the machine loses power"},
	{"record.no_key_frames", "`false`", "", "leave out the state at the beginning of each hour, and the books kept in memory for it"},
}

const noSync = "none"

func (c *recordConfig) validate(d *yamlDecoder) {
	if c == nil {
		return
	}
	if c.Dir == "" {
		d.at("record", "dir is missing: name the folder that the recording goes to")
	}
	for i, t := range c.Topics {
		if _, err := md.ParsePattern(t); err != nil {
			d.at(fmt.Sprintf("record.topics[%d]", i), "%v%s", err, patternHint(t))
		}
	}
	span := func(key, text string, least, most time.Duration) {
		if n, err := time.ParseDuration(text); text != "" && (err != nil || n < least || most > 0 && n > most) {
			want := fmt.Sprintf("%s or more", least)
			if most > 0 {
				want = fmt.Sprintf("%s to %s", least, most)
			}
			d.at("record."+key, "%q: want a time of %s, such as 5s or 720h", text, want)
		}
	}
	span("keep_age", c.KeepAge, time.Hour, 0)
	span("seal", c.Seal, time.Second, time.Hour)
	if c.Sync != noSync {
		span("sync", c.Sync, time.Second, 10*time.Minute)
	}
	if c.KeepMB < 0 {
		d.at("record.keep_mb", "%d: want 0 for no bound, or more", c.KeepMB)
	}
	if c.MinFreeMB < 0 {
		d.at("record.min_free_mb", "%d: want 1 or more", c.MinFreeMB)
	}
	if c.RowGroup != 0 && (c.RowGroup < 1<<10 || c.RowGroup > 1<<22) {
		d.at("record.row_group", "%d: want 1024 to 4194304 rows", c.RowGroup)
	}
}

// recorder is what the recorder is told.
func (c *recordConfig) recorder(relay string, log *slog.Logger) record.Config {
	age, _ := time.ParseDuration(c.KeepAge) // validated
	seal, _ := time.ParseDuration(c.Seal)
	sync, _ := time.ParseDuration(c.Sync)
	if c.Sync == noSync {
		sync = -1
	}
	return record.Config{Dir: c.Dir, Relay: relay, Topics: c.Topics, RowGroup: c.RowGroup, Seal: seal, Sync: sync, Keep: age,
		MaxBytes: int64(c.KeepMB) << 20, MinFree: int64(c.MinFreeMB) << 20, NoKeyFrames: c.NoKeyFrames, Log: log.With("part", "recorder")}
}
