package nettune

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Bits of the sysctl net.ipv4.tcp_fastopen (ip-sysctl).
const (
	fastOpenClientBit = 1
	fastOpenServerBit = 2
)

// fastOpenSysctl reads the sysctl as the calling thread's network namespace has
// it; 0 if it cannot be read.
func fastOpenSysctl() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_fastopen")
	if err != nil {
		return 0
	}
	v, _ := strconv.Atoi(string(bytes.TrimSpace(b)))
	return v
}

// FastOpenCounters are the kernel's own totals of TCP Fast Open, of the whole
// network namespace (TcpExt in /proc/net/netstat).
type FastOpenCounters struct {
	Active          uint64 // our SYN carried data and it was acknowledged
	ActiveFail      uint64 // our SYN's data was not acknowledged
	Passive         uint64 // we accepted data in a SYN
	PassiveFail     uint64 // a SYN's data or cookie was refused
	ListenOverflow  uint64 // the Fast Open queue was full
	CookieRequested uint64 // a peer asked for a cookie
	Blackhole       uint64 // a path that eats such SYNs was noticed
}

// GlobalSnapshot reads the counters in the network namespace of the calling
// thread.
func GlobalSnapshot() (FastOpenCounters, error) {
	b, err := os.ReadFile("/proc/thread-self/net/netstat")
	if err != nil {
		return FastOpenCounters{}, fmt.Errorf("nettune: tcp counters: %w", err)
	}
	return parseNetstat(b)
}

// parseNetstat reads pairs of lines: names, then values, with the same prefix.
func parseNetstat(b []byte) (FastOpenCounters, error) {
	var c FastOpenCounters
	fields := map[string]*uint64{
		"TCPFastOpenActive": &c.Active, "TCPFastOpenActiveFail": &c.ActiveFail,
		"TCPFastOpenPassive": &c.Passive, "TCPFastOpenPassiveFail": &c.PassiveFail,
		"TCPFastOpenListenOverflow": &c.ListenOverflow, "TCPFastOpenCookieReqd": &c.CookieRequested,
		"TCPFastOpenBlackhole": &c.Blackhole,
	}
	lines := bytes.Split(b, []byte("\n"))
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := bytes.Fields(lines[i]), bytes.Fields(lines[i+1])
		if len(names) == 0 || string(names[0]) != "TcpExt:" {
			continue
		}
		if len(values) != len(names) {
			return c, fmt.Errorf("nettune: tcp counters: %d names, %d values", len(names), len(values))
		}
		for j, name := range names {
			if dst := fields[string(name)]; dst != nil {
				v, err := strconv.ParseUint(string(values[j]), 10, 64)
				if err != nil {
					return c, fmt.Errorf("nettune: tcp counter %s: %w", name, err)
				}
				*dst = v
			}
		}
		return c, nil
	}
	return c, fmt.Errorf("nettune: tcp counters: no TcpExt line")
}
