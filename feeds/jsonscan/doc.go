// Package jsonscan reads JSON text in place, for decoders that know the shape
// they expect.
//
// It guarantees: nothing is allocated, nothing is copied, nothing outside the
// given slice is read, nesting is bounded by MaxDepth, and whatever a function
// steps over is well-formed JSON by RFC 8259 (strings as UTF-8 are not
// checked). Numbers are exact: a mantissa and an exponent, never a float, with
// the trailing zeros of the text kept in the mantissa.
//
// It does not build a tree, does not unescape strings (their raw text is
// lent), does not look at duplicate keys and does not convert encodings.
//
// All functions work on the whole frame b and an index i into it and return
// the index behind what they read, so that positions live in registers and a
// walk of a document is a chain of calls:
//
//	{"s":"BTCUSDT","b":[["61737.63","0.5"]]}
//	^Open  ^Key     ^Key ^^Pair
//	       ^Text                     ^Next … End
//
//	Open  steps into an object or array     Next  steps to the next member
//	Key   reads a member's name             End   checks that nothing follows
//	Text, Number, Pair, Uint, Int, Time, ID read values; Skip steps over one
//	First and Member are Open and Next with the name read as well: names that
//	come in a known order are compared instead of searched
//
// An index below zero is an error: Bad for malformed text, Range for a number
// that no int64 mantissa holds exactly; Err turns it into an error value. A
// function given a negative index fails again, so checks may be made late.
//
// The package starts no goroutine and has no state.
package jsonscan
