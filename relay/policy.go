package relay

import (
	"github.com/gobwas/ws"
	"github.com/valyala/fastjson"
)

// policy says what a subscription wants when its connection's queue is full.
type policy uint8

const (
	policyConflate policy = iota // state: the newest one in silence; the others: a gap
	policyDrop                   // always a gap, then the newest state
	policyClose                  // the connection ends rather than miss a message
	numPolicies
)

var policies = [numPolicies]string{"conflate", "drop", "close"}

// policyOf reads a request's policy.
func policyOf(v *fastjson.Value) (policy, *badRequest) {
	x := v.Get("policy")
	if x == nil || x.Type() == fastjson.TypeNull {
		return policyConflate, nil
	}
	name := string(x.GetStringBytes())
	for p := range numPolicies {
		if policies[p] == name {
			return p, nil
		}
	}
	return 0, bad(codeOption, "policy must be conflate, drop or close")
}

// setPolicy notes the policy of a topic, which streams know nothing of: they are shared.
func (k *client) setPolicy(t *topic, p policy) {
	if p == policyConflate {
		delete(k.policies, t)
		return
	}
	if k.policies == nil {
		k.policies = map[*topic]policy{}
	}
	k.policies[t] = p
}

// tellsLoss reports that state is not conflated in silence either.
func (sb *sub) tellsLoss() bool { return sb.info.state && sb.policy == policyDrop && !sb.fresh }

// tellLoss queues the gap of the numbers after from, up to to, before the state that
// makes them good. No sweep takes it: there is one per time that the queue was empty.
func (sb *sub) tellLoss(to uint64) {
	if to <= sb.from {
		return
	}
	sb.missedFrom, sb.missedTo = sb.from+1, to
	f := sb.gapFrame()
	f.keep = true
	sb.c.shard.stats.dropped.Add(to - sb.from)
	sb.from = to
	sb.c.push(f, sb)
}

// breach ends a connection that would miss a message of a subscription whose policy is
// to close.
func (c *conn) breach(sb *sub) {
	c.shard.close(c, ws.StatusPolicyViolation, "slow consumer: queue full, policy is close: "+sb.info.topic, closedPolicy)
}
