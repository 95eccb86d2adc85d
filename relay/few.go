package relay

import "iter"

// few is a map that is small for few entries: nearly every connection holds a handful
// of topics and patterns, and there are tens of thousands of connections. A Go map of one
// entry takes 200 to 800 bytes, this one 32 and the entry. The zero value is empty.
type few[K comparable, V any] struct {
	list []entry[K, V]
	many map[K]V // nil until list is full, then instead of it
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// fewMost is how many entries are searched one by one.
const fewMost = 8

// get returns the value of k, the zero value if there is none.
func (f *few[K, V]) get(k K) (v V) {
	if f.many != nil {
		return f.many[k]
	}
	for i := range f.list {
		if f.list[i].key == k {
			return f.list[i].value
		}
	}
	return v
}

func (f *few[K, V]) set(k K, v V) {
	if f.many != nil {
		f.many[k] = v
		return
	}
	for i := range f.list {
		if f.list[i].key == k {
			f.list[i].value = v
			return
		}
	}
	if len(f.list) < fewMost {
		f.list = append(f.list, entry[K, V]{k, v})
		return
	}
	f.many = make(map[K]V, 2*fewMost)
	for _, e := range f.list {
		f.many[e.key] = e.value
	}
	f.list = nil
	f.many[k] = v
}

func (f *few[K, V]) delete(k K) {
	delete(f.many, k)
	for i := range f.list {
		if f.list[i].key == k {
			last := len(f.list) - 1
			f.list[i] = f.list[last]
			f.list[last] = entry[K, V]{}
			f.list = f.list[:last]
			return
		}
	}
}

func (f *few[K, V]) len() int { return len(f.list) + len(f.many) }

// all goes over the entries, in no order. The body may delete the entry that it is at,
// and set none.
func (f *few[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, v := range f.many {
			if !yield(k, v) {
				return
			}
		}
		for i := len(f.list) - 1; i >= 0; i-- {
			if !yield(f.list[i].key, f.list[i].value) {
				return
			}
		}
	}
}
