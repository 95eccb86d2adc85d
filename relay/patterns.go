package relay

import (
	"cmp"
	"slices"

	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

// match finds the topics that exist and that any pattern selects, in the order of
// their appearance, as far as they are granted.
func (h *hub) match(patterns []md.Pattern, g *auth.Grant) []*topic {
	return sift(h.matchAll(patterns), g)
}

// matchAll is match for who has been granted what it selects.
func (h *hub) matchAll(patterns []md.Pattern) []*topic {
	var found []*topic
	taken := map[*topic]bool{}
	wild := patterns[:0:0]
	for _, p := range patterns {
		if !p.Literal() {
			wild = append(wild, p)
			continue
		}
		if t := h.byName[p.String()]; t != nil && t.live && !taken[t] {
			taken[t] = true
			found = append(found, t)
		}
	}
	if len(wild) == 0 {
		return found
	}
	for _, t := range h.topics {
		if t.live && !taken[t] && matchAny(wild, t.name) {
			found = append(found, t)
		}
	}
	return found
}

func matchAny(patterns []md.Pattern, name string) bool {
	for _, p := range patterns {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// hold has topics that appear later subscribed to; of one pattern the newest options count.
func (h *hub) hold(c *conn, k *client, key patternKey) {
	if p := k.patterns.get(key.pattern); p != nil && p.key != key {
		h.release(c, k, p)
	}
	p := h.patterns[key]
	if p == nil {
		p = &patternHolders{key: key, conns: map[*conn]struct{}{}}
		h.patterns[key] = p
	}
	p.conns[c] = struct{}{}
	k.patterns.set(key.pattern, p)
}

func (h *hub) release(c *conn, k *client, p *patternHolders) {
	k.patterns.delete(p.key.pattern)
	delete(p.conns, c)
	if len(p.conns) == 0 {
		delete(h.patterns, p.key)
	}
}

// holding are the patterns that select a topic, in an order that depends on them
// alone: of a connection that holds two with other options the first one counts.
func (h *hub) holding(t *topic, literal bool) []*patternHolders {
	var found []*patternHolders
	for key, holders := range h.patterns {
		if key.pattern.Literal() == literal && key.pattern.Match(t.name) {
			found = append(found, holders)
		}
	}
	slices.SortFunc(found, func(a, b *patternHolders) int {
		x, y := &a.key, &b.key
		return cmp.Or(cmp.Compare(x.pattern.String(), y.pattern.String()), cmp.Compare(x.opt.depth, y.opt.depth),
			cmp.Compare(x.opt.conflate, y.opt.conflate), cmp.Compare(x.opt.policy, y.opt.policy))
	})
	return found
}

// announce tells of a topic that has appeared or begins a new epoch, and joins those
// who wait for it.
func (h *hub) announce(t *topic) {
	var told []*conn
	for _, st := range t.streams {
		if st.subscribers() > 0 {
			told = h.holders(t)
			break
		}
	}
	if t.turned {
		t.turned = false
		for _, c := range told {
			h.send(c, delivery{op: deliverEpoch, conn: c, stream: h.clients[c].streams.get(t).id, from: t.seq, ended: t.ended})
		}
	}
	for _, literal := range []bool{true, false} { // who names the topic wants those options
		for _, holders := range h.holding(t, literal) {
			for c := range holders.conns {
				if h.joinLater(c, t, holders.key.opt) {
					told = append(told, c)
				}
			}
		}
	}
	f := textFrame(append(t.appendPosition([]byte(`{"op":"topic","topics":{`), t.seq), "}}"...))
	for _, c := range told {
		h.send(c, delivery{op: deliverAnswer, frame: f})
		k := h.clients[c]
		h.preamble(c, []*stream{k.streams.get(t)})
		h.resumeLater(c, k, t)
	}
}

// holders are the connections that are subscribed to t.
func (h *hub) holders(t *topic) []*conn {
	var out []*conn
	for c, k := range h.clients {
		if k.streams.get(t) != nil {
			out = append(out, c)
		}
	}
	return out
}

// joinLater subscribes c to a topic that one of its patterns selects.
func (h *hub) joinLater(c *conn, t *topic, opt options) bool {
	k := h.clients[c]
	if k.streams.get(t) != nil || !k.grant.Topic(t.name) {
		return false
	}
	st := h.streamOf(t, opt)
	if st == nil || k.streams.len() >= h.limits.MaxTopics {
		h.refuse(c, "", codeLimit, t.name+" appeared and would exceed a limit: not subscribed")
		return false
	}
	k.streams.set(t, st)
	k.setPolicy(t, opt.policy)
	st.add(1, c.format, c.shard.index)
	h.send(c, delivery{op: deliverSubscribe, stream: st.id, info: &st.streamInfo, policy: opt.policy})
	return true
}

// covers reports whether one of patterns is p or selects it as if it were a topic.
func covers(patterns []md.Pattern, p md.Pattern) bool {
	for _, q := range patterns {
		if q == p || q.Match(p.String()) {
			return true
		}
	}
	return false
}
