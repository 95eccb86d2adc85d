package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"tickrelay/relay"
	"tickrelay/ring"
)

// reloadResult is what a reload did, for the log and for the command.
type reloadResult struct {
	// Process is which one did it, where a relay has two.
	Process string `json:"process,omitempty"`
	// Changes say what is different now, Restart what needs a restart and is still
	// as before. With Problems nothing has changed.
	Changes  []string `json:"changes"`
	Restart  []string `json:"needs_restart"`
	Problems []string `json:"problems"`
}

// reloadOnHangup takes the configuration up anew at each SIGHUP until ctx ends.
func (r *relayd) reloadOnHangup(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			r.reload(ctx)
		}
	}
}

// reload reads the configuration again and makes the relay what it says: what
// it does not change notices nothing. Certificates, tokens and keys are read
// again too. One at a time; any goroutine while run runs.
func (r *relayd) reload(ctx context.Context) reloadResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return reloadResult{Problems: []string{"the relay is stopping"}}
	}
	r.service().reloading()
	defer r.ready()
	p, err := r.takeUp()
	res := reloadResult{Changes: []string{}, Restart: []string{}, Problems: []string{}}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			res.Problems = append(res.Problems, strings.TrimSuffix(line, "\n"))
			r.log.Error("configuration not reloaded: nothing has changed", "problem", strings.TrimSuffix(line, "\n"))
		}
		r.reloads.count(false, 0)
		return res
	}
	res.Changes, res.Restart = append(res.Changes, p.changes...), append(res.Restart, p.restart...)
	for _, line := range res.Restart {
		r.log.Warn("configuration needs a restart", "key", line)
	}
	r.log.Info("configuration reloaded", "changes", strings.Join(res.Changes, "; "), "needs_restart", len(res.Restart))
	r.reloads.count(true, len(res.Restart))
	return res
}

// takeUp makes the plan, and with it the relay, what the file says. The caller
// holds mu. With an error nothing has changed.
func (r *relayd) takeUp() (*reloadPlan, error) {
	if r.reloads.file == "" { // a demo: only files can have changed
		return &reloadPlan{}, r.gw.Reload()
	}
	cfg, d, err := readConfig(r.reloads.file)
	if err != nil {
		return nil, err
	}
	p := &reloadPlan{cfg: cfg}
	p.fixed(r.cfg, d)
	if r.alone == nil {
		if err := r.planFeeds(p); err != nil {
			return nil, err
		}
	}
	if err := r.makeRings(p); err != nil {
		return nil, err
	}
	if err := r.takeUpGateway(p); err != nil {
		for _, d := range p.fresh {
			d.close()
		}
		return nil, err
	}
	if r.alone == nil {
		err = r.apply(p)
	}
	r.cfg = p.cfg
	if err != nil { // of the host, in the middle: say so and go on with what there is
		p.changes = append(p.changes, "not complete: "+err.Error())
		r.log.Error("reload not complete", "err", err)
	}
	return p, nil
}

// makeRings makes the rings that are new, which can fail for want of memory.
func (r *relayd) makeRings(p *reloadPlan) error {
	if r.alone != nil {
		return nil
	}
	list := r.sources(r.after(p))
	for _, c := range r.planRings(p) {
		d, err := r.declare(c, list)
		if err != nil {
			for _, d := range p.fresh {
				d.close()
			}
			return err
		}
		p.fresh = append(p.fresh, d)
	}
	return nil
}

// takeUpGateway hands the gateway what concerns it.
func (r *relayd) takeUpGateway(p *reloadPlan) error {
	if r.gw == nil {
		return nil
	}
	c := p.cfg
	err := r.gw.Reconfigure(relay.Access{Auth: c.Auth.gateway(), TLS: c.TLS.gateway(), Origins: c.Origins, Deflate: c.Deflate,
		ProxyProtocol: c.proxyNetworks(func(string) {}), Limits: c.Limits.limits()})
	if err != nil {
		return err
	}
	for _, x := range []struct {
		key      string
		was, now any
	}{
		{"auth", r.cfg.Auth, c.Auth}, {"tls", r.cfg.TLS, c.TLS}, {"origins", r.cfg.Origins, c.Origins},
		{"proxy_protocol", r.cfg.ProxyProtocol, c.ProxyProtocol}, {"deflate", r.cfg.Deflate, c.Deflate}, {"limits", r.cfg.Limits, c.Limits},
	} {
		if !reflect.DeepEqual(x.was, x.now) {
			p.say("%s: changed", x.key)
		}
	}
	return r.gw.Reload()
}

