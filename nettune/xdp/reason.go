package xdp

// Reason is why a packet passed or was dropped; each packet is counted under
// exactly one. The list is closed and its numbers are those of bpf/filter.h.
type Reason uint32

// Reasons to pass come first, reasons to drop from DropDeny on.
const (
	PassOther        = Reason(filterReasonPASS_OTHER)         // not TCP to the port
	PassFragment     = Reason(filterReasonPASS_FRAGMENT)      // a fragment that shows no port, or another one
	PassMalformed    = Reason(filterReasonPASS_MALFORMED)     // too short: the kernel drops it
	PassAllowed      = Reason(filterReasonPASS_ALLOWED)       // source on the allow list
	PassConnection   = Reason(filterReasonPASS_CONNECTION)    // of a connection that the kernel has
	PassSYN          = Reason(filterReasonPASS_SYN)           // asks for a connection, within the budget
	PassPacket       = Reason(filterReasonPASS_PACKET)        // no connection, within the budget
	DropDeny         = Reason(filterReasonDROP_DENY)          // source on the deny list
	DropSYNBudget    = Reason(filterReasonDROP_SYN_BUDGET)    // too many SYNs of this source
	DropPacketBudget = Reason(filterReasonDROP_PACKET_BUDGET) // too many packets without connection
	DropTinyFragment = Reason(filterReasonDROP_TINY_FRAGMENT) // a fragment to the port that hides its TCP flags (RFC 1858)
	DropHeaderChain  = Reason(filterReasonDROP_HEADER_CHAIN)  // IPv6 with more than eight extension headers
	NumReasons       = Reason(filterReasonREASONS)
)

// Drops says whether packets counted under r were dropped.
func (r Reason) Drops() bool { return r >= DropDeny && r < NumReasons }

// String is the name used in metrics and on the command line.
func (r Reason) String() string {
	names := [NumReasons]string{
		PassOther: "other", PassFragment: "fragment", PassMalformed: "malformed", PassAllowed: "allowed",
		PassConnection: "connection", PassSYN: "syn", PassPacket: "packet",
		DropDeny: "deny", DropSYNBudget: "syn_budget", DropPacketBudget: "packet_budget",
		DropTinyFragment: "tiny_fragment", DropHeaderChain: "header_chain",
	}
	if r >= NumReasons {
		return "unknown"
	}
	return names[r]
}
