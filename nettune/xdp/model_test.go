package xdp

import (
	"encoding/binary"
	"net/netip"
)

// model is the filter written once more in plain Go, after docs/xdp.md, to hold
// the program against. Its clock stands still, so budgets are plain counts.
type model struct {
	port        uint16
	allow, deny map[netip.Prefix]bool // value: cut
	connections map[[2]netip.AddrPort]bool
	syn, packet map[netip.Prefix]int // spent, by source
	burst       int
}

// reader takes big-endian fields off a frame; short is set once it ran out.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }

// segment is what the model knows of a TCP packet.
type segment struct {
	src, dst netip.AddrPort
	syn      bool
}

func (m *model) judge(frame []byte) Reason {
	r := &reader{b: frame}
	r.take(12)
	kind := r.u16()
	for range 2 {
		if kind == 0x8100 || kind == 0x88a8 {
			r.take(2)
			kind = r.u16()
		}
	}
	if r.short {
		return PassMalformed
	}
	switch kind {
	case 0x0800:
		return m.v4(r)
	case 0x86dd:
		return m.v6(r)
	}
	return PassOther
}

func (m *model) v4(r *reader) Reason {
	h := r.take(20)
	if r.short || h[0]>>4 != 4 || h[0]&15 < 5 {
		return PassMalformed
	}
	if h[9] != 6 {
		return PassOther
	}
	frag := binary.BigEndian.Uint16(h[6:])
	if frag&0x1fff != 0 {
		return PassFragment
	}
	size := int(h[0]&15) * 4
	r.take(size - 20)
	src, _ := netip.AddrFromSlice(h[12:16])
	dst, _ := netip.AddrFromSlice(h[16:20])
	tiny := frag&0x2000 != 0 && int(binary.BigEndian.Uint16(h[2:])) < size+20
	if tiny {
		r.u16()
		port := r.u16()
		switch {
		case r.short:
			return PassMalformed
		case port == m.port:
			return DropTinyFragment
		}
		return PassFragment
	}
	return m.tcp(r, src, dst)
}

func (m *model) v6(r *reader) Reason {
	h := r.take(40)
	if r.short || h[0]>>4 != 6 {
		return PassMalformed
	}
	src, _ := netip.AddrFromSlice(h[8:24])
	dst, _ := netip.AddrFromSlice(h[24:40])
	next := h[6]
	for seen := 0; ; seen++ {
		var size int
		switch next {
		case 6:
			return m.tcp(r, src, dst)
		case hopByHop, routing, destOpts, ah, fragment:
		default:
			return PassOther
		}
		// A ninth header is read like the others before the chain is given up.
		head := r.take(2)
		if r.short {
			return PassMalformed
		}
		switch next {
		case ah:
			size = 6 + 4*int(head[1])
		case fragment:
			rest := r.take(6)
			if r.short {
				return PassMalformed
			}
			if binary.BigEndian.Uint16(rest)&0xfff8 != 0 {
				return PassFragment
			}
		default:
			size = 6 + 8*int(head[1])
		}
		next = head[0]
		if seen == 8 {
			return DropHeaderChain
		}
		if size > len(r.b) { // found out by the next look
			r.b = nil
			continue
		}
		r.take(size)
	}
}

func (m *model) tcp(r *reader, src, dst netip.Addr) Reason {
	h := r.take(20)
	if r.short {
		return PassMalformed
	}
	s := segment{
		src: netip.AddrPortFrom(src, binary.BigEndian.Uint16(h)),
		dst: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(h[2:])),
		syn: h[13]&(flagSYN|flagACK) == flagSYN,
	}
	if s.dst.Port() != m.port {
		return PassOther
	}
	return m.policy(s)
}

func (m *model) policy(s segment) Reason {
	if _, ok := longest(m.allow, s.src.Addr()); ok {
		return PassAllowed
	}
	cut, denied := longest(m.deny, s.src.Addr())
	switch {
	case denied && cut:
		return DropDeny
	case !s.syn && m.connections[[2]netip.AddrPort{s.src, s.dst}]:
		return PassConnection
	case denied:
		return DropDeny
	}
	bits := 32
	if s.src.Addr().Is6() {
		bits = 64
	}
	from, _ := s.src.Addr().Prefix(bits)
	if s.syn {
		if m.syn[from]++; m.syn[from] > m.burst {
			return DropSYNBudget
		}
		return PassSYN
	}
	if m.packet[from]++; m.packet[from] > m.burst {
		return DropPacketBudget
	}
	return PassPacket
}

// longest finds the longest prefix that holds a.
func longest(rules map[netip.Prefix]bool, a netip.Addr) (cut, ok bool) {
	best := -1
	for p, c := range rules {
		if p.Contains(a) && p.Bits() > best {
			best, cut, ok = p.Bits(), c, true
		}
	}
	return cut, ok
}
