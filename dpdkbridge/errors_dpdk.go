//go:build dpdk

package dpdkbridge

import (
	"os"
	"syscall"
)

// The errors of connections are those of sockets, so that callers tell them
// apart in one way for all transports.
var (
	errRefused     = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	errReset       = os.NewSyscallError("read", syscall.ECONNRESET)
	errTimeout     = os.NewSyscallError("read", syscall.ETIMEDOUT)
	errUnreachable = os.NewSyscallError("connect", syscall.ENETUNREACH)
	errAborted     = os.NewSyscallError("read", syscall.ECONNABORTED)
	errInUse       = os.NewSyscallError("bind", syscall.EADDRINUSE)
)
