package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"tickrelay/ring/md"
)

// leaseBucket is the key-value bucket of the leases, before the prefix's tokens.
const leaseBucket = "tickrelay_leases"

// lease is the right to publish a venue. It is one key of a bucket, changed by
// compare-and-swap alone; nothing in it expires, so that the last epoch is
// never forgotten.
//
// A follower takes the key over when it has seen the same revision for Lease.
// The leader publishes until four fifths of that after it sent the last
// renewal that succeeded. Both spans are measured on clocks that only run
// forward and begin before the renewal became visible, or after; so the leader
// has stopped before anybody else can begin, whatever the hosts' clocks say.
// A bucket that was lost is made again, and a key that is missing taken by who led,
// by others after Lease; a process that never saw the key takes it at once, and who
// led finds that out at its next renewal.
// What a stopped process sends late has the lower epoch, and gateways drop it.
type lease struct {
	key    string
	bucket string
	every  time.Duration // renewal
	span   time.Duration
	nodes  int // replicas of the bucket
	me     string
	nc     *nats.Conn
	log    *slog.Logger
	change func() // called when the state may have changed

	held atomic.Pointer[holding]

	kv     jetstream.KeyValue // nil: to be opened
	rev    uint64             // of the entry as last seen or written
	seen   time.Time
	top    int64     // highest epoch seen, which outlives the bucket
	absent time.Time // since when a key that there was is missing
	mine   *holding  // what we hold by the last answer, valid or not
	told   string    // last trouble logged

	takeOvers, failures atomic.Uint64
}

// holding is a lease that is held.
type holding struct {
	epoch int64
	until time.Time // by the clock that only runs forward
}

// leaseEntry is the key's value.
type leaseEntry struct {
	Epoch    int64  `json:"epoch,string"`
	Holder   string `json:"holder"`
	Released bool   `json:"released,omitempty"`
}

func newLease(c *Config, v md.Venue, nc *nats.Conn, change func()) *lease {
	host, _ := os.Hostname()
	bucket := leaseBucket
	for _, r := range c.Prefix { // buckets have no dots in their names
		if bucket == leaseBucket {
			bucket += "_"
		}
		if r == '.' {
			r = '_'
		}
		bucket += string(r)
	}
	return &lease{key: v.String(), bucket: bucket, span: c.Lease, every: c.Lease / 5, nodes: c.Stream.Replicas,
		me: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), nuid.Next()), nc: nc, change: change,
		log: c.Log.With("part", "bus", "venue", v.String())}
}

// epoch is the epoch to publish under at the time now; false: somebody else
// leads, or nobody can say who does.
func (l *lease) epoch(now time.Time) (int64, bool) {
	h := l.held.Load()
	if h == nil || !now.Before(h.until) {
		return 0, false
	}
	return h.epoch, true
}

// run takes, renews and at last releases the lease, until ctx ends.
func (l *lease) run(ctx context.Context) {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		if err := l.step(ctx); err != nil && ctx.Err() == nil {
			l.failures.Add(1)
			if text := explain(err); text != l.told {
				l.told = text
				l.log.Warn("lease cannot be looked at", "reason", text)
			}
		} else if err == nil {
			l.told = ""
		}
		select {
		case <-ctx.Done():
			l.release()
			return
		case <-tick.C:
		}
	}
}

// step renews the lease, or looks whether it can be taken. A bucket that seems to be
// gone is opened, or made, at the next step. So is one that did not answer in time,
// because the library asks a bucket that is gone for half a second before it says so.
func (l *lease) step(ctx context.Context) error {
	known := l.kv != nil
	err := l.advance(ctx)
	if bucketGone(err) || known && errors.Is(err, context.DeadlineExceeded) {
		l.kv = nil
	}
	return err
}

// within bounds one request. A step makes up to three of them: a bound for all would
// never let a server that is slow but well give the lease.
func (l *lease) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(l.every, 500*time.Millisecond))
}

func (l *lease) advance(ctx context.Context) error {
	if l.kv == nil {
		if err := l.open(ctx); err != nil {
			return err
		}
	}
	if l.mine != nil {
		err := l.renew(ctx)
		if err == nil || !wrongRevision(err) {
			return err
		}
		// Another revision: an answer to us was lost, or somebody else leads.
	}
	return l.look(ctx)
}

