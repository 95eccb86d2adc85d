package ring

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// TestMemory asks for every kind of memory. A machine may have none of it: then
// the ring works all the same, and the report says what is missing.
func TestMemory(t *testing.T) {
	for _, want := range []Memory{
		{}, {Touch: true}, {Lock: true, Touch: true}, {Huge: true}, {Huge: true, Touch: true},
		{Bind: true, Node: -1}, {Bind: true, Node: 0, Huge: true, Lock: true}, {Bind: true, Node: 900},
	} {
		dir := shmDir(t)
		s, err := CreateShm(dir, "m", 1<<16, Meta{Memory: want}, Perm{})
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		r := s.Memory()
		t.Logf("%+v: %+v", want, r)
		missing := func(what string) bool {
			for _, d := range r.Degraded {
				if strings.Contains(d, what) {
					return true
				}
			}
			return false
		}
		if want.Huge && !r.Huge && !missing("huge pages") ||
			want.Bind && (r.Node < 0 || want.Node >= 0 && r.Node != want.Node) && !missing("NUMA") ||
			want.Lock && !r.Locked && !missing("mlock") || want.Touch && !r.Touched ||
			want == (Memory{}) && len(r.Degraded) > 0 {
			t.Errorf("%+v: %+v says nothing of what is missing", want, r)
		}
		p, err := NewProducer(s)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(dir, "m")
		if err != nil {
			t.Fatal(err)
		}
		p.Publish(nil) // starts the session
		rec, buf := []md.Record{signed(5)}, make([]md.Record, 4)
		if n, err := c.Poll(buf); !p.Publish(rec) || n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := c.Poll(buf); n != 1 || err != nil || buf[0] != rec[0] {
			t.Fatal(n, err, buf[0])
		}
		if in, err := Stat(dir, "m"); err != nil || int(in.Node) != r.Node || in.Depth != 0 {
			t.Fatalf("%+v, %v", in, err)
		}
		c.Close()
		p.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Fatal(left)
		}
	}
}

// TestReservedHugePages needs some: sysctl vm.nr_hugepages=8.
func TestReservedHugePages(t *testing.T) {
	fd, err := unix.MemfdCreate("probe", unix.MFD_HUGETLB)
	if err == nil {
		defer unix.Close(fd)
		err = fallocate(fd, 4*hugePage)
	}
	if err != nil {
		t.Skipf("no reserved huge pages here: %v", err)
	}
	unix.Ftruncate(fd, 0)
	dir := shmDir(t)
	s, err := CreateShm(dir, "m", 1<<15, Meta{Memory: Memory{Huge: true}}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r := s.Memory(); !r.Huge || len(r.Degraded) != 0 {
		t.Fatalf("%+v", r)
	}
	if infos, err := List(dir); err != nil || len(infos) != 1 || infos[0].State != "open" {
		t.Fatalf("%+v, %v", infos, err)
	}
	readOnlyFor(t, s.shm.dataFD.fd, len(s.shm.data))
}

// readOnlyFor wants that whoever is handed a memfd can read it and no more, though
// the descriptor leads to a new one for writing.
func readOnlyFor(t *testing.T, fd, size int) {
	t.Helper()
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode(), err)
	}
	for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR} {
		again, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(again)
		mem, err := unix.Mmap(again, 0, size, unix.PROT_READ, unix.MAP_SHARED)
		must(t, err)
		must(t, unix.Munmap(mem))
		if _, err := unix.Mmap(again, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			t.Fatal("others can write to it")
		}
		if err := unix.Ftruncate(again, 0); err == nil {
			t.Fatal("others can cut it short")
		}
	}
}

// TestProtectMemfd needs no reserved pages: the seals are the same.
func TestProtectMemfd(t *testing.T) {
	fd, err := unix.MemfdCreate("probe", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	must(t, err)
	defer unix.Close(fd)
	mem, err := mapPlaced(fd, hugePage, func([]byte) {})
	must(t, err)
	defer unix.Munmap(mem)
	must(t, protectMemfd(fd, 0o600, Perm{}))
	readOnlyFor(t, fd, hugePage)
	mem[0] = 1 // we can
}
