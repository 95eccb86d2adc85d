package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proc is one process of the soak.
type proc struct {
	name    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	enc     *json.Encoder
	log     tail
	started time.Time
	ready   bool // it said so
	leaving bool // its end is wanted
	exited  bool
	compare *comparison // the answer to the last order to compare
	of      int         // its number
	last    *readerStat
	attach  uint64 // sessions that it must have had: it has to find new feeds
}

// said is what a process says: a message, a line that is none, or its end.
type said struct {
	p    *proc
	m    message
	line string
	end  bool
	err  error
}

// start runs a process, whose messages go to ch. It ends with this one, in any case.
func start(name string, cmd *exec.Cmd, ch chan<- said) (*proc, error) {
	p := &proc{name: name, cmd: cmd, started: time.Now()}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.enc = in, json.NewEncoder(in)
	cmd.Stderr = &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			x := said{p: p}
			if json.Unmarshal(s.Bytes(), &x.m) != nil {
				x.line = s.Text()
			}
			ch <- x
		}
		ch <- said{p: p, end: true, err: cmd.Wait()}
	}()
	return p, nil
}

// tell gives an order. A process that is gone is no error here: its end is noticed.
func (p *proc) tell(o order) { _ = p.enc.Encode(o) }

// signal sends a signal; a process that is gone is no error.
func (p *proc) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, syscall.ESRCH) && !strings.Contains(err.Error(), "finished") {
		return err
	}
	return nil
}

func (p *proc) pid() int { return p.cmd.Process.Pid }

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailBytes):])
}
