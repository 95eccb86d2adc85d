package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// levelObjects reads one side of a book, an array of objects whose price, size
// and, where there is a third name, number of orders are called as in names.
// Other members are stepped over.
func (d *Decoded) levelObjects(b []byte, i int, side uint8, names jsonscan.NameList) int {
	i, more := jsonscan.Open(b, i, '[')
	for more {
		r := d.slot(md.KindBook)
		r.Side = side
		if n := usualLevelObject(b, i, names, r); n >= 0 {
			i = n
		} else {
			*r = md.Record{Kind: md.KindBook, Side: side}
			if i = levelObject(b, i, names, r); i < 0 {
				return i
			}
		}
		if r.Size < 0 {
			return jsonscan.Bad
		}
		if uint(i)+1 < uint(len(b)) && b[i] == ',' && b[i+1] == '{' {
			i++
			continue
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

// usualLevelObject reads a level whose members come in the order of names and
// are all it has; a negative index says that it is otherwise.
func usualLevelObject(b []byte, i int, names jsonscan.NameList, r *md.Record) int {
	r.Price, r.PriceExp, i = jsonscan.Number(b, names[0].Opens(b, i))
	r.Size, r.SizeExp, i = jsonscan.Number(b, names[1].After(b, i))
	if len(names) > 3 {
		var count uint64
		count, i = jsonscan.Uint(b, names[2].After(b, i))
		if count > 1<<32-1 {
			return jsonscan.Bad
		}
		r.Count = uint32(count)
	}
	if uint(i) < uint(len(b)) && b[i] == '}' {
		return i + 1
	}
	return jsonscan.Bad
}

// levelObject reads a level in any order.
func levelObject(b []byte, i int, names jsonscan.NameList, r *md.Record) int {
	var got uint
	k, at := jsonscan.First(b, i, names)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 1:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 2:
			var count uint64
			if count, i = jsonscan.Uint(b, at); count > 1<<32-1 {
				return jsonscan.Bad
			}
			r.Count = uint32(count)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, names, k)
	}
	if at < 0 || got&3 != 3 {
		return jsonscan.Bad
	}
	return at
}

// quote sets a side of a bbo pair; price and size of 0 are how some venues write
// an empty side.
func quote(r *md.Record, price, size int64, pe, se int8) {
	r.Price, r.Size, r.PriceExp, r.SizeExp = price, size, pe, se
	if size == 0 {
		r.Price, r.PriceExp, r.SizeExp = md.Absent, 0, 0
	}
}
