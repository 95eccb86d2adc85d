package record

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tickrelay/ring/md"
)

// Config says what to record and how. The zero value of a field is its default.
type Config struct {
	// Dir is the recording's folder, made if it is not there. One recorder at a time
	// writes to it.
	Dir string
	// Relay is the relay's name, for the files' metadata.
	Relay string
	// Topics are patterns; none records everything that the source brings.
	Topics []string
	// RowGroup is the number of rows of a row group, 1,024 to 4,194,304. Default 262,144:
	// about 4 MB in a file, and 64 MB of memory while it is written.
	RowGroup int
	// Seal is how long records stay in the journal before they are put into a file that
	// others can read. Default 10 minutes. Shorter makes more small files until the hour
	// ends, when they are merged.
	Seal time.Duration
	// Flush is how long a record may wait in memory before it is in the journal.
	// Default 200 ms. A recorder that is killed loses at most that, and says so.
	Flush time.Duration
	// Sync is the time between two syncs of the journals to the device. Default 5 s; below
	// 0 never. It matters only when the machine loses power.
	Sync time.Duration
	// Keep is the age beyond which hours are deleted; 0 keeps everything.
	Keep time.Duration
	// MaxBytes is the size of the recording beyond which the oldest hours are deleted;
	// 0 lets it grow.
	MaxBytes int64
	// MinFree is the room on the device below which nothing is written, in bytes. Default
	// 64 MB. It must hold what sealing a row group needs.
	MinFree int64
	// NoKeyFrames leaves the state at the beginning of each hour out, and the books that
	// are kept in memory for it.
	NoKeyFrames bool
	Log         *slog.Logger
	// Now is the clock, ns since 1970 UTC; nil: the host's. Several goroutines call it.
	Now func() int64
}

func (c Config) withDefaults() Config {
	if c.RowGroup == 0 {
		c.RowGroup = 1 << 18
	}
	if c.Seal == 0 {
		c.Seal = 10 * time.Minute
	}
	if c.Flush == 0 {
		c.Flush = 200 * time.Millisecond
	}
	if c.Sync == 0 {
		c.Sync = 5 * time.Second
	}
	if c.MinFree == 0 {
		c.MinFree = 64 << 20
	}
	if len(c.Topics) == 0 {
		c.Topics = []string{">"}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = func() int64 { return time.Now().UnixNano() }
	}
	return c
}

func (c *Config) validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir is empty: name a folder"))
	}
	if c.RowGroup < 1<<10 || c.RowGroup > 1<<22 {
		errs = append(errs, fmt.Errorf("row group of %d rows: want 1024 to 4194304", c.RowGroup))
	}
	if c.Seal < time.Second || c.Flush < time.Millisecond || c.Keep < 0 || c.MaxBytes < 0 || c.MinFree < 0 {
		errs = append(errs, errors.New("seal below a second, flush below a millisecond, or a negative limit"))
	}
	for _, t := range c.Topics {
		if _, err := md.ParsePattern(t); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
