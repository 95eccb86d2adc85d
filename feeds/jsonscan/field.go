package jsonscan

import (
	"encoding/binary"
	"slices"
	"unsafe"
)

// Name is a member name prepared for After and Member: a comma, the name in
// quotes and a colon as two words of eight bytes with masks for the bytes in
// use, and the members that usually follow it.
type Name struct {
	head, tail         uint64
	headMask, tailMask uint64
	size               int // of the comma, the name in quotes and the colon
	then               [3]uint8
	ways               uint8  // how many of then are in use
	first              uint64 // the first eight bytes of the name, zeros behind a shorter one
	text               string
	long               string // all of it, where the words do not hold it
}

// nameRoom is what After may look at: sixteen bytes of name and punctuation and
// the first byte of the value.
const nameRoom = 16 + 1

// NameList is a set of member names, numbered from 0, and the orders in which
// they usually come. Its last entry matches nothing and belongs to no member, so
// that whoever is at any other may look at the next.
type NameList []Name

// Names prepares member names, at most 64 in all, in the order of the venue's
// document. After does not know names of more than twelve bytes, Member does.
func Names(texts ...string) NameList {
	end := Name{text: "\"", headMask: ^uint64(0)} // eight zero bytes, which no frame has here, and no name
	return NameList{end}.Or(texts...)
}

// Or adds another usual order: that of another kind of message with the same
// members, or of one that lacks some. Names that the list has keep their number,
// others get the next ones. Of the members that may follow one, three are looked
// at first.
func (l NameList) Or(texts ...string) NameList {
	l = slices.Clone(l)
	from := len(l) - 1 // the last entry says what comes first
	for _, text := range texts {
		k := l.index(text)
		if k < 0 {
			end := l[len(l)-1]
			if k = len(l) - 1; from == k {
				from = k + 1 // the last entry moves
			}
			l = append(l[:k:k], prepared(text), end)
		}
		l[from].follow(uint8(k))
		from = k
	}
	return l
}

// index is the number of a name, -1 if the list has it not.
func (l NameList) index(text string) int {
	for k := range l[:len(l)-1] {
		if l[k].text == text {
			return k
		}
	}
	return -1
}

// follow notes that member k may come next.
func (n *Name) follow(k uint8) {
	for _, f := range n.then[:n.ways] {
		if f == k {
			return
		}
	}
	if int(n.ways) < len(n.then) {
		n.then[n.ways] = k
		n.ways++
	}
}

func prepared(text string) (n Name) {
	n.text, n.size = text, len(text)+4
	n.first = first8([]byte(text), 0, len(text))
	if len(text) > 12 {
		n.headMask, n.long = ^uint64(0), ",\""+text+"\":"
		return n
	}
	for i, c := range []byte(",\"" + text + "\":") {
		if i < 8 {
			n.head |= uint64(c) << (8 * i)
			n.headMask |= 0xFF << (8 * i)
		} else {
			n.tail |= uint64(c) << (8 * (i - 8))
			n.tailMask |= 0xFF << (8 * (i - 8))
		}
	}
	return n
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

// stretched is After for a name that the words do not hold; lead is what stands
// before the name.
func (n *Name) stretched(b []byte, i int, lead byte) int {
	if i < 0 || len(b)-i <= n.size || b[i] != lead || string(b[i+1:i+n.size]) != n.long[1:] || b[i+n.size] <= ' ' {
		return Bad
	}
	return i + n.size
}

// Closed is what First and Member return as the field behind the last member.
const Closed = -2

// First steps into the object at i and reads its first name: its index in
// names, -1 if it is none of them, Closed if the object is empty.
func First(b []byte, i int, names NameList) (field, next int) {
	end := &names[len(names)-1]
	for _, f := range end.then[:end.ways&3] {
		n := &names[f]
		if next = n.Opens(b, i); next >= 0 {
			return int(f), next
		}
		if n.long != "" {
			if next = n.stretched(b, i, '{'); next >= 0 {
				return int(f), next
			}
		}
	}
	next, more := Open(b, i, '{')
	if !more {
		return Closed, next
	}
	return find(b, next, names)
}

// Member steps over what follows the value of member k, -1 for one that is not
// in names, in an object, and reads the next member's name like First; Closed,
// and the index behind the brace, if the object ends. It is Next and Key in one,
// and fast where the members come in a usual order.
func Member(b []byte, i int, names NameList, k int) (field, next int) {
	if uint(k) < uint(len(names)) {
		was := &names[k]
		for _, f := range was.then[:was.ways&3] {
			n := &names[f]
			if next = n.After(b, i); next >= 0 {
				return int(f), next
			}
			if n.long != "" {
				if next = n.stretched(b, i, ','); next >= 0 {
					return int(f), next
				}
			}
		}
	}
	next, more := Next(b, i, '{')
	if !more {
		return Closed, next
	}
	return find(b, next, names)
}

// find reads any name, however it is spaced.
func find(b []byte, i int, names NameList) (field, next int) {
	key, next := Key(b, i)
	if next < 0 {
		return -1, next
	}
	w := first8(b, i+1, len(key))
	for k := range names {
		n := &names[k]
		if n.first == w && len(n.text) == len(key) && (len(key) <= 8 || n.text == string(key)) {
			return k, next
		}
	}
	return -1, next
}

// first8 is the first eight bytes of the n that stand at i, with zeros behind a
// shorter text. No text of a frame's string has a zero byte.
func first8(b []byte, i, n int) (w uint64) {
	if n == 0 {
		return 0
	}
	if len(b)-i >= 8 {
		return binary.LittleEndian.Uint64(b[i:]) & (^uint64(0) >> (64 - 8*uint(min(n, 8))))
	}
	for k := range min(n, 8) {
		w |= uint64(b[i+k]) << (8 * k)
	}
	return w
}
