package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaryDir is where binary has put the program, "" before it ran.
var binaryDir string

// binary builds the program once for all tests of real processes.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tickrelay-bin")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	out := filepath.Join(dir, "tickrelay")
	msg, err := exec.Command("go", "build", "-o", out, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, msg)
	}
	return out, nil
})

func TestMain(m *testing.M) {
	if os.Getenv("TICKRELAY_TEST_STRATEGY") != "" {
		os.Exit(strategyProcess())
	}
	code := m.Run()
	if os.Getenv(fastOpenEnv) != "" {
		os.Exit(code) // a child: the program is its parent's
	}
	if binaryDir != "" {
		os.RemoveAll(binaryDir)
	}
	os.Exit(code)
}

// process is a running tickrelay command.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout chan string // lines
	mu     sync.Mutex
	stderr bytes.Buffer
	exited chan struct{}
}

// start runs tickrelay with args; the test kills it at its end if need be.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, exec.Command(path, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, stdout: make(chan string, 1<<16), exited: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			p.stdout <- s.Text()
		}
		close(p.stdout)
		cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s\n%s", cmd.Args, p.errors())
		}
	})
	return p
}

// Write collects stderr.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *process) errors() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// line returns the rest of the next line of stdout that starts with prefix.
func (p *process) line(prefix string) string {
	p.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case l, ok := <-p.stdout:
			if !ok {
				p.t.Fatalf("%s ended without a line %q\n%s", p.cmd.Args, prefix, p.errors())
			}
			if rest, ok := strings.CutPrefix(strings.TrimSpace(l), prefix); ok {
				return strings.TrimSpace(rest)
			}
		case <-timeout:
			p.t.Fatalf("%s printed no line %q in a minute\n%s", p.cmd.Args, prefix, p.errors())
		}
	}
}

// stop asks for the end as Ctrl-C does and returns the exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.t.Fatalf("%s is still there 20 s after Ctrl-C\n%s", p.cmd.Args, p.errors())
	}
	return p.cmd.ProcessState.ExitCode()
}

// tickrelay runs a command to its end.
func tickrelay(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// freePort returns a loopback address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// captures is the folder of recorded frames, or the test skips.
func captures(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TICKRELAY_CAPTURES")
	if dir == "" {
		t.Skip("TICKRELAY_CAPTURES does not name a folder of recorded frames")
	}
	return dir
}

var _ io.Writer = (*process)(nil)
