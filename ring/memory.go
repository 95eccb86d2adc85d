package ring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory says what memory a shared ring wants. The zero value: whatever comes.
type Memory struct {
	// Huge takes huge pages that the administrator reserved (vm.nr_hugepages), by
	// memfd_create(2): fewer TLB misses, and nothing can take them away. Such a
	// ring has no file in the directory, only a link for those who look, so it is
	// for handing out over the control socket. Without enough of them the ring
	// lies in ordinary pages, and Segment.Memory says why.
	Huge bool
	// Touch writes to every page at creation, so that the first round does not
	// pay for page faults; every consumer's map is its own business.
	Touch bool
	// Lock keeps the ring from being swapped out (mlock(2), RLIMIT_MEMLOCK).
	Lock bool
	// Bind puts the ring on one NUMA node: Node, or that of the processor which
	// creates the ring if Node is negative.
	Bind bool
	Node int
}

// MemoryReport is what a ring got of the Memory that it asked for.
type MemoryReport struct {
	Huge     bool // in reserved huge pages
	Touched  bool
	Locked   bool
	Node     int      // verified by asking the kernel where pages lie; -1 unknown
	Degraded []string // what was asked for and not had, and why
}

// Memory tells what memory the ring got when this process created it.
func (s *Segment) Memory() MemoryReport {
	if s.shm == nil || s.shm.memory == nil {
		return MemoryReport{Node: numaUnknown}
	}
	return *s.shm.memory
}

const hugePage = 2 << 20

func (r *MemoryReport) degrade(what string, err error) {
	r.Degraded = append(r.Degraded, fmt.Sprintf("%s: %v", what, err))
}

// createData makes the .data part in the memory asked for.
func (f *shmFiles) createData(size int, mode os.FileMode, perm Perm, want Memory) error {
	f.memory = &MemoryReport{Node: numaUnknown}
	if want == (Memory{}) {
		var err error
		f.dataFD, f.data, err = f.createFile(dataSuffix, size, mode, perm, nil)
		return err
	}
	place := func(mem []byte) { f.memory.place(mem, want) }
	err := errors.ErrUnsupported
	if want.Huge {
		if err = f.createMemfd(size, mode, perm, place); err != nil {
			f.memory.degrade("reserved huge pages", err)
		}
	}
	if err != nil {
		if f.dataFD, f.data, err = f.createFile(dataSuffix, size, mode, perm, place); err != nil {
			return err
		}
	}
	f.memory.settle(f.data, want)
	return nil
}

// createMemfd takes reserved huge pages and leaves a link where the file would
// be, under the file's temporary name until the ring is complete.
func (f *shmFiles) createMemfd(size int, mode os.FileMode, perm Perm, place func([]byte)) error {
	fd, err := unix.MemfdCreate("tickrelay-"+f.name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_HUGETLB|unix.MFD_HUGE_2MB)
	if err != nil {
		return fmt.Errorf("memfd_create: %w", err)
	}
	d := &descriptor{fd}
	size = (size + hugePage - 1) &^ (hugePage - 1)
	mem, err := mapPlaced(fd, size, place)
	if err == nil {
		if err = protectMemfd(fd, mode, perm); err != nil {
			unix.Munmap(mem)
		}
	}
	if err == nil {
		link := f.temp(dataSuffix)
		os.Remove(link)
		err = os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), link)
	}
	if err != nil {
		d.close()
		if errors.Is(err, unix.ENOMEM) || errors.Is(err, ErrNoSpace) {
			err = fmt.Errorf("%w; reserve %d more with vm.nr_hugepages", err, size/hugePage)
		}
		return err
	}
	f.dataFD, f.data, f.memory.Huge = d, mem, true
	return nil
}

