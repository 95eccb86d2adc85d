package feeds

import "tickrelay/feeds/jsonscan"

// once tracks which members of an object were seen, by their index in its names.
type once uint64

// add notes member k, -1 for one without a name, and reports whether it is the
// first of that name; a second one is malformed.
func (o *once) add(k int) bool {
	if k < 0 {
		return true
	}
	bit := once(1) << (uint(k) & 63)
	again := *o&bit != 0
	*o |= bit
	return !again
}

// have reports whether all of the members, given as bits, were seen.
func (o once) have(members once) bool { return o&members == members }

// following is jsonscan.Member behind the value of member k, quick where the
// next one comes in the order of names.
func following(b []byte, i int, names []jsonscan.Name, k int) (field, next int) {
	if at := names[k+1].After(b, i); at >= 0 {
		return k + 1, at
	}
	return jsonscan.Member(b, i, names, k+1)
}
