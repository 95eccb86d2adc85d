package soak

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process holds at one time.
type Usage struct {
	Anon       int64 `json:"anon"`   // bytes of its own memory that are resident (RssAnon, proc_pid_status(5))
	Shared     int64 `json:"shared"` // bytes of rings and files (RssShmem + RssFile)
	FDs        int   `json:"fds"`
	Threads    int   `json:"threads"`
	Goroutines int   `json:"goroutines"` // 0: not known
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
	return u, err == nil && u.Anon > 0
}

// goroutines asks a page of metrics; 0 if it does not answer.
func goroutines(addr string) int {
	c := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	s := bufio.NewScanner(io.LimitReader(resp.Body, 64<<20))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if v, ok := strings.CutPrefix(s.Text(), "go_goroutines "); ok {
			n, _ := strconv.ParseFloat(v, 64)
			return int(n)
		}
	}
	return 0
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
