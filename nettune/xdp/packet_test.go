package xdp

import (
	"encoding/binary"
	"net/netip"
)

// TCP flags.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagPSH = 0x08
	flagACK = 0x10
	flagURG = 0x20
)

// frameSpec describes a frame to build; src is always given.
type frameSpec struct {
	vlans        []uint16 // ethertypes of tags, outermost first
	src, dst     string
	sport, dport uint16
	flags        byte
	proto        byte   // default TCP
	options      int    // words of IPv4 options
	frag         uint16 // IPv4: flags and offset as in the header; IPv6: offset and M in a fragment header
	chain        []byte // IPv6 extension headers, by number
	extLen       byte   // length octet of each extension header
	total        int    // IPv4 total length to claim; default the real one
	payload      int    // bytes after the TCP header
	keep         int    // cut the frame to that many bytes
}

// IPv6 header numbers.
const (
	hopByHop, routing, fragment, ah, noNext, destOpts = 0, 43, 44, 51, 59, 60
)

func (s frameSpec) frame() []byte {
	src := netip.MustParseAddr(s.src)
	dst := s.dst
	if dst == "" && src.Is4() {
		dst = "10.77.0.1"
	} else if dst == "" {
		dst = "fd77::1"
	}
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for i, v := range s.vlans {
		b = binary.BigEndian.AppendUint16(b, v)
		b = binary.BigEndian.AppendUint16(b, uint16(100+i))
	}
	l4 := s.tcp()
	if src.Is4() {
		b = binary.BigEndian.AppendUint16(b, 0x0800)
		b = s.v4(b, src, netip.MustParseAddr(dst), l4)
	} else {
		b = binary.BigEndian.AppendUint16(b, 0x86dd)
		b = s.v6(b, src, netip.MustParseAddr(dst), l4)
	}
	if s.keep > 0 {
		b = b[:s.keep]
	}
	return b
}

func (s frameSpec) tcp() []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, s.sport)
	b = binary.BigEndian.AppendUint16(b, s.dport)
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 2, 5<<4, s.flags, 0xff, 0xff, 0, 0, 0, 0)
	return append(b, make([]byte, s.payload)...)
}

func (s frameSpec) protocol() byte {
	if s.proto == 0 {
		return 6
	}
	return s.proto
}

func (s frameSpec) v4(b []byte, src, dst netip.Addr, l4 []byte) []byte {
	header := 20 + 4*s.options
	total := s.total
	if total == 0 {
		total = header + len(l4)
	}
	b = append(b, byte(4<<4|header/4), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(total))
	b = append(b, 0, 1)
	b = binary.BigEndian.AppendUint16(b, s.frag)
	b = append(b, 64, s.protocol(), 0, 0)
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	b = append(b, make([]byte, 4*s.options)...)
	ip := b[len(b)-header:]
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(b, l4...)
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(p []byte) uint16 {
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func (s frameSpec) v6(b []byte, src, dst netip.Addr, l4 []byte) []byte {
	chain := append(append([]byte{}, s.chain...), s.protocol())
	var ext []byte
	for i, h := range chain[:len(chain)-1] {
		switch h {
		case fragment:
			ext = append(ext, chain[i+1], 0)
			ext = binary.BigEndian.AppendUint16(ext, s.frag)
			ext = append(ext, 0, 0, 0, 7)
		case ah:
			ext = append(ext, chain[i+1], s.extLen)
			ext = append(ext, make([]byte, 6+4*int(s.extLen))...)
		default:
			ext = append(ext, chain[i+1], s.extLen)
			ext = append(ext, make([]byte, 6+8*int(s.extLen))...)
		}
	}
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ext)+len(l4)))
	b = append(b, chain[0], 64)
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	b = append(b, ext...)
	return append(b, l4...)
}
