package python_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/clienttest"
	"tickrelay/ring/md"
)

const (
	roleEnv   = "TICKRELAY_PYTHON_ROLE"
	baseEnv   = "TICKRELAY_PYTHON_BASE"
	python    = "/usr/bin/python3" // the one that Debian's packages belong to
	buildDeps = "apt-get install cython3 python3-numpy python3-setuptools python3-venv python3-dev python3-wheel gcc"
)

// scratch holds the virtual environment that all tests share.
type scratch struct {
	once sync.Once
	dir  string
	err  error
	skip string
}

var env scratch

// TestMain runs this binary again as the relay that a test kills.
func TestMain(m *testing.M) {
	if base := os.Getenv(baseEnv); os.Getenv(roleEnv) == "relay" {
		fmt.Println("error:", clienttest.Main(base, clienttest.SocketIn(base)))
		os.Exit(1)
	}
	code := m.Run()
	if env.dir != "" {
		os.RemoveAll(env.dir)
	}
	os.Exit(code)
}

// venv installs the package the way its users do where no package index is
// reachable, and returns the interpreter.
func venv(t *testing.T) string {
	t.Helper()
	env.once.Do(env.install)
	if env.skip != "" {
		t.Skipf("SKIPPED: %s; %s", env.skip, buildDeps)
	}
	if env.err != nil {
		t.Fatal(env.err)
	}
	return filepath.Join(env.dir, "venv/bin/python")
}

func (s *scratch) install() {
	for _, module := range []string{"Cython", "setuptools", "wheel", "venv", "numpy"} {
		if err := exec.Command(python, "-c", "import "+module).Run(); err != nil {
			s.skip = python + " has no module " + module + ", so the Python client is not tested here"
			return
		}
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		s.skip = "no C compiler, so the Python client is not tested here"
		return
	}
	if s.dir, s.err = os.MkdirTemp("", "tickrelay-python-"); s.err != nil {
		return
	}
	for _, args := range [][]string{
		{python, "-m", "venv", "--system-site-packages", s.dir + "/venv"},
		{s.dir + "/venv/bin/pip", "install", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "."},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			s.err = fmt.Errorf("%v: %w\n%s", args, err, out)
			return
		}
	}
}

