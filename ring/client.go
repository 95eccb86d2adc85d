package ring

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tickrelay/ring/md"
)

// ClientConfig says which relay a Client reads and how it comes back to it.
type ClientConfig struct {
	// Socket is the relay's control socket; see FindSocket. Request is what to
	// ask there.
	Socket  string
	Request AttachRequest
	// Dir and Rings, instead of Socket and Request: a relay's directory and the
	// names of rings in it that its configuration declares.
	Dir   string
	Rings []string
	// Retry is the pause between two tries to attach again. 0: 100 ms.
	Retry time.Duration
	// Attached, if not nil, is called in the reading goroutine whenever rings
	// were attached, the first time included, before their first record: the
	// place to look instruments up in Table, whose ids may be new ones.
	Attached func(*Client)
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Retry <= 0 {
		c.Retry = 100 * time.Millisecond
	}
	return c
}

func (c *ClientConfig) validate() error {
	if (c.Socket == "") == (c.Dir == "") {
		return errors.New("want a socket and a request, or a directory and rings")
	}
	if c.Dir != "" && len(c.Rings) == 0 {
		return errors.New("want the names of rings")
	}
	return nil
}

// Client reads a relay's rings and survives the relay: when it ends, the
// Client delivers what was handed over, then a gap record for every topic that
// had been told (reason disconnect, size unknown, from the number after the
// topic's last), attaches again as soon as a relay is there, and goes on with
// the heartbeat of the new epoch and fresh state. So a strategy written for one
// ring needs nothing more. One goroutine uses it; only Interrupt may be called
// from others. While attached, reading allocates nothing.
//
// It starts one goroutine per time that it attaches again, gone by Close.
type Client struct {
	cfg     ClientConfig
	rings   *Poller
	track   tracker
	gaps    []md.Record // of the session that ended, not delivered yet
	lost    bool        // a ring ended: attach again once the others are empty
	session int
	again   chan *Poller // holds the new rings; nil while attached
	cancel  context.CancelFunc
	woken   chan struct{}
	refused error
	closed  bool
	table   *md.TableView // of the last session, mapped until the next one
	unmap   func() error

	mu      sync.Mutex
	waiting *Poller // what Interrupt has to reach
}

// Dial attaches for the first time; ctx bounds that alone. It does not wait for
// a relay to appear: ErrNotRunning or ErrProducerGone if there is none.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("ring: client: %w", err)
	}
	p, err := cfg.open(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, woken: make(chan struct{}, 1)}
	c.adopt(p)
	return c, nil
}

// open attaches once.
func (c *ClientConfig) open(ctx context.Context) (*Poller, error) {
	if c.Socket != "" {
		return Attach(ctx, c.Socket, c.Request)
	}
	p := NewPoller()
	for _, name := range c.Rings {
		r, err := Open(c.Dir, name)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.cs = append(p.cs, r)
	}
	p.words = make([]futexWaiter, 0, len(p.cs))
	if view, unmap, err := OpenTable(filepath.Clean(c.Dir)); err == nil {
		p.table, p.unmap = view, unmap
	}
	return p, nil
}

func (c *Client) adopt(p *Poller) {
	c.dropTable()
	c.rings = p
	c.table, c.unmap = p.TakeTable()
	c.reach(p)
	c.session++
	if c.cfg.Attached != nil {
		c.cfg.Attached(c)
	}
}

// reach says whose sleep Interrupt has to end, nil: nobody's. It comes before
// the memory of that one goes.
func (c *Client) reach(p *Poller) {
	c.mu.Lock()
	c.waiting = p
	c.mu.Unlock()
}

func (c *Client) dropTable() error {
	if c.unmap == nil {
		return nil
	}
	err := c.unmap()
	c.table, c.unmap = nil, nil
	return err
}

// Poll copies records into dst, as Poller.Poll. While the relay is away it
// returns 0 and no error. An error is final: the relay is back and refuses, or
// a ring makes no sense.
func (c *Client) Poll(dst []md.Record) (int, error) {
	if c.rings == nil || len(c.gaps) > 0 {
		return c.away(dst)
	}
	n, err := c.rings.Poll(dst)
	if err != nil {
		if err = c.ended(err); err != nil {
			return 0, err
		}
		return 0, nil
	}
	if n == 0 && c.lost {
		c.leave()
		return 0, nil
	}
	c.track.see(dst[:n])
	return n, nil
}

