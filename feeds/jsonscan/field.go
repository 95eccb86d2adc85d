package jsonscan

import "unsafe"

// Name is a member name prepared for Field: the name with its closing quote and
// colon as two words of eight bytes, and masks for the bytes in use.
type Name struct {
	text               string
	head, tail         uint64
	headMask, tailMask uint64
}

// Names prepares member names, in the order of the venue's document. Names of
// more than fourteen bytes are found, but not fast.
func Names(texts ...string) []Name {
	names := make([]Name, len(texts))
	for k, text := range texts {
		n := &names[k]
		n.text = text
		if len(text) > 14 {
			n.head = 1 // equal to nothing under an empty mask
			continue
		}
		for i, c := range []byte(text + "\":") {
			if i < 8 {
				n.head |= uint64(c) << (8 * i)
				n.headMask |= 0xFF << (8 * i)
			} else {
				n.tail |= uint64(c) << (8 * (i - 8))
				n.tailMask |= 0xFF << (8 * (i - 8))
			}
		}
	}
	return names
}

// fieldRoom is what the fast path of Field may look at: a quote, sixteen bytes
// of name, quote and colon, and the first byte of the value.
const fieldRoom = 1 + 16 + 1

// Field reads a member name like Key and returns its index in names, -1 if it
// is none of them. It tries names[want] first: who passes the index behind that
// of the member before finds the members that come in the documented order
// with two comparisons each.
func Field(b []byte, i int, names []Name, want int) (field, next int) {
	if uint(want) < uint(len(names)) && i >= 0 && len(b)-i >= fieldRoom {
		n := &names[want]
		q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
		if load64(q, 1)&n.headMask == n.head && load64(q, 9)&n.tailMask == n.tail && load8(q, 0) == '"' {
			if at := 3 + len(n.text); load8(q, at) > ' ' {
				return want, i + at
			}
		}
	}
	return fieldSlow(b, i, names)
}

func fieldSlow(b []byte, i int, names []Name) (field, next int) {
	key, next := Key(b, i)
	for k := range names {
		if names[k].text == string(key) {
			return k, next
		}
	}
	return -1, next
}
