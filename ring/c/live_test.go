package c_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/clienttest"
)

// figures are what test/follow.c prints.
type figures struct{ trades, checks, lost, overruns, aways, epochs, sessions uint64 }

// child is another process of a test.
type child struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, env []string, name string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends with us
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, bufio.NewScanner(out)}
	t.Cleanup(c.kill)
	return c
}

// kill is kill -9.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// until reads figures until ok accepts them.
func (c *child) until(t *testing.T, what string, ok func(figures) bool) (f figures) {
	t.Helper()
	deadline := time.AfterFunc(30*time.Second, func() { c.cmd.Process.Kill() })
	defer deadline.Stop()
	for c.out.Scan() {
		line := c.out.Text()
		if _, err := fmt.Sscanf(line, "trades %d checks %d lost %d overruns %d aways %d epochs %d sessions %d",
			&f.trades, &f.checks, &f.lost, &f.overruns, &f.aways, &f.epochs, &f.sessions); err != nil {
			t.Fatalf("waiting for %s: %s", what, line)
		}
		if ok(f) {
			return f
		}
	}
	t.Fatalf("waited for %s; last: %+v", what, f)
	return f
}

// relayProcess is a relay that can be killed.
func relayProcess(t *testing.T, base string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, []string{roleEnv + "=relay", baseEnv + "=" + base, socketEnv + "=" + clienttest.SocketIn(base)}, exe)
	if !c.out.Scan() || c.out.Text() != "ready" {
		t.Fatalf("the relay says %q", c.out.Text())
	}
	return c
}

func startRelay(t *testing.T, cfg clienttest.Config) *clienttest.Relay {
	t.Helper()
	cfg.Base = shmDir(t)
	cfg.Socket = clienttest.SocketIn(cfg.Base)
	r, err := clienttest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never came true: " + what)
		}
	}
}

// TestLive attaches in every wait mode and by path; every record is proved and
// the book is held against the true one again and again.
func TestLive(t *testing.T) {
	r := startRelay(t, clienttest.Config{})
	socket := clienttest.SocketIn(strings.TrimSuffix(r.Dir(), "/rig"))
	for _, c := range []struct {
		mode, where string
		build       []string
		qemu        bool
	}{
		{"block", socket, []string{"gcc", "-std=c11", "-O2"}, false},
		{"spin", socket, []string{"clang", "-std=c11", "-O2"}, false},
		{"yield", socket, []string{"g++", "-std=c++17", "-O2"}, false},
		{"fd", socket, []string{"gcc", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}, false},
		{"fd", r.Dir(), []string{"gcc", "-std=c11", "-O2"}, false},
		{"block", r.Dir(), []string{"clang++", "-std=c++17", "-O2"}, false},
		{"block", socket, nil, true},
	} {
		name := c.mode + " " + strings.Join(c.build, " ")
		if c.where != socket {
			name += " path"
		}
		if c.qemu {
			name = "arm64"
		}
		t.Run(name, func(t *testing.T) {
			var args []string
			if c.qemu {
				args = arm64(t, "test/follow.c")
			} else {
				args = []string{compile(t, c.build[0], "test/follow.c", c.build[1:]...)}
			}
			args = append(args, c.where, c.mode, "0")
			f := start(t, nil, args[0], args[1:]...)
			got := f.until(t, "300 proved books", func(f figures) bool { return f.checks >= 300 })
			if got.lost+got.overruns+got.aways != 0 || got.epochs != 1 || got.sessions != 1 {
				t.Errorf("%+v", got)
			}
			f.kill()
			eventually(t, "the reader's lock is free", func() bool { return r.Readers() == 0 })
		})
	}
}

// TestValgrind: no leak, no bad access over an attachment's whole life.
func TestValgrind(t *testing.T) {
	v := tool(t, "valgrind")
	r := startRelay(t, clienttest.Config{Pause: 5 * time.Millisecond})
	bin := compile(t, "gcc", "test/follow.c", "-std=c11", "-g", "-O1")
	f := start(t, nil, v, "-q", "--error-exitcode=9", bin, clienttest.SocketIn(strings.TrimSuffix(r.Dir(), "/rig")), "fd")
	f.until(t, "20 proved books", func(f figures) bool { return f.checks >= 20 })
}