func (l *lease) open(ctx context.Context) error {
	js, err := jetstream.New(l.nc)
	if err != nil {
		return err
	}
	asked, cancel := l.within(ctx)
	defer cancel()
	kv, err := js.KeyValue(asked, l.bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		made, cancel := context.WithTimeout(ctx, max(l.span, 5*time.Second)) // on several servers' disks
		defer cancel()
		kv, err = js.CreateKeyValue(made, jetstream.KeyValueConfig{Bucket: l.bucket, Description: "who publishes which venue",
			History: 1, Replicas: l.nodes})
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w (leases need JetStream)", l.bucket, err)
	}
	l.kv = kv
	return nil
}

func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	sent := time.Now()
	rev, err := l.kv.Update(ctx, l.key, encode(leaseEntry{Epoch: l.mine.epoch, Holder: l.me}), l.rev)
	if err != nil {
		return err
	}
	l.hold(rev, l.mine.epoch, sent)
	return nil
}

// look reads the key and takes it if it is free.
func (l *lease) look(ctx context.Context) error {
	asked, cancel := l.within(ctx)
	defer cancel()
	e, err := l.kv.Get(asked, l.key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		if now := time.Now(); l.top != 0 && l.mine == nil { // who led may not know it yet
			if l.absent.IsZero() {
				l.absent = now
			}
			if now.Sub(l.absent) < l.span {
				return nil
			}
		}
		return l.take(ctx, 0, 0)
	case err != nil:
		return err
	}
	var v leaseEntry
	if err := json.Unmarshal(e.Value(), &v); err != nil {
		return fmt.Errorf("key %s of bucket %s holds no lease: %w", l.key, l.bucket, err)
	}
	now := time.Now()
	l.top, l.absent = max(l.top, v.Epoch), time.Time{}
	if e.Revision() != l.rev || l.seen.IsZero() {
		l.rev, l.seen = e.Revision(), now
	}
	if l.mine != nil && v.Holder == l.me && v.Epoch == l.mine.epoch && !v.Released {
		return l.renew(ctx) // ours all the time: nobody can have led meanwhile
	}
	if l.mine != nil {
		l.drop(v.Holder)
	}
	if v.Released || now.Sub(l.seen) >= l.span {
		return l.take(ctx, e.Revision(), v.Epoch)
	}
	return nil
}

// take makes us the leader if the key has not changed since rev. The epoch is
// above every one seen, even if that host's clock was ahead of ours.
func (l *lease) take(ctx context.Context, rev uint64, last int64) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	sent := time.Now()
	last = max(last, l.top)
	epoch := max(sent.UnixNano(), last+1)
	value := encode(leaseEntry{Epoch: epoch, Holder: l.me})
	var err error
	if rev == 0 {
		rev, err = l.kv.Create(ctx, l.key, value)
	} else {
		rev, err = l.kv.Update(ctx, l.key, value, rev)
	}
	if err != nil {
		if wrongRevision(err) {
			l.seen = time.Time{} // somebody was faster
			return nil
		}
		return err
	}
	l.takeOvers.Add(1)
	l.top, l.absent = epoch, time.Time{}
	l.hold(rev, epoch, sent)
	l.log.Info("leading", "epoch", epoch, "after", last)
	return nil
}

func (l *lease) hold(rev uint64, epoch int64, sent time.Time) {
	l.rev, l.seen = rev, sent
	l.mine = &holding{epoch: epoch, until: sent.Add(l.span * 4 / 5)}
	l.held.Store(l.mine)
	l.change()
}

func (l *lease) drop(to string) {
	l.log.Warn("not leading any more", "epoch", l.mine.epoch, "holder", to)
	l.mine = nil
	l.held.Store(nil)
	l.change()
}

// release lets another host take over at once.
func (l *lease) release() {
	mine := l.mine
	l.mine = nil
	l.held.Store(nil)
	l.change()
	if mine == nil || l.kv == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := l.kv.Update(ctx, l.key, encode(leaseEntry{Epoch: mine.epoch, Holder: l.me, Released: true}), l.rev); err != nil {
		l.log.Warn("lease not released: others wait until it runs out", "reason", explain(err))
	}
}

// bucketGone reports that the bucket may not be there any more: nobody answers for
// its stream.
func bucketGone(err error) bool {
	for _, is := range []error{jetstream.ErrNoStreamResponse, nats.ErrNoResponders, jetstream.ErrStreamNotFound, jetstream.ErrBucketNotFound} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// wrongRevision reports that the key was changed by somebody since.
func wrongRevision(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
