//go:build dpdk

package dpdkbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/nettune"
)

// speakRole speaks to whoever connects to port 7000 and does not listen, as a
// feed does, and answers on port 7001 but never begins.
func speakRole([]byte) (any, error) {
	speaking, err := net.Listen("tcp", ":7000")
	if err != nil {
		return nil, err
	}
	answering, err := net.Listen("tcp", ":7001")
	if err != nil {
		return nil, err
	}
	fmt.Println("serving")
	go serveEach(speaking, func(c net.Conn) {
		for {
			if _, err := c.Write([]byte{1}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	serveEach(answering, func(c net.Conn) { _, _ = io.Copy(c, c) })
	return nil, nil
}

func serveEach(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { defer c.Close(); f(c) }()
	}
}

// followRole has four connections on each stack, by both families to both ports
// of speakRole, and says for each stack when something came over all of them.
func followRole(args []byte) (any, error) {
	var c Config
	if err := json.Unmarshal(args, &c); err != nil {
		return nil, err
	}
	b, err := Open(c)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	ended := make(chan error, c.Queues)
	for i := range c.Queues {
		go func() { ended <- follow(b.Transport(i), fmt.Sprint("round of stack ", i)) }()
	}
	return nil, <-ended
}

func follow(tr nettune.Transport, text string) error {
	p, err := tr.NewPoller(nettune.PollerConfig{})
	if err != nil {
		return err
	}
	defer p.Close()
	var all, answering []nettune.Stream
	for _, to := range []string{"10.4.0.1:7000", "10.4.0.1:7001", "[fd00:4::1]:7000", "[fd00:4::1]:7001"} {
		s, err := p.Dial(nettune.DialOptions{Addr: mustAddr(to), Timeout: 30 * time.Second})
		if err != nil {
			return err
		}
		if all = append(all, s); strings.HasSuffix(to, "7001") {
			answering = append(answering, s)
		}
	}
	heard := map[nettune.Stream]bool{}
	buf := make([]byte, 4096)
	var events []nettune.Event
	for {
		if events, err = p.Poll(events[:0], -1); err != nil {
			return err
		}
		for _, ev := range events {
			switch {
			case ev.Flags&nettune.Closed != 0:
				return ev.Err
			case ev.Flags&nettune.Connected != 0:
				_, err = ev.Stream.Write([]byte{1})
			case ev.Flags&nettune.Readable != 0:
				_, _, err = ev.Stream.Read(buf)
				heard[ev.Stream] = true
			}
			if err != nil {
				return err
			}
		}
		if len(heard) < len(all) {
			continue
		}
		fmt.Println(text)
		clear(heard)
		for _, s := range answering {
			if _, err := s.Write([]byte{1}); err != nil {
				return err
			}
		}
	}
}

// TestNeighbourChangesItsAddress: the hardware address of the peer changes while
// connections are open. Each stack, by each family, learns the new one: from the
// peer where that speaks, by asking where it does not.
func TestNeighbourChangesItsAddress(t *testing.T) {
	for driver, queues := range map[string]int{"af_packet": 2, "af_xdp": 1} {
		t.Run(driver, func(t *testing.T) {
			a, b := hosts(t)
			serve(t, a, "speak")
			client := start(t, b, "follow", Config{Device: driver + ":vfx", Queues: queues,
				Addresses: append(here("10.4.0.3/24"), netip.MustParsePrefix("fd00:4::3/64"))})
			for round := range 2 {
				client.drain()
				for i := range queues {
					client.until(fmt.Sprint("round of stack ", i), 3)
				}
				if round == 0 {
					run(t, "ip -n %s link set ve address 02:00:00:00:00:77", a)
				}
			}
			out, err := exec.Command("ip", "-n", b, "maddr", "show", "dev", "vfx").Output()
			if err != nil || !strings.Contains(string(out), "33:33:ff:00:00:03") {
				t.Errorf("multicasts that ask for us are not received: %s %v", out, err)
			}
		})
	}
}

// tooBigRole tells that the path to fd00:4::1 takes next to nothing.
func tooBigRole([]byte) (any, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	there, own := netip.MustParseAddr("fd00:4::3").As16(), netip.MustParseAddr("fd00:4::1").As16()
	p := make([]byte, 48) // the kernel fills in the checksum
	p[0], p[7], p[8], p[14] = 2, 61, 0x60, unix.IPPROTO_TCP
	copy(p[16:], there[:])
	copy(p[32:], own[:])
	return nil, unix.Sendto(fd, p, 0, &unix.SockaddrInet6{Addr: there})
}

// redialRole sends some segments there and back over one connection after the other.
func redialRole([]byte) (any, error) {
	b, err := Open(Config{Device: "af_packet:vfx", Addresses: here("fd00:4::3/64")})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	for buf := make([]byte, 5000); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		c, err := b.DialContext(ctx, "tcp", "[fd00:4::1]:7001")
		cancel()
		if err != nil {
			return nil, err
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write(buf); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return nil, err
		}
		c.Close()
		fmt.Println("echo")
		time.Sleep(10 * time.Millisecond)
	}
}

// TestPathBelowTheLeastMTU: a forged report of a tiny path does no harm.
func TestPathBelowTheLeastMTU(t *testing.T) {
	a, b := hosts(t)
	serve(t, a, "speak")
	client := start(t, b, "redial", nil)
	client.until("echo", 2)
	if err := role(t, a, "too big", nil).Run(); err != nil {
		t.Fatal(err)
	}
	client.drain()
	client.until("echo", 5)
}
