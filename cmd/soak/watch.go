package soak

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tickrelay/ring/ringbench"
)

// Usage is what a process holds at one time.
type Usage struct {
	Anon       int64 `json:"anon"`   // bytes of its own memory that are resident (RssAnon, proc_pid_status(5))
	Shared     int64 `json:"shared"` // bytes of rings and files (RssShmem + RssFile)
	FDs        int   `json:"fds"`
	Files      int   `json:"files"` // those of them that are no socket: rings, pipes, event queues
	Threads    int   `json:"threads"`
	Goroutines int   `json:"goroutines"`     // 0: not known
	Heap       int64 `json:"heap,omitempty"` // bytes that the last collection left alive; 0: not known
}

// usage reads /proc; false if the process is gone.
func usage(pid int) (Usage, bool) {
	var u Usage
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, false
	}
	for line := range bytes.Lines(data) {
		f := strings.Fields(string(line))
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "RssAnon:":
			u.Anon = n << 10
		case "RssShmem:", "RssFile:":
			u.Shared += n << 10
		case "Threads:":
			u.Threads = int(n)
		}
	}
	d, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, false
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	u.FDs = len(names)
	for _, n := range names {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, n)); err == nil && !strings.HasPrefix(to, "socket:") {
			u.Files++
		}
	}
	return u, err == nil && u.Anon > 0
}

// hardware is that of the host, with its memory.
func hardware() map[string]string {
	h := ringbench.Hardware()
	h["memory"] = "unknown size"
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(data)); len(f) > 1 && f[0] == "MemTotal:" {
			n, _ := strconv.ParseFloat(f[1], 64)
			h["memory"] = fmt.Sprintf("%.0f GiB", n/(1<<20))
		}
	}
	return h
}

// shmUsed are the bytes taken of the file system of /dev/shm.
func shmUsed() int64 {
	var st unix.Statfs_t
	if unix.Statfs("/dev/shm", &st) != nil {
		return 0
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize
}

// idle is a reading of how long the processors had nothing to do.
type idle struct{ idle, all float64 }

func readIdle() idle {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return idle{}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var i idle
	for k, f := range strings.Fields(line)[1:] {
		n, _ := strconv.ParseFloat(f, 64)
		if i.all += n; k == 3 || k == 4 { // idle, iowait
			i.idle += n
		}
	}
	return i
}

// since is the share of idle time from another reading to this one.
func (i idle) since(o idle) float64 {
	if i.all <= o.all {
		return 1
	}
	return (i.idle - o.idle) / (i.all - o.all)
}