func startRelay(t *testing.T, cfg clienttest.Config) (r *clienttest.Relay, socket string) {
	t.Helper()
	base, done, err := clienttest.ShmDir()
	if err != nil {
		t.Skipf("SKIPPED: no shared memory here: %v", err)
	}
	t.Cleanup(done)
	cfg.Base, cfg.Socket = base, clienttest.SocketIn(base)
	if r, err = clienttest.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, cfg.Socket
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// golden writes records as bytes, and beside them as numbers.
func golden(t *testing.T) string {
	t.Helper()
	var recs []md.Record
	for seq := range uint64(9) {
		r := clienttest.Trade(seq, ^seq, clienttest.Mix(seq))
		r.Kind, r.Flags, r.Venue, r.Instrument, r.Seq = md.Kind(1+seq), md.Flags(seq), md.Venue(500+seq), 1<<31+uint32(seq), ^seq
		r.Price, r.PriceExp, r.SizeExp, r.Level = -r.Price, int8(seq)-127-1, 127-int8(seq), uint8(255-seq)
		recs = append(recs, r)
	}
	path := filepath.Join(t.TempDir(), "golden")
	if err := os.WriteFile(path, md.AsBytes(recs), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".txt", []byte(clienttest.Canonical(recs)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGoldenSegment: a ring that Go wrote, read by the documented offsets.
func TestGoldenSegment(t *testing.T) {
	if _, err := os.Stat(python); err != nil {
		t.Skipf("%s is not installed", python)
	}
	dir := t.TempDir()
	dump, err := os.ReadFile("../testdata/segment-v1.hex")
	if err == nil {
		err = clienttest.GoldenFiles(string(dump), dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	recs, err := ring.Leftover(dir, "golden")
	if err != nil || len(recs) < 3 {
		t.Fatal(recs, err)
	}
	want := "golden 64 5 1763842100123456789\n" + clienttest.Canonical(recs)
	if got := output(t, python, "tests/segment.py", dir, "golden"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestCheck(t *testing.T) {
	py := venv(t)
	_, socket := startRelay(t, clienttest.Config{})
	file := golden(t)
	if got := output(t, py, "tests/check.py", socket, file); got != "ok numpy\n" {
		t.Error(got)
	}
	// Where NumPy is missing there are plain tuples.
	hide := "import sys, runpy; sys.modules['numpy'] = None; sys.argv = sys.argv[1:]; sys.path.insert(0, 'tests'); runpy.run_path(sys.argv[0], run_name='__main__')"
	if got := output(t, py, "-I", "-c", hide, "tests/check.py", socket, file); got != "ok tuples\n" {
		t.Error(got)
	}
}

type figures struct{ trades, checks, lost, overruns, aways, epochs, sessions uint64 }

type child struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, more []string, name string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), more...)
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

func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

func (c *child) until(t *testing.T, what string, ok func(figures) bool) (f figures) {
	t.Helper()
	deadline := time.AfterFunc(30*time.Second, func() { c.cmd.Process.Kill() })
	defer deadline.Stop()
	for c.out.Scan() {
		if _, err := fmt.Sscanf(c.out.Text(), "trades %d checks %d lost %d overruns %d aways %d epochs %d sessions %d",
			&f.trades, &f.checks, &f.lost, &f.overruns, &f.aways, &f.epochs, &f.sessions); err != nil {
			t.Fatalf("waiting for %s: %s", what, c.out.Text())
		}
		if ok(f) {
			return f
		}
	}
	t.Fatalf("waited for %s; last: %+v", what, f)
	return f
}

func TestLive(t *testing.T) {
	py := venv(t)
	r, socket := startRelay(t, clienttest.Config{Levels: 100, Pause: 2 * time.Millisecond})
	for _, how := range []string{"lend", "poll", "records", "async"} {
		for where, path := range map[string]string{"socket": socket, "path": r.Dir()} {
			t.Run(how+" "+where, func(t *testing.T) {
				f := start(t, nil, py, "tests/follow.py", path, how)
				got := f.until(t, "20 proved books", func(f figures) bool { return f.checks >= 20 })
				if got.lost+got.overruns+got.aways != 0 || got.epochs != 1 || got.sessions != 1 {
					t.Errorf("%+v", got)
				}
			})
		}
	}
	t.Run("overrun", func(t *testing.T) {
		f := start(t, nil, py, "tests/follow.py", socket, "lend", "512", "400")
		first := f.until(t, "overruns", func(f figures) bool { return f.overruns >= 3 && f.lost > 0 })
		f.until(t, "the book after them", func(f figures) bool { return f.checks > first.checks+5 })
	})
}

func TestKillRelay(t *testing.T) {
	py := venv(t)
	base, done, err := clienttest.ShmDir()
	if err != nil {
		t.Skip(err)
	}
	defer done()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	relay := func() *child {
		c := start(t, []string{roleEnv + "=relay", baseEnv + "=" + base}, exe)
		if !c.out.Scan() || c.out.Text() != "ready" {
			t.Fatalf("the relay says %q", c.out.Text())
		}
		return c
	}
	now := relay()
	a := start(t, nil, py, "tests/follow.py", clienttest.SocketIn(base), "lend", "65536")
	b := start(t, nil, py, "tests/follow.py", clienttest.SocketIn(base), "async", "65536")
	for round := uint64(1); round <= 3; round++ {
		for _, f := range []*child{a, b} {
			got := f.until(t, "books of the next relay", func(f figures) bool { return f.sessions >= round && f.epochs >= round && f.checks > 3*round })
			if got.aways != 2*(round-1) {
				t.Errorf("round %d: %+v", round, got)
			}
		}
		now.kill()
		now = relay()
	}
}

// TestCimport builds a user's own Cython module against the installed package.
func TestCimport(t *testing.T) {
	py := venv(t)
	_, socket := startRelay(t, clienttest.Config{})
	dir := t.TempDir()
	script := `
import sys, sysconfig, subprocess, tickrelay
from Cython.Compiler.Main import CompilationOptions, compile as cython
site = tickrelay.__path__[0] + "/.."
r = cython("example/mid.pyx", CompilationOptions(output_file=sys.argv[2] + "/mid.c", language_level=3, include_path=[site]), full_module_name="mid")
assert not r.num_errors
subprocess.check_call(["gcc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-I", tickrelay.get_include(), "-I", sysconfig.get_path("include"),
                       "-o", sys.argv[2] + "/mid.so", sys.argv[2] + "/mid.c"])
sys.path.insert(0, sys.argv[2])
import mid
seen, total = mid.volume(tickrelay.attach(sys.argv[1], "cython", "okx.trades.BTC-USDT"), 500)
assert seen >= 500 and total > 0, (seen, total)
print("ok")
`
	if got := output(t, py, "-I", "-c", script, socket, dir); !strings.HasSuffix(got, "ok\n") {
		t.Error(got)
	}
}

// TestSourceDistribution: it carries the generated C and the headers, and
// installs where there is no Cython.
func TestSourceDistribution(t *testing.T) {
	py := venv(t)
	dir := t.TempDir()
	output(t, py, "setup.py", "-q", "sdist", "--dist-dir", dir)
	list := output(t, "tar", "tzf", dir+"/tickrelay-0.1.0.tar.gz")
	for _, want := range []string{"_client_generated.c", "include/tickrelay.h", "include/tickrelay/record.h", "_client.pxd", "py.typed", "pyproject.toml"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	output(t, "tar", "xzf", dir+"/tickrelay-0.1.0.tar.gz", "-C", dir)
	hide := "import sys, runpy; sys.modules['Cython'] = None; sys.argv = ['setup.py', '-q', 'build_ext', '--build-lib', sys.argv[1]]; runpy.run_path('setup.py', run_name='__main__')"
	cmd := exec.Command(py, "-c", hide, dir+"/out")
	cmd.Dir = dir + "/tickrelay-0.1.0"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if found, _ := filepath.Glob(dir + "/out/tickrelay/_client*.so"); len(found) != 1 {
		t.Error("no extension was built from the generated C")
	}
	for _, left := range []string{"build", "dist", "tickrelay.egg-info", "tickrelay/_client.c"} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s was left in the tree", left)
		}
	}
}
