package ring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerGroups asks for the supplementary groups of a connected Unix socket's
// peer (SO_PEERGROUPS, Linux 4.13); none if the kernel does not tell.
func peerGroups(fd int) []uint32 {
	groups := make([]uint32, 64)
	for range 3 {
		size := uint32(len(groups) * 4)
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch e {
		case 0:
			return groups[:size/4]
		case unix.ERANGE: // size says how much it wants
			groups = make([]uint32, size/4+1)
		default:
			return nil
		}
	}
	return nil
}