// apply does the plan: first what ends, then what goes on with it or begins, so
// that no topic is served twice at any time.
func (r *relayd) apply(p *reloadPlan) error {
	var errs []error
	ending := slices.Concat(p.gone, slices.Collect(maps.Keys(p.anew)))
	for _, f := range ending {
		f.HandOver()
		f.life.end()
	}
	for old, f := range p.other {
		errs = append(errs, old.Narrow(f.cfg.Instruments, f.cfg.channels()))
	}
	for _, f := range ending {
		<-f.life.done
	}
	for d := range p.rings {
		r.removeDeclared(d)
		r.declared = slices.DeleteFunc(r.declared, func(x *declaredRing) bool { return x == d })
	}
	r.swapUnits(p)
	for _, f := range p.gone {
		r.dropRings(f.Name())
		for a := range r.leases {
			a.orphaned(f)
		}
	}
	for _, f := range p.other {
		errs = append(errs, f.Reselect(f.cfg.Instruments, f.cfg.channels()))
	}
	for _, f := range slices.Concat(slices.Collect(maps.Values(p.anew)), p.added) {
		errs = append(errs, r.resumeUnit(f))
	}
	for _, d := range p.fresh {
		r.declared = append(r.declared, d)
		for _, src := range r.sources(r.feeds()) {
			errs = append(errs, r.attachDeclared(d, src))
		}
	}
	for _, c := range p.again {
		errs = append(errs, r.addDeclared(c))
	}
	errs = append(errs, r.turnRings(p))
	for _, f := range slices.Concat(slices.Collect(maps.Values(p.anew)), p.added) {
		r.reloadUnit(f)
	}
	return errors.Join(errs...)
}

// swapUnits makes the list of feeds what the plan says.
func (r *relayd) swapUnits(p *reloadPlan) {
	list := r.after(p)
	r.units.Store(&list)
}

// resumeUnit gives a feed that is to begin the rings that want it, those that the
// one before has left among them.
func (r *relayd) resumeUnit(f *feedUnit) error {
	var errs []error
	for _, reader := range r.readers {
		errs = append(errs, r.attachReader(reader, f))
	}
	for _, d := range r.declared {
		errs = append(errs, r.attachDeclared(d, f))
	}
	for a := range r.leases {
		a.resume(f)
	}
	return errors.Join(errs...)
}

// turnRings gives rings that stay their new topics, and each strategy a ring of
// every source that may serve it now.
func (r *relayd) turnRings(p *reloadPlan) error {
	var errs []error
	for _, d := range r.declared {
		if c, ok := p.turn[d]; ok {
			d.cfg = c
		}
		pats, err := parsePatterns(d.cfg.Topics)
		if err != nil {
			return err
		}
		for _, src := range r.sources(r.feeds()) {
			seg := d.rings[src.Name()]
			switch may := src.mayServe(d.cfg.Topics); {
			case may && seg == nil:
				if err := r.makeDeclared(d, src); err != nil {
					errs = append(errs, err)
					continue
				}
				errs = append(errs, r.attachDeclared(d, src))
			case !may && seg != nil:
				src.Withdraw(seg)
				r.closeRing(seg)
				delete(d.rings, src.Name())
			case seg != nil:
				if _, ok := p.turn[d]; ok {
					errs = append(errs, src.Select(seg, r.wants(src.of(), pats)))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// commands are what the control socket does besides handing rings out.
func (r *relayd) commands() map[string]ring.CommandHandler {
	return map[string]ring.CommandHandler{
		"overview": func(context.Context, ring.Peer) (any, error) { return r.overview(), nil },
		"ready":    func(context.Context, ring.Peer) (any, error) { return r.readiness(time.Now()), nil },
		"alive":    func(ctx context.Context, _ ring.Peer) (any, error) { return r.aliveness(ctx), nil },
		"reload": func(_ context.Context, from ring.Peer) (any, error) {
			if !from.Trusted() {
				return nil, fmt.Errorf("reload: %w", ring.ErrDenied)
			}
			return r.reload(r.running.ctx), nil
		},
	}
}
