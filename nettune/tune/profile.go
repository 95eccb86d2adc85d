package tune

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options choose what is looked at.
type Options struct {
	Profile Profile  // zero: conservative
	Ifaces  []string // default: devices with hardware that are up, and that of the default route
	Groups  []Group  // default: all
	PID     int      // the relay's process; 0: the calling one, or /proc/self of a tree

	// RTT and Bandwidth (bit/s) of the path to the exchange make the buffers'
	// sizes; zero: the profile's, then its floors.
	RTT       time.Duration
	Bandwidth int64
}

// Profile is wanted values by knob: a built-in one, or a user's on top of one.
type Profile struct {
	Name      string
	Base      string            // built-in profile underneath; "" conservative, "none" nothing
	Values    map[string]string // by knob; "skip" leaves the knob alone
	RTT       time.Duration
	Bandwidth int64 // bit/s
}

// skip as a profile's value leaves a knob alone.
const skip = "skip"

// ProfileNames lists the built-in profiles.
func ProfileNames() []string { return []string{"conservative", "low-latency", "aws-ena"} }

// BuiltIn finds a built-in profile.
func BuiltIn(name string) (Profile, bool) {
	return Profile{Name: name, Base: name}, slices.Contains(ProfileNames(), name)
}

func (p Profile) want(k *Knob) string {
	if v, ok := p.Values[k.Name]; ok {
		if v == skip {
			return ""
		}
		return v
	}
	switch p.Base {
	case "", "conservative":
		return k.Want.Conservative
	case "low-latency":
		return k.Want.LowLatency
	case "aws-ena":
		return k.Want.AWSENA
	}
	return ""
}

func (p Profile) title() string {
	if p.Name == "" {
		return "conservative"
	}
	return p.Name
}

// setting is one knob at one place with the value wanted there.
type setting struct {
	knob  *Knob
	place string // "eth0", "eth0 rx-0", "cpu 3", "irq 42", or ""
	key   string
	want  string
}

// settings expands the table for this host. Knobs that the profile leaves
// alone make none.
func (s *survey) settings(table []Knob) []setting {
	var out []setting
	for i := range table {
		k := &table[i]
		want := s.o.Profile.want(k)
		if k.Path == "" || want == "" || !k.Writable() || !s.picked(k.Group) {
			continue
		}
		for _, p := range s.places(k.Path) {
			if w, ok := s.expand(want, p); ok {
				out = append(out, setting{k, p.name, p.key, w})
			}
		}
	}
	return out
}

func (s *survey) picked(g Group) bool { return len(s.o.Groups) == 0 || slices.Contains(s.o.Groups, g) }

// place is where a knob's path leads once.
type place struct {
	name, key string
	iface     *iface
	index     int // of the queue or interrupt on its device
	cpu       int
}

func (s *survey) places(path string) []place {
	var out []place
	if strings.Contains(path, "{cpu}") {
		for _, c := range s.cpus {
			n := strconv.Itoa(c)
			out = append(out, place{name: "cpu " + n, key: strings.ReplaceAll(path, "{cpu}", n), cpu: c})
		}
		return out
	}
	if !strings.Contains(path, "{") {
		return []place{{key: path}}
	}
	for i := range s.ifaces {
		f := &s.ifaces[i]
		p := strings.ReplaceAll(path, "{iface}", f.name)
		add := func(word, value, name string, index int) {
			out = append(out, place{name: name, key: strings.ReplaceAll(p, word, value), iface: f, index: index})
		}
		switch {
		case strings.Contains(p, "{rxq}"):
			for n, q := range f.rxq {
				add("{rxq}", q, f.name+" "+q, n)
			}
		case strings.Contains(p, "{txq}"):
			for n, q := range f.txq {
				add("{txq}", q, f.name+" "+q, n)
			}
		case strings.Contains(p, "{irq}"):
			for n, irq := range f.irqs {
				add("{irq}", strconv.Itoa(irq.num), fmt.Sprintf("%s irq %d", f.name, irq.num), n)
			}
		default:
			add("", "", f.name, 0)
		}
	}
	return out
}

// expand fills in the words in braces; false leaves the place alone:
//
//	{bdp:N}   twice the path's bandwidth-delay product as a power of two, at least N
//	{ring:N}  N, or the device's maximum if that is less
//	{cc:NAME} NAME, if the kernel has that congestion control
//	{rps} {rfs} {xps} {irqcpu} {rfsall}   see steering.go
func (s *survey) expand(want string, p place) (string, bool) {
	a := strings.IndexByte(want, '{')
	b := strings.IndexByte(want, '}')
	if a < 0 || b < a {
		return want, true
	}
	name, arg, _ := strings.Cut(want[a+1:b], ":")
	var v string
	ok := true
	switch name {
	case "bdp":
		n, err := strconv.ParseInt(arg, 10, 64)
		v, ok = strconv.FormatInt(max(n, s.window()), 10), err == nil
	case "ring":
		v, ok = s.ringSize(arg, p)
	case "cc":
		v, ok = arg, slices.Contains(strings.Fields(s.h.text(procSys+"net/ipv4/tcp_available_congestion_control")), arg)
	default:
		v, ok = s.steer(name, p)
	}
	return want[:a] + v + want[b+1:], ok
}

// maxWindow is the largest window that TCP's scaling allows (RFC 7323), which
// is also as far as buffers are raised.
const maxWindow = 1 << 30

// window is the buffer that the path needs: twice its bandwidth-delay product,
// because the kernel charges overhead to the same account; 0 if unknown.
func (s *survey) window() int64 {
	rtt, bw := s.o.RTT, s.o.Bandwidth
	if rtt == 0 {
		rtt = s.o.Profile.RTT
	}
	if bw == 0 {
		bw = s.o.Profile.Bandwidth
	}
	if rtt <= 0 || bw <= 0 {
		return 0
	}
	bytes := 2 * rtt.Seconds() * float64(bw) / 8
	if bytes >= maxWindow {
		return maxWindow
	}
	return 1 << bits.Len64(uint64(bytes))
}

func (s *survey) ringSize(arg string, p place) (string, bool) {
	n, err := strconv.Atoi(arg)
	if err != nil || p.iface == nil {
		return "", false
	}
	_, class, dir, ok := splitNIC(p.key)
	if !ok {
		return "", false
	}
	text, err := s.h.nic.Get(p.iface.name, class, dir+"-max")
	if err != nil {
		return arg, true
	}
	top, err := strconv.Atoi(text)
	if err != nil || top == 0 {
		return "", false // the device has no rings
	}
	return strconv.Itoa(min(n, top)), true
}
