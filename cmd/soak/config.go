package soak

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"time"
)

// RealPace is how many market events per second --speed 1 makes, over the 15
// instruments of all exchanges together: some ten changes a second for each
// instrument on each of the exchanges that list it.
const RealPace = 100

// Config describes a soak. Child and Program are required.
type Config struct {
	For  time.Duration // of storms and comparisons; default 20 min, at least 20 s
	Seed uint64        // of the faults and of the market; default 1
	// Speed is the market's pace in multiples of RealPace; 0: as fast as this host
	// takes it, found and held while running.
	Speed float64

	// Child makes a process of the soak's own (exchanges, strategy, clients, feeds).
	Child func(args ...string) *exec.Cmd
	// Program makes a process of the program as users run it.
	Program func(args ...string) *exec.Cmd
	// Shm is a /dev/shm that belongs to this soak alone, which may be filled; the
	// reason why there is none otherwise.
	Shm    bool
	ShmWhy string

	// Version is the program's, for the report.
	Version string
	// Plant makes one part do one wrong thing, to see that it is found: one of Plants.
	Plant string

	Log      *slog.Logger // default discards
	Progress io.Writer    // a line now and then; default none
}

func (c Config) withDefaults() Config {
	if c.For == 0 {
		c.For = 20 * time.Minute
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.For < 20*time.Second:
		return fmt.Errorf("soak: for %s: want at least 20s", c.For)
	case c.Speed < 0 || c.Speed > 10_000:
		return fmt.Errorf("soak: speed %v: want more than 0, at most 10000, or max", c.Speed)
	}
	return validPlant(c.Plant)
}

func (c Config) validate() error {
	if c.Child == nil || c.Program == nil {
		return errors.New("soak: no way to start processes")
	}
	return c.Validate()
}
