package main

import (
	"errors"
	"fmt"

	"tickrelay/ring"
)

// declaredRing is what the configuration says of one strategy's rings, and the
// rings, by their source.
type declaredRing struct {
	cfg   ringConfig
	rings map[string]*ring.Segment
}

// declare makes a declaredRing with a ring for each source that may serve its
// topics; nothing is published into them yet.
func (r *relayd) declare(c *ringConfig, list []ringSource) (*declaredRing, error) {
	d := &declaredRing{cfg: *c, rings: map[string]*ring.Segment{}}
	for _, f := range list {
		if !f.mayServe(c.Topics) {
			continue
		}
		if err := r.makeDeclared(d, f); err != nil {
			d.close()
			return nil, err
		}
	}
	if len(d.rings) == 0 {
		return nil, fmt.Errorf("ring %s: no feed serves any of %v", c.Strategy, c.Topics)
	}
	return d, nil
}

func (r *relayd) makeDeclared(d *declaredRing, src ringSource) error {
	m := r.meta(d.cfg.Strategy)
	m.Broadcast = d.cfg.Broadcast
	seg, err := r.dir.CreateRing(ringName(d.cfg.Strategy, src.Name()), d.cfg.Capacity, m)
	if err != nil {
		return err
	}
	r.tellMemory(seg)
	d.rings[src.Name()] = seg
	return nil
}

// attachDeclared makes a source publish into its ring of d, if there is one.
func (r *relayd) attachDeclared(d *declaredRing, src ringSource) error {
	seg := d.rings[src.Name()]
	if seg == nil {
		return nil
	}
	pats, err := parsePatterns(d.cfg.Topics)
	if err != nil {
		return err
	}
	_, err = src.Attach(seg, r.wants(src.of(), pats))
	return err
}

// addDeclared makes one strategy's rings and has them filled.
func (r *relayd) addDeclared(c *ringConfig) error {
	list := r.sources(r.feeds())
	d, err := r.declare(c, list)
	if err != nil {
		return err
	}
	r.declared = append(r.declared, d)
	for _, src := range list {
		if err := r.attachDeclared(d, src); err != nil {
			return err
		}
	}
	return nil
}

// removeDeclared takes a strategy's rings away from their sources and removes them.
func (r *relayd) removeDeclared(d *declaredRing) {
	for name, seg := range d.rings {
		if src := r.source(name); src != nil {
			src.Withdraw(seg)
		}
		r.closeRing(seg)
	}
	d.rings = nil
}

func (d *declaredRing) close() error {
	var errs []error
	for _, seg := range d.rings {
		errs = append(errs, seg.Close())
	}
	return errors.Join(errs...)
}