// ended takes an error of one ring; nil if the Client deals with it.
func (c *Client) ended(err error) error {
	if !errors.Is(err, ErrProducerGone) {
		return err
	}
	c.reach(nil)
	for _, r := range slices.Clone(c.rings.cs) {
		if !r.ProducerAlive() && (r.Depth() == 0 || !r.begun) {
			c.rings.Remove(r)
		}
	}
	c.lost = true // what other rings hold is delivered first; no Wait sleeps now
	return nil
}

// leave gives the old rings back and begins to look for new ones.
func (c *Client) leave() {
	c.reach(nil)
	c.rings.Close()
	c.rings, c.lost = nil, false
	c.gaps = c.track.gaps(c.gaps[:0], time.Now().UnixNano())
	c.again = make(chan *Poller, 1)
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.search(ctx, c.again)
}

// search attaches again; its last act is to send the rings or close the channel.
func (c *Client) search(ctx context.Context, found chan<- *Poller) {
	defer close(found)
	for ctx.Err() == nil {
		p, err := c.cfg.open(ctx)
		if err == nil {
			found <- p
			return
		}
		var no *AttachError
		if errors.As(err, &no) && no.Code != CodeBusy && no.Code != CodeRefused && no.Code != CodeNoSpace && no.Code != CodeBadTopic || errors.Is(err, ErrFormat) {
			c.refused = err // the next try would end the same way
			return
		}
		sleep(ctx, c.cfg.Retry)
	}
}

// away delivers gaps, then looks whether the search has found something.
func (c *Client) away(dst []md.Record) (int, error) {
	if c.closed {
		return 0, fmt.Errorf("ring: read: %w", ErrClosed)
	}
	if len(c.gaps) > 0 {
		n := copy(dst, c.gaps)
		c.gaps = c.gaps[:copy(c.gaps, c.gaps[n:])]
		return n, nil
	}
	select {
	case p := <-c.again:
		return 0, c.found(p)
	default:
		return 0, nil
	}
}

func (c *Client) found(p *Poller) error {
	if p == nil {
		return c.refused
	}
	c.cancel()
	c.again, c.cancel = nil, nil
	c.adopt(p)
	return nil
}

// Wait waits as Consumer.Wait does, also for a relay that is away; it spins
// only while one is there.
func (c *Client) Wait(mode WaitMode, timeout time.Duration) (bool, error) {
	if c.closed {
		return false, fmt.Errorf("ring: read: %w", ErrClosed)
	}
	if len(c.gaps) > 0 {
		return true, nil
	}
	if c.rings == nil {
		return c.waitAway(timeout)
	}
	if c.lost {
		return true, nil // Poll goes on
	}
	ok, err := c.rings.Wait(mode, timeout)
	if err != nil {
		if err = c.ended(err); err != nil {
			return false, err
		}
		return true, nil
	}
	return ok, nil
}

func (c *Client) waitAway(timeout time.Duration) (bool, error) {
	var after <-chan time.Time
	if timeout >= 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		after = t.C
	}
	select {
	case p := <-c.again:
		return false, c.found(p)
	case <-after:
	case <-c.woken:
	}
	return false, nil
}

// Interrupt ends a Wait. Any goroutine, until Close.
func (c *Client) Interrupt() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil {
		c.waiting.Interrupt()
	}
}

// Session counts attachments, from 1 on.
func (c *Client) Session() int { return c.session }

// Connected reports whether rings are attached now.
func (c *Client) Connected() bool { return c.rings != nil && !c.lost }

// Rings are the rings attached now, nil while the relay is away.
func (c *Client) Rings() *Poller { return c.rings }

// Table is the instrument table of the present or last attachment, nil if the
// relay shares none. It is good until the next Attached or Close.
func (c *Client) Table() *md.TableView { return c.table }

// Close gives the rings back and ends the search for new ones.
func (c *Client) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	c.reach(nil)
	err := c.dropTable()
	if c.rings != nil {
		err = errors.Join(err, c.rings.Close())
		c.rings = nil
	}
	if c.cancel != nil {
		c.cancel()
		for p := range c.again { // until the search has ended
			err = errors.Join(err, p.Close())
		}
	}
	return err
}
