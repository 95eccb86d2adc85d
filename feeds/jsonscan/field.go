package jsonscan

import "unsafe"

// Name is a member name prepared for After and Field: a comma, the name in
// quotes and a colon as two words of eight bytes, and masks for the bytes in
// use.
type Name struct {
	head, tail         uint64
	headMask, tailMask uint64
	size               int    // of what the words hold
	long               string // all of it, where the words do not hold it
	text               string
}

// nameRoom is what After may look at: sixteen bytes of name and punctuation and
// the first byte of the value.
const nameRoom = 16 + 1

// Names prepares member names, in the order of the venue's document. After does
// not know names of more than twelve bytes, Member does. The last entry matches
// nothing, so that whoever is at any other may look at the next.
func Names(texts ...string) []Name {
	names := make([]Name, len(texts)+1)
	for k := range names {
		n := &names[k]
		n.headMask = ^uint64(0) // eight zero bytes, which no frame has here
		if k == len(texts) {
			n.text = "\"" // which no raw text of a string is
			break
		}
		if n.text = texts[k]; len(n.text) > 12 {
			n.long = ",\"" + n.text + "\":"
			continue
		}
		n.headMask, n.size = 0, len(n.text)+4
		for i, c := range []byte(",\"" + n.text + "\":") {
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

// After steps over the comma, the name and the colon at i, if they stand there
// without white space; the value's first byte is at the index returned. Bad
// means that Member must be asked.
func (n *Name) After(b []byte, i int) int {
	if i < 0 || len(b)-i < nameRoom {
		return Bad
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	if (*(*uint64)(q)^n.head)&n.headMask|(*(*uint64)(unsafe.Add(q, 8))^n.tail)&n.tailMask != 0 || *(*byte)(unsafe.Add(q, n.size)) <= ' ' {
		return Bad
	}
	return i + n.size
}

// Opens is After for an object's first member, with a brace for the comma.
func (n *Name) Opens(b []byte, i int) int {
	if i < 0 || len(b)-i < nameRoom {
		return Bad
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	if (*(*uint64)(q)^n.head^','^'{')&n.headMask|(*(*uint64)(unsafe.Add(q, 8))^n.tail)&n.tailMask != 0 || *(*byte)(unsafe.Add(q, n.size)) <= ' ' {
		return Bad
	}
	return i + n.size
}

// Closed is what First and Member return as the field behind the last member.
const Closed = -2

// First steps into the object at i and reads its first name: its index in
// names, -1 if it is none of them, Closed if the object is empty.
func First(b []byte, i int, names []Name) (field, next int) {
	if next = names[0].Opens(b, i); next >= 0 {
		return 0, next
	}
	next, more := Open(b, i, '{')
	if !more {
		return Closed, next
	}
	return find(b, next, names, 0)
}

// Member steps over what follows a member's value in an object and reads the
// next member's name like First; Closed, and the index behind the brace, if the
// object ends. It is Next and Key in one. Who passes the index behind that of
// the member before finds members that come in the documented order fast.
func Member(b []byte, i int, names []Name, want int) (field, next int) {
	if uint(want) < uint(len(names)) {
		n := &names[want]
		if next = n.After(b, i); next >= 0 {
			return want, next
		}
		if n.long != "" {
			if next = Literal(b, i, n.long); next >= 0 && next < len(b) && b[next] > ' ' {
				return want, next
			}
		}
	}
	next, more := Next(b, i, '{')
	if !more {
		return Closed, next
	}
	return find(b, next, names, want)
}

// find reads any name, however it is spaced. The names behind names[want] are
// tried first, since the usual reason to search is that some are missing.
func find(b []byte, i int, names []Name, want int) (field, next int) {
	key, next := Key(b, i)
	want = min(max(want, 0), len(names))
	for k := want; k < len(names); k++ {
		if names[k].text == string(key) {
			return k, next
		}
	}
	for k := range names[:want] {
		if names[k].text == string(key) {
			return k, next
		}
	}
	return -1, next
}
