//go:build dpdk

package dpdkbridge

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { roles["syns"], roles["flooded"] = synsRole, floodedRole }

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

// floodedRole listens, and says so when it begins to drop what is half open.
func floodedRole([]byte) (any, error) {
	b, err := Open(Config{Device: "af_packet:vfx", Addresses: here("10.4.0.3/24"), TrustChecksums: true})
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
	for until := time.Now().Add(60 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if counter(b, "stack_dropped_syns") > 0 {
			return counter(b, "stack_rx_frames"), nil
		}
	}
	return nil, fmt.Errorf("%d frames came, and none was dropped", counter(b, "stack_rx_frames"))
}

// TestHalfOpenConnectionsAreBounded floods a listener with SYNs.
func TestHalfOpenConnectionsAreBounded(t *testing.T) {
	needRoot(t)
	a, b := namespace(t, "y"), namespace(t, "z")
	cable(t, a, "ve", "10.4.0.1/24", b, "vfx", "")
	server := role(t, b, "flooded", nil)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	server.Stdout = w
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	flood := role(t, a, "syns", nil)
	if err := flood.Start(); err != nil {
		t.Fatal(err)
	}
	err = server.Wait()
	_ = flood.Process.Kill()
	_ = flood.Wait()
	var frames int
	if _, scanErr := fmt.Fscan(r, &frames); err != nil || scanErr != nil || frames < 4096 {
		t.Errorf("after %d frames: %v, %v", frames, err, scanErr)
	}
}
