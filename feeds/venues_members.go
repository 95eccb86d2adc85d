package feeds

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

// meaning is what member k is by the table beside its names; other for one that
// the table does not have.
func meaning(table []uint8, k int, other uint8) uint8 {
	if uint(k) < uint(len(table)) {
		return table[k]
	}
	return other
}
