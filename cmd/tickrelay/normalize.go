package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tickrelay/feeds"
	"tickrelay/ring/md"
)

func venueList() string { return strings.Join(venueNames(), ", ") }

// normalizeFlags are those of normalize.
type normalizeFlags struct {
	venue   string
	topics  []string
	epoch   int64
	records string
	hash    bool
	speed   string
}

func normalizeCommand() *cobra.Command {
	var o normalizeFlags
	c := &cobra.Command{
		Use:   "normalize [--venue V] FILE…",
		Short: "Recorded frames in, one JSON line per event out",
		Long: `normalize drives recorded frames through the same code that a live feed runs and
prints one JSON line per event, full-depth books included. The output depends on
the input alone. A summary, one "key value" per line, goes to stderr.

A raw recording (record_raw in the configuration) is run again: it holds all that
the feed was told, in its order, and gives the records that the feed gave, byte for
byte. Give its files in their order. Such a recording names its venue; captures of
other origin need --venue.

--hash prints the SHA-256 of the records, 64 bytes each as in a ring, instead of
the lines; --records writes them to a file.`,
		Example: `  tickrelay normalize --venue binance --topics 'binance.trades.*' capture.ndjson.gz
  tickrelay normalize --hash raw/okx/okx-20261128T15*.ndjson.zst`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error { return normalize(c, &o, files) },
	}
	f := c.Flags()
	f.StringVar(&o.venue, "venue", "", "exchange whose frames they are, such as binance; default the raw recording's")
	f.StringSliceVar(&o.topics, "topics", []string{">"}, "topic patterns to print")
	f.Int64Var(&o.epoch, "epoch", 0, "epoch of the records in ns; 0 for the recording's, or the first frame's receive time")
	f.StringVar(&o.records, "records", "", "write the records to this file, 64 bytes each, instead of lines; - for stdout")
	f.BoolVar(&o.hash, "hash", false, "print the SHA-256 of the records and their number instead of lines")
	f.StringVar(&o.speed, "speed", "max", "times the recorded pace, or max; what comes out is the same")
	return c
}

func normalize(c *cobra.Command, o *normalizeFlags, files []string) error {
	cfg := feeds.NormalizeConfig{Patterns: o.topics, Epoch: o.epoch}
	name := o.venue
	if name == "" {
		if name = feeds.RawVenue(files[0]); name == "" {
			return usageError{errors.New("--venue is needed: the first file is no raw recording, which would name it")}
		}
	}
	v, ok := feeds.ByName(name)
	if !ok {
		return usageError{fmt.Errorf("--venue %q%s; known: %s", name, suggest(name, venueNames()), venueList())}
	}
	cfg.Venue = v
	if o.speed != "max" {
		x, err := parseSpeed(o.speed)
		if err != nil {
			return usageError{err}
		}
		cfg.Speed = x
	}
	out := bufio.NewWriterSize(c.OutOrStdout(), 1<<20)
	sums := &recordSum{hash: sha256.New()}
	var records []io.Writer
	if o.hash {
		records = append(records, sums)
	}
	var file *os.File
	switch o.records {
	case "":
	case "-":
		records = append(records, out)
	default:
		var err error
		if file, err = os.Create(o.records); err != nil {
			return err
		}
		defer file.Close() // after an error; else it is closed below
		records = append(records, file)
	}
	if len(records) > 0 {
		cfg.Records = io.MultiWriter(records...)
	} else {
		cfg.Out = out
	}
	sum, err := feeds.Normalize(cfg, files)
	if o.hash && err == nil {
		fmt.Fprintf(out, "sha256 %s records %d\n", hex.EncodeToString(sums.hash.Sum(nil)), sums.bytes/md.RecordSize)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	fmt.Fprint(c.ErrOrStderr(), sum.String())
	if sum.Inexact != "" {
		fmt.Fprintf(c.ErrOrStderr(), "note: not in all what the live feed gave: %s\n", sum.Inexact)
	}
	return err
}

// recordSum sums records up.
type recordSum struct {
	hash  hash.Hash
	bytes uint64
}

func (s *recordSum) Write(b []byte) (int, error) {
	s.bytes += uint64(len(b))
	return s.hash.Write(b)
}
