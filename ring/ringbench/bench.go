package ringbench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"tickrelay/ring"
)

// Config says how long to measure. The zero value works.
type Config struct {
	// Sources is the repository, whose C and Python clients are measured too; ""
	// for none. See ClientRows.
	Sources string
	// Duration of each side of each figure. 0: 500 ms. A run takes about 30
	// times as long.
	Duration time.Duration
	// Peer is the command that runs the function Peer for a directory in another
	// process. nil: the figures between two processes are left out.
	Peer func(dir string) *exec.Cmd
}

const capacity = 4096 // records, 256 KiB: fits the second-level cache

// Run measures everything. It returns early, with an error, when ctx ends.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Duration <= 0 {
		cfg.Duration = 500 * time.Millisecond
	}
	rep := &Report{Bench: "ring", Hardware: Hardware()}
	figures := []func(time.Duration) ([]Row, error){roundTripRows, throughputRows, costRows, broadcastRows, overrunRows}
	if cfg.Peer != nil {
		figures = append(figures, func(d time.Duration) ([]Row, error) { return processRows(d, cfg.Peer) })
	}
	if cfg.Sources != "" {
		figures = append(figures, func(d time.Duration) ([]Row, error) { return ClientRows(cfg.Sources, d) })
	}
	for _, measure := range figures {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows, err := measure(cfg.Duration)
		if err != nil {
			return nil, fmt.Errorf("ringbench: %w", err)
		}
		rep.Rows = append(rep.Rows, rows...)
	}
	return rep, nil
}

// duplex is a pair of rings, one each way.
type duplex struct {
	there, back *link
}

// link is one ring with both of its ends open.
type link struct {
	p *ring.Producer
	c *ring.Consumer
	s *ring.Segment
}

// newLink makes a ring on the heap, or, with a directory, in shared memory that
// both ends map separately, as two processes do.
func newLink(dir, name string) (*link, error) {
	l := &link{}
	var err error
	if dir == "" {
		l.s = ring.NewHeap(capacity, ring.Meta{Name: name})
		l.c, err = ring.OpenConsumer(l.s)
	} else {
		if l.s, err = ring.CreateShm(dir, name, capacity, ring.Meta{}, ring.Perm{}); err != nil {
			return nil, err
		}
		l.c, err = ring.Open(dir, name)
	}
	if err == nil {
		l.p, err = ring.NewProducer(l.s)
	}
	if err != nil {
		l.s.Close()
		return nil, err
	}
	return l, nil
}

func (l *link) close() {
	l.p.Close()
	l.c.Close()
	l.s.Close()
}

func newDuplex(dir string) (*duplex, error) {
	there, err := newLink(dir, "there")
	if err != nil {
		return nil, err
	}
	back, err := newLink(dir, "back")
	if err != nil {
		there.close()
		return nil, err
	}
	return &duplex{there, back}, nil
}

func (d *duplex) close() {
	d.there.close()
	d.back.close()
}

// shmDir makes a directory in shared memory; done removes it.
func shmDir() (dir string, done func(), err error) {
	dir, err = os.MkdirTemp("/dev/shm", "tickrelay-bench-")
	return dir, func() { os.RemoveAll(dir) }, err
}
