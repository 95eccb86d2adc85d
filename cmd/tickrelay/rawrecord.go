package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/feeds"
)

// rawRecordConfig says what of the feeds is recorded as it came.
type rawRecordConfig struct {
	Dir      string   `yaml:"dir"`
	Feeds    []string `yaml:"feeds"`     // names; default all
	Compress string   `yaml:"compress"`  // zstd (default), gzip or none
	Every    string   `yaml:"every"`     // time after which a new file begins; default 1h
	BufferMB int      `yaml:"buffer_mb"` // memory between each feed and its recorder, a power of two; default 16
	KeepAge  string   `yaml:"keep_age"`  // default for ever
	KeepMB   int64    `yaml:"keep_mb"`   // of each feed; default no bound
}

var rawRecordDocs = []keyDoc{
	{"record_raw.dir", "required", "", "folder of the recordings, `DIR/FEED/…`"},
	{"record_raw.feeds", "all", "names of feeds", "feeds to record"},
	{"record_raw.compress", "`zstd`", "`zstd`, `gzip`, `none`", "compression of the files"},
	{"record_raw.every", "`1h`", "1s or more", "time after which a new file begins"},
	{"record_raw.buffer_mb", "`16`", "a power of two, 1 to 4096", "memory between each feed and its recorder"},
	{"record_raw.keep_age", "for ever", "1s or more", "age at which files are removed, such as `720h`"},
	{"record_raw.keep_mb", "no bound", "0 or more", "size of one feed's files together beyond which the oldest are removed"},
}

func (c *rawRecordConfig) validate(d *yamlDecoder, list []feedConfig) {
	if c == nil {
		return
	}
	if c.Dir == "" {
		d.at("record_raw", "dir is missing: name the folder that the recordings go to")
	}
	if !slices.Contains([]string{"", "zstd", "gzip", "none"}, c.Compress) {
		d.at("record_raw.compress", "%q: want zstd, gzip or none", c.Compress)
	}
	for _, t := range []struct{ key, value string }{{"every", c.Every}, {"keep_age", c.KeepAge}} {
		if n, err := time.ParseDuration(t.value); t.value != "" && (err != nil || n < time.Second) {
			d.at("record_raw."+t.key, "%q: want a time of a second or more, such as 1h", t.value)
		}
	}
	if c.BufferMB < 0 || c.BufferMB&(c.BufferMB-1) != 0 || c.BufferMB > 4096 {
		d.at("record_raw.buffer_mb", "%d: want a power of two up to 4096", c.BufferMB)
	}
	if c.KeepMB < 0 {
		d.at("record_raw.keep_mb", "%d: want 0 for no bound, or more", c.KeepMB)
	}
	for i, name := range c.Feeds {
		if !slices.ContainsFunc(list, func(f feedConfig) bool { return f.Name == name }) {
			d.at(fmt.Sprintf("record_raw.feeds[%d]", i), "no feed is named %q", name)
		}
	}
}

// config is that of one feed's recorder.
func (c *rawRecordConfig) config() feeds.RawConfig {
	every, _ := time.ParseDuration(c.Every) // validated
	age, _ := time.ParseDuration(c.KeepAge)
	return feeds.RawConfig{Dir: c.Dir, Compress: c.Compress, Every: every, Buffer: c.BufferMB << 20, KeepAge: age, KeepBytes: c.KeepMB << 20}
}

// rawRecorders are the recorders that run, or ran.
type rawRecorders struct {
	mu   sync.Mutex
	list []*feeds.RawRecorder
}

// recordRaw begins to record a feed that is about to run, if the configuration says
// so. A folder that cannot be written does not keep the feed from running.
func (r *relayd) recordRaw(f *feedUnit) {
	c := r.cfg.RecordRaw
	if c == nil || len(c.Feeds) > 0 && !slices.Contains(c.Feeds, f.Name()) {
		return
	}
	conf := c.config()
	conf.Log = r.log.With("part", "raw recorder")
	rec, err := feeds.RecordRaw(f.Feed, conf)
	if err != nil {
		r.log.Error("the feed runs without a raw recording", "feed", f.Name(), "dir", filepath.Join(c.Dir, f.Name()), "err", err)
		return
	}
	r.raw.mu.Lock()
	r.raw.list = append(slices.DeleteFunc(r.raw.list, func(x *feeds.RawRecorder) bool { return x.Feed() == rec.Feed() }), rec)
	r.raw.mu.Unlock()
	r.running.part("raw recorder "+f.Name(), func(ctx context.Context) error { return rec.Run(ctx) })
}

var (
	rawLines    = desc("raw_recorder_lines_total", "Lines written to the raw recording.", "feed")
	rawBytes    = desc("raw_recorder_bytes_total", "Bytes of frames and REST answers written to the raw recording, before compression.", "feed")
	rawLost     = desc("raw_recorder_lost_total", "Lines that are in no file: the recorder was too slow, or the disk refused them.", "feed")
	rawFiles    = desc("raw_recorder_files_total", "Files begun.", "feed")
	rawRemoved  = desc("raw_recorder_removed_files_total", "Files removed because of their age or of the space.", "feed")
	rawFailures = desc("raw_recorder_failures_total", "Attempts to write that failed.", "feed")
	rawFailing  = desc("raw_recorder_failing", "1 while the disk refuses.", "feed")
)

// Describe implements prometheus.Collector.
func (r *rawRecorders) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{rawLines, rawBytes, rawLost, rawFiles, rawRemoved, rawFailures, rawFailing} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *rawRecorders) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	list := slices.Clone(r.list)
	r.mu.Unlock()
	for _, rec := range list {
		s, name := rec.Stats(), rec.Feed()
		ch <- counter(rawLines, s.Lines.Load(), name)
		ch <- counter(rawBytes, s.Bytes.Load(), name)
		ch <- counter(rawLost, s.Lost.Load(), name)
		ch <- counter(rawFiles, s.Files.Load(), name)
		ch <- counter(rawRemoved, s.Removed.Load(), name)
		ch <- counter(rawFailures, s.Failures.Load(), name)
		failing := 0.0
		if s.Failing.Load() {
			failing = 1
		}
		ch <- gauge(rawFailing, failing, name)
	}
}