// TestOverrun stalls a reader with a small ring again and again: what it lost is
// named exactly, and its book becomes the true one again.
func TestOverrun(t *testing.T) {
	r := startRelay(t, clienttest.Config{Levels: 60})
	bin := compile(t, "gcc", "test/follow.c", "-std=c11", "-O2")
	f := start(t, nil, bin, clienttest.SocketIn(strings.TrimSuffix(r.Dir(), "/rig")), "block", "256", "60")
	first := f.until(t, "3 overruns", func(f figures) bool { return f.overruns >= 6 && f.lost > 0 })
	f.until(t, "the book after them", func(f figures) bool { return f.checks > first.checks+20 })
}

// TestKillClient kills readers at any moment; the relay takes their rings back
// and the next one is right from its first record.
func TestKillClient(t *testing.T) {
	r := startRelay(t, clienttest.Config{})
	bin := compile(t, "gcc", "test/follow.c", "-std=c11", "-O2")
	for round := range 12 {
		where := r.Dir()
		if round%2 == 0 {
			where = clienttest.SocketIn(strings.TrimSuffix(r.Dir(), "/rig"))
		}
		f := start(t, nil, bin, where, []string{"block", "spin", "fd"}[round%3])
		f.until(t, "some records", func(f figures) bool { return f.checks > 10 })
		time.Sleep(time.Duration(round*1700) * time.Microsecond)
		f.kill()
		eventually(t, "the rings of the dead are gone", func() bool {
			infos, err := ring.List(r.Dir())
			return err == nil && len(infos) == 1 && !infos[0].Consumer.Alive
		})
	}
}

// TestKillRelay kills the relay under its readers, again and again; they find
// out, say so by gaps, attach to the next one and are right again.
func TestKillRelay(t *testing.T) {
	base := shmDir(t)
	bin := compile(t, "gcc", "test/follow.c", "-std=c11", "-O2")
	relay := relayProcess(t, base)
	var readers []*child
	for _, mode := range []string{"block", "fd"} {
		readers = append(readers, start(t, nil, bin, clienttest.SocketIn(base), mode))
	}
	readers = append(readers, start(t, nil, bin, base+"/rig", "block"))
	for round := uint64(1); round <= 5; round++ {
		for i, f := range readers {
			got := f.until(t, "proved books of the next relay", func(f figures) bool { return f.sessions >= round && f.epochs >= round && f.checks > 20*round })
			if got.aways != 2*(round-1) {
				t.Errorf("reader %d, round %d: %d gaps for 2 topics: %+v", i, round, got.aways, got)
			}
		}
		time.Sleep(time.Duration(round*700) * time.Microsecond)
		relay.kill()
		relay = relayProcess(t, base)
	}
}

// TestLateAnswer: a request that was given up does not put the next one out of
// step with its answer.
func TestLateAnswer(t *testing.T) {
	bin := compile(t, "gcc", "test/late.c", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DTR_ANSWER_WITHIN_S=1")
	if got := run(t, nil, bin, filepath.Join(shmDir(t), "c.sock")); got != "ok\n" {
		t.Error(got)
	}
}

// TestRefusals: what went wrong and what to do is said.
func TestRefusals(t *testing.T) {
	bin := compile(t, "gcc", "test/follow.c", "-std=c11", "-O2")
	r := startRelay(t, clienttest.Config{})
	if got := failing(t, bin, "nobody"); !strings.Contains(got, "-2 ") || !strings.Contains(got, "is the relay running?") {
		t.Error(got)
	}
	if got := failing(t, bin, "/dev/null/x"); !strings.Contains(got, "-2 ") {
		t.Error(got)
	}
	f := start(t, nil, bin, r.Dir(), "block")
	f.until(t, "a record", func(f figures) bool { return f.trades > 0 })
	if got := failing(t, bin, r.Dir()); !strings.Contains(got, fmt.Sprintf("read by process %d already", f.cmd.Process.Pid)) {
		t.Error(got)
	}
	if got := failing(t, bin, clienttest.SocketIn(strings.TrimSuffix(r.Dir(), "/rig")), "block", "99999999"); !strings.Contains(got, "capacity") {
		t.Error(got)
	}
}