// protectMemfd keeps a mapped memfd from those to whom it is handed: whoever has
// a descriptor can open /proc/self/fd/N anew for writing, and a memfd is made
// with mode 0777. It gets the mode of a ring's file, and seals (fcntl(2)) beside:
// its size stays, and on Linux 5.1 and later no mapping but ours can write.
func protectMemfd(fd int, mode os.FileMode, perm Perm) error {
	if perm.Group != 0 {
		if err := unix.Fchown(fd, -1, perm.Group); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, uint32(mode)); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals|unix.F_SEAL_FUTURE_WRITE)
	if errors.Is(err, unix.EINVAL) {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// mapPlaced maps an empty file, says where its pages shall lie, and claims them.
func mapPlaced(fd, size int, place func([]byte)) ([]byte, error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	place(mem)
	if err := fallocate(fd, size); err != nil {
		return nil, errors.Join(err, unix.Munmap(mem))
	}
	return mem, nil
}

// place says what pages are wanted, before there are any.
func (r *MemoryReport) place(mem []byte, want Memory) {
	if want.Bind {
		node := want.Node
		if node < 0 {
			var cpu, here uint32
			unix.Syscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), uintptr(unsafe.Pointer(&here)), 0)
			node = int(here)
		}
		if err := bind(mem, node); err != nil {
			r.degrade(fmt.Sprintf("NUMA node %d", node), err)
		}
	}
}

// bind asks for a mapping's pages on one node; see mbind(2).
func bind(mem []byte, node int) error {
	if node >= 1024 {
		return fmt.Errorf("want a node below 1024: %w", unix.EINVAL)
	}
	var mask [1024 / 64]uint64
	mask[node/64] = 1 << (node % 64)
	_, _, e := unix.Syscall6(unix.SYS_MBIND, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), unix.MPOL_BIND,
		uintptr(unsafe.Pointer(&mask)), 1024+1, 0)
	if e != 0 {
		return fmt.Errorf("mbind: %w", e)
	}
	return nil
}

// settle touches and locks the pages that are there now, and looks what they are.
func (r *MemoryReport) settle(mem []byte, want Memory) {
	if want.Touch || want.Bind {
		err := unix.Madvise(mem, unix.MADV_POPULATE_WRITE)
		if err != nil { // Linux 5.14
			for i := 0; i < len(mem); i += pageSize {
				mem[i] = 0 // still new: all zero
			}
		}
		r.Touched = true
	}
	if want.Lock {
		if err := unix.Mlock(mem); err != nil {
			r.degrade("mlock", err)
		} else {
			r.Locked = true
		}
	}
	if want.Bind {
		r.verifyNode(mem, want)
	}
}

// verifyNode asks the kernel where some of the pages lie; see move_pages(2).
func (r *MemoryReport) verifyNode(mem []byte, want Memory) {
	const samples = 64
	var pages [samples]uintptr
	var status [samples]int32
	step := max(len(mem)/samples/pageSize, 1) * pageSize
	n := min(samples, len(mem)/step)
	for i := range n {
		pages[i] = uintptr(unsafe.Pointer(&mem[i*step]))
	}
	_, _, e := unix.Syscall6(unix.SYS_MOVE_PAGES, 0, uintptr(n), uintptr(unsafe.Pointer(&pages)), 0, uintptr(unsafe.Pointer(&status)), 0)
	if e != 0 {
		r.degrade("NUMA node", fmt.Errorf("cannot be verified: move_pages: %w", e))
		return
	}
	for _, s := range status[:n] {
		if s < 0 || s != status[0] {
			r.degrade("NUMA node", fmt.Errorf("pages lie on several nodes, or nowhere: %v", status[:n]))
			return
		}
	}
	r.Node = int(status[0])
	if want.Node >= 0 && r.Node != want.Node {
		r.degrade(fmt.Sprintf("NUMA node %d", want.Node), fmt.Errorf("pages lie on node %d", r.Node))
	}
}

// linkTarget reports whether a .data path is the link that createMemfd leaves.
func linkTarget(path string) bool {
	target, err := os.Readlink(path)
	ok, _ := filepath.Match("/proc/*/fd/*", target)
	return err == nil && ok
}
