package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// reloadPlan is what separates the relay that runs from a new configuration.
type reloadPlan struct {
	cfg     *fileConfig // the new one; what needs a restart is still the old
	restart []string    // keys that need one, "file:line: key: …"
	changes []string    // in words

	gone  []*feedUnit                // feeds that end
	anew  map[*feedUnit]*feedUnit    // feeds that are taken up anew, by the old
	other map[*feedUnit]*feedUnit    // feeds that go on with another selection
	added []*feedUnit                // feeds that begin
	rings map[*declaredRing]struct{} // that end
	fresh []*declaredRing            // that begin
	again []*ringConfig              // that begin in the place of one that ends
	turn  map[*declaredRing]ringConfig
}

// reloadable are the top-level keys that a running relay takes up; every other
// one needs a restart.
var reloadable = []string{"feeds", "rings", "auth", "tls", "origins", "proxy_protocol", "deflate", "limits"}

// fixed keeps what needs a restart as it is and names it.
func (p *reloadPlan) fixed(old *fileConfig, d *yamlDecoder) {
	was, is := reflect.ValueOf(old).Elem(), reflect.ValueOf(p.cfg).Elem()
	for i := range was.NumField() {
		key := was.Type().Field(i).Tag.Get("yaml")
		if slices.Contains(reloadable, key) || reflect.DeepEqual(was.Field(i).Interface(), is.Field(i).Interface()) {
			continue
		}
		is.Field(i).Set(was.Field(i))
		p.needsRestart(d, key, "it cannot change while the relay runs")
	}
	if (old.TLS.Cert == "") != (p.cfg.TLS.Cert == "") {
		p.cfg.TLS = old.TLS
		p.needsRestart(d, "tls", "it cannot be switched on or off while the relay runs")
	}
}

func (p *reloadPlan) needsRestart(d *yamlDecoder, key, why string) {
	line := max(1, d.lines[key])
	p.restart = append(p.restart, fmt.Sprintf("%s:%d: %s: %s: the old value stays until a restart", d.file, line, key, why))
}

func (p *reloadPlan) say(format string, args ...any) {
	p.changes = append(p.changes, fmt.Sprintf(format, args...))
}

// planFeeds compares the feeds and makes those that are new. Nothing that runs
// is touched.
func (r *relayd) planFeeds(p *reloadPlan) error {
	p.anew, p.other = map[*feedUnit]*feedUnit{}, map[*feedUnit]*feedUnit{}
	kept := map[string]bool{}
	for i := range p.cfg.Feeds {
		c := &p.cfg.Feeds[i]
		kept[c.Name] = true
		old := r.unit(c.Name)
		if old != nil && old.sameBut(c) {
			if !slices.Equal(old.cfg.Instruments, c.Instruments) || !slices.Equal(old.cfg.Channels, c.Channels) {
				next := *old
				next.cfg, next.channels = *c, c.serves()
				p.other[old] = &next
				p.say("feed %s: %s", c.Name, selection(&old.cfg, c))
			}
			continue
		}
		f, err := r.newUnit(c)
		if err != nil {
			return err
		}
		switch {
		case old == nil:
			p.added = append(p.added, f)
			p.say("feed %s: added", c.Name)
		case old.venue != f.venue: // who reads the old one's rings knows them by its venue
			p.gone, p.added = append(p.gone, old), append(p.added, f)
			p.say("feed %s: %s in the place of %s", c.Name, f.venue, old.venue)
		default:
			p.anew[old] = f
			p.say("feed %s: connected anew", c.Name)
		}
	}
	for _, f := range r.feeds() {
		if !kept[f.Name()] {
			p.gone = append(p.gone, f)
			p.say("feed %s: removed", f.Name())
		}
	}
	return nil
}

// sameBut reports whether a feed goes on with c but for what it selects.
func (f *feedUnit) sameBut(c *feedConfig) bool {
	a, b := f.cfg, *c
	a.Instruments, a.Channels, b.Instruments, b.Channels = nil, nil, nil, nil
	return reflect.DeepEqual(a, b) && f.files == c.digest()
}

// selection says how what a feed selects changes.
func selection(old, now *feedConfig) string {
	var words []string
	diff := func(what string, a, b []string) {
		for _, x := range b {
			if !slices.Contains(a, x) {
				words = append(words, "+"+x)
			}
		}
		for _, x := range a {
			if !slices.Contains(b, x) {
				words = append(words, "-"+x)
			}
		}
	}
	diff("instruments", old.Instruments, now.Instruments)
	diff("channels", old.Channels, now.Channels)
	if len(words) == 0 {
		return "another order"
	}
	return strings.Join(words, " ")
}

// after is the list of feeds as it will be.
func (r *relayd) after(p *reloadPlan) []*feedUnit {
	var list []*feedUnit
	for _, f := range r.feeds() {
		switch {
		case slices.Contains(p.gone, f):
		case p.anew[f] != nil:
			list = append(list, p.anew[f])
		case p.other[f] != nil:
			list = append(list, p.other[f])
		default:
			list = append(list, f)
		}
	}
	return append(list, p.added...)
}

// planRings compares the rings. Those that are new are made at the end of the
// plan, by makeRings.
func (r *relayd) planRings(p *reloadPlan) (make []*ringConfig) {
	p.rings, p.turn = map[*declaredRing]struct{}{}, map[*declaredRing]ringConfig{}
	kept := map[string]bool{}
	for i := range p.cfg.Rings {
		c := &p.cfg.Rings[i]
		at := slices.IndexFunc(r.declared, func(d *declaredRing) bool { return d.cfg.Strategy == c.Strategy })
		if at < 0 {
			make = append(make, c)
			p.say("ring %s: added", c.Strategy)
			continue
		}
		d := r.declared[at]
		switch {
		case d.cfg.Capacity != c.Capacity || d.cfg.Broadcast != c.Broadcast:
			p.rings[d] = struct{}{}
			p.again = append(p.again, c) // the files have the same names
			p.say("ring %s: made anew", c.Strategy)
		case !slices.Equal(d.cfg.Topics, c.Topics):
			p.turn[d] = *c
			p.say("ring %s: topics %v", c.Strategy, c.Topics)
		}
		kept[c.Strategy] = true
	}
	for _, d := range r.declared {
		if !kept[d.cfg.Strategy] {
			p.rings[d] = struct{}{}
			p.say("ring %s: removed", d.cfg.Strategy)
		}
	}
	return make
}
