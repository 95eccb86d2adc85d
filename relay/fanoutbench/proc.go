package fanoutbench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clockTick is the unit of times in /proc/PID/stat, ns (USER_HZ is 100 on Linux).
const clockTick = 10e6

// cpuTime is what a process has used so far, ns.
type cpuTime struct{ total, user, system float64 }

func (c cpuTime) sub(d cpuTime) cpuTime {
	return cpuTime{c.total - d.total, c.user - d.user, c.system - d.system}
}

// processorTime reads the exact sum of the threads' run times (schedstat) and the
// shares of user and system, which the kernel tells in hundredths of a second. Threads
// that ended are missing from the sum, so it is never taken below the coarse one.
func processorTime(pid int) (cpuTime, error) {
	var c cpuTime
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return c, fmt.Errorf("fanoutbench: processor time: %w", err)
	}
	// The name in parentheses may hold anything; utime is the 12th field after it.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return c, fmt.Errorf("fanoutbench: processor time: /proc/%d/stat is short", pid)
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	c.user, c.system = user*clockTick, system*clockTick
	c.total = c.user + c.system
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return c, err
	}
	exact := 0.0
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // a thread that ended meanwhile
		}
		ns, _, _ := strings.Cut(string(b), " ")
		v, _ := strconv.ParseFloat(ns, 64)
		exact += v
	}
	if exact > c.total-2*clockTick {
		c.total = exact
	}
	return c, nil
}

// resident is a process's resident memory, bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("fanoutbench: resident memory: %w", err)
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, fmt.Errorf("fanoutbench: resident memory: /proc/%d/statm is short", pid)
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
