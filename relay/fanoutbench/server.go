package fanoutbench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a child with a line-wise conversation.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err *tail
}

// startProcess starts cmd, which is killed when ctx ends.
func startProcess(cmd *exec.Cmd) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20), err: &tail{}}
	cmd.Stderr = p.err
	cmd.WaitDelay = time.Second
	return p, cmd.Start()
}

// line reads what the child says next.
func (p *process) line() (string, error) {
	s, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s ended: %w%s", p.cmd.Path, err, p.err.text())
	}
	return strings.TrimSpace(s), nil
}

// stop ends the child by the end of its input, or else by force.
func (p *process) stop() {
	p.in.Close()
	late := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait() // its outcome does not matter any more
}

// tail keeps the end of what a child says on its standard error.
type tail struct{ last []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	if n := len(t.last) - 2000; n > 0 {
		t.last = t.last[n:]
	}
	return len(p), nil
}

func (t *tail) text() string {
	if len(t.last) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(t.last))
}

// server is one server with its subscribers.
type server struct {
	name  string
	proc  *process
	feed  feed
	crowd *process
	addr  string
	empty int64 // resident bytes before anybody connected
}

// kind says how one sort of server is started.
type kind struct {
	name  string
	skip  string                                     // why it cannot be, else ""
	start func(ctx context.Context) (*server, error) // the process and its feed
	greet []string                                   // what its subscribers send first
}

// open starts the server and waits until it listens.
func (k *kind) open(ctx context.Context) (*server, error) {
	s, err := k.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("fanoutbench: %s: %w", k.name, err)
	}
	s.name = k.name
	line, err := s.proc.line()
	if err == nil {
		var ok bool
		if s.addr, ok = strings.CutPrefix(line, "listen "); !ok {
			err = fmt.Errorf("it said %q", line)
		}
	}
	if err == nil {
		time.Sleep(200 * time.Millisecond) // what it does at its start
		s.empty, err = resident(s.proc.cmd.Process.Pid)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("fanoutbench: %s: %w", k.name, err)
	}
	return s, nil
}

// fill connects n subscribers and waits until they are set up.
func (s *server) fill(ctx context.Context, cfg *Config, n int, ca string, greet []string) error {
	args := append([]string{"clients", s.addr, strconv.Itoa(n), ca}, greet...)
	p, err := startProcess(cfg.child(ctx, args...))
	if err != nil {
		return fmt.Errorf("fanoutbench: subscribers of %s: %w", s.name, err)
	}
	s.crowd = p
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		t, err := s.ask("report")
		switch {
		case err != nil:
			return err
		case t.Lost > 0:
			return fmt.Errorf("fanoutbench: %s refused or lost %d of its subscribers", s.name, t.Lost)
		case t.Ready == n:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("fanoutbench: only %d of %d subscribers of %s are set up after two minutes", t.Ready, n, s.name)
		}
	}
}

// ask gives the subscribers a command and returns their counts.
func (s *server) ask(command string) (*tally, error) {
	if _, err := io.WriteString(s.crowd.in, command+"\n"); err != nil {
		return nil, fmt.Errorf("fanoutbench: subscribers of %s: %w", s.name, err)
	}
	line, err := s.crowd.line()
	if err != nil {
		return nil, fmt.Errorf("fanoutbench: subscribers of %s: %w", s.name, err)
	}
	t := &tally{}
	if err := json.Unmarshal([]byte(line), t); err != nil {
		return nil, fmt.Errorf("fanoutbench: subscribers of %s: %w", s.name, err)
	}
	return t, nil
}

func (s *server) close() {
	if s.crowd != nil {
		s.crowd.stop()
	}
	s.proc.stop()
	_ = s.feed.close()
}

// startPeer starts a peer's program, which is fed through its input.
func startPeer(ctx context.Context, path string, args ...string) (*server, error) {
	p, err := startProcess(exec.CommandContext(ctx, path, args...))
	if err != nil {
		return nil, err
	}
	return &server{proc: p, feed: &pipeFeed{w: p.in}}, nil
}

// startGateway starts ours and the ring that it reads.
func startGateway(ctx context.Context, cfg *Config, name string, args ...string) (*server, error) {
	f, err := newRingFeed(name)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(cfg.child(ctx, append([]string{"gateway", f.dir.Path()}, args...)...))
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return &server{proc: p, feed: f}, nil
}
