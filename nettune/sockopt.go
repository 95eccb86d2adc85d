package nettune

import (
	"time"

	"golang.org/x/sys/unix"
)

// tcpiOptSynData is the bit of tcp_info.tcpi_options that says that data in the
// SYN was accepted (linux/tcp.h).
const tcpiOptSynData = 32

func getInt(fd, level, opt int) int {
	v, err := unix.GetsockoptInt(fd, level, opt)
	if err != nil {
		return 0
	}
	return v
}

// applyOptions sets what o asks for, except Fast Open, which differs between
// dialling and listening. Refusals are not errors: Granted tells.
func applyOptions(fd int, o Options) {
	set := func(level, opt, v int) { _ = unix.SetsockoptInt(fd, level, opt, v) }
	if o.NoDelay {
		set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if o.QuickAck {
		set(unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}
	if o.Timestamps {
		set(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if o.BusyPoll > 0 {
		set(unix.SOL_SOCKET, unix.SO_BUSY_POLL, int(o.BusyPoll/time.Microsecond))
	}
	if o.RcvBuf > 0 {
		set(unix.SOL_SOCKET, unix.SO_RCVBUF, o.RcvBuf)
	}
	if o.SndBuf > 0 {
		set(unix.SOL_SOCKET, unix.SO_SNDBUF, o.SndBuf)
	}
	if o.Unsent > 0 {
		set(unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, o.Unsent)
	}
	if o.UserTimeout > 0 {
		set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.UserTimeout/time.Millisecond))
	}
	if o.KeepAlive > 0 {
		interval := o.KeepAliveInterval
		if interval <= 0 {
			interval = o.KeepAlive
		}
		set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(o.KeepAlive))
		set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(interval))
		if o.KeepAliveCount > 0 {
			set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, o.KeepAliveCount)
		}
	}
}

// seconds rounds up: the kernel knows no shorter unit and refuses 0.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// applyFastOpenDial asks that connect waits for the first write and sends it
// with the SYN. Refused when the sysctl forbids it or the kernel is older than
// 4.11: connect is then an ordinary one.
func applyFastOpenDial(fd int) bool {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1) == nil
}

// readOptions reads everything back.
func readOptions(fd int, dialled bool) Options {
	tcp := func(opt int) int { return getInt(fd, unix.IPPROTO_TCP, opt) }
	sock := func(opt int) int { return getInt(fd, unix.SOL_SOCKET, opt) }
	o := Options{
		NoDelay:     tcp(unix.TCP_NODELAY) != 0,
		QuickAck:    tcp(unix.TCP_QUICKACK) != 0,
		Timestamps:  sock(unix.SO_TIMESTAMPNS) != 0,
		BusyPoll:    time.Duration(sock(unix.SO_BUSY_POLL)) * time.Microsecond,
		RcvBuf:      sock(unix.SO_RCVBUF),
		SndBuf:      sock(unix.SO_SNDBUF),
		Unsent:      tcp(unix.TCP_NOTSENT_LOWAT),
		UserTimeout: time.Duration(tcp(unix.TCP_USER_TIMEOUT)) * time.Millisecond,
	}
	if dialled {
		o.FastOpen = tcp(unix.TCP_FASTOPEN_CONNECT) != 0
	} else if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		o.FastOpen = info.Options&tcpiOptSynData != 0
	}
	if sock(unix.SO_KEEPALIVE) != 0 {
		o.KeepAlive = time.Duration(tcp(unix.TCP_KEEPIDLE)) * time.Second
		o.KeepAliveInterval = time.Duration(tcp(unix.TCP_KEEPINTVL)) * time.Second
		o.KeepAliveCount = tcp(unix.TCP_KEEPCNT)
	}
	return o
}
