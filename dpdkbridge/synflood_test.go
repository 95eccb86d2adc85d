//go:build dpdk

package dpdkbridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// synsRole sends SYNs of connections that will never be, from an address that
// nobody has, until it is killed.
func synsRole([]byte) (any, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return nil, err
	}
	to := &unix.SockaddrInet4{Addr: [4]byte{10, 4, 0, 3}}
	p := make([]byte, 40) // the kernel fills in length and checksum of IP
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_TCP
	copy(p[12:], []byte{10, 4, 0, 200, 10, 4, 0, 3})
	binary.BigEndian.PutUint16(p[22:], 7000)
	p[32], p[33], p[34] = 5<<4, 2, 255 // SYN, a window
	for n := 0; ; n++ {
		binary.BigEndian.PutUint16(p[20:], uint16(1024+n%60000))
		if err := unix.Sendto(fd, p, 0, to); err != nil {
			return nil, err
		}
		if n%100 == 99 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// floodedRole answers one who gets through, and says so when it begins to drop
// what is half open.
func floodedRole([]byte) (any, error) {
	b, err := Open(Config{Device: "af_packet:vfx", Addresses: here("10.4.0.3/24"), TrustChecksums: true}) // the flood has none
	if err != nil {
		return nil, err
	}
	defer b.Close()
	l, err := b.Listen("tcp", "10.4.0.3:7000")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	fmt.Println("serving")
	for counter(b, "stack_dropped_syns") == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("full")
	c, err := l.Accept()
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(c, c)
	return nil, errors.Join(err, c.Close())
}

// greetRole wants an answer.
func greetRole([]byte) (any, error) {
	c, err := net.DialTimeout("tcp", "10.4.0.3:7000", 20*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte("hello")); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(c, make([]byte, 5))
	return nil, err
}

// TestFloodOfSYNs: what is half open is bounded, and whoever answers gets in
// while the flood goes on.
func TestFloodOfSYNs(t *testing.T) {
	a, b := hosts(t)
	server := serve(t, b, "flooded")
	flood := start(t, a, "syns", nil)
	server.until("full", 1)
	if err := role(t, a, "greet", nil).Run(); err != nil {
		t.Errorf("a client in the flood: %v", err)
	}
	flood.kill()
}
