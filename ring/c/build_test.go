package c_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"tickrelay/ring/clienttest"
)

const (
	roleEnv   = "TICKRELAY_C_ROLE"
	baseEnv   = "TICKRELAY_C_BASE"
	socketEnv = "TICKRELAY_C_SOCKET"
)

// TestMain runs this binary again as the relay that a test kills.
func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "relay" {
		fmt.Println("error:", clienttest.Main(os.Getenv(baseEnv), os.Getenv(socketEnv)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// tool finds a program or skips the test.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: %s is not installed, so the C client is not tested with it here", name)
	}
	return path
}

var warnings = []string{"-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-Wconversion", "-I", "."}

// compilers are all that the header promises to be clean under.
var compilers = []struct {
	name, std, lang string
}{{"gcc", "c11", "c"}, {"gcc", "c17", "c"}, {"clang", "c11", "c"}, {"g++", "c++17", "c++"}, {"g++", "c++20", "c++"}, {"clang++", "c++17", "c++"}}

// compile builds a program of test/ or example/ with a compiler and flags.
func compile(t testing.TB, cc, source string, flags ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "program")
	args := append([]string{}, warnings...)
	args = append(args, flags...)
	args = append(args, "-o", bin, "-x", language(flags, source), source, "-lpthread")
	if out, err := exec.Command(tool(t, cc), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", cc, args, err, out)
	}
	return bin
}

func language(flags []string, source string) string {
	for _, f := range flags {
		if len(f) > 6 && f[:6] == "-std=c" && f[6] == '+' {
			return "c++"
		}
	}
	if filepath.Ext(source) == ".cpp" {
		return "c++"
	}
	return "c"
}

// run runs a program that must succeed and returns what it printed.
func run(t testing.TB, stdin []byte, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	if stdin != nil {
		f, err := os.CreateTemp(t.TempDir(), "in")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Write(stdin)
		f.Seek(0, 0)
		cmd.Stdin = f
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// arm64 builds a static arm64 program and returns how to run it here.
func arm64(t testing.TB, source string) []string {
	t.Helper()
	qemu := tool(t, "qemu-aarch64-static")
	return []string{qemu, compile(t, tool(t, "aarch64-linux-gnu-gcc"), source, "-std=c11", "-O2", "-static")}
}

func shmDir(t testing.TB) string {
	t.Helper()
	dir, done, err := clienttest.ShmDir()
	if err != nil {
		t.Skipf("SKIPPED: no shared memory here: %v", err)
	}
	t.Cleanup(done)
	return dir
}

func TestHeaderAlone(t *testing.T) {
	for _, c := range compilers {
		t.Run(c.name+" "+c.std, func(t *testing.T) {
			for _, source := range []string{"example/strategy.c", "test/follow.c", "test/calc.c", "test/segment.c", "test/threads.c", "test/late.c", "test/many.c"} {
				compile(t, c.name, source, "-std="+c.std, "-O2")
			}
			if c.lang == "c++" {
				compile(t, c.name, "example/strategy.cpp", "-std="+c.std, "-O2")
			}
		})
	}
}

// TestHeaderParts: every part can be included first, so none leans on luck.
func TestHeaderParts(t *testing.T) {
	cc := tool(t, "cc")
	parts, err := filepath.Glob("tickrelay/*.h")
	if err != nil || len(parts) < 10 {
		t.Fatal(parts, err)
	}
	for _, p := range parts {
		args := append(append([]string{}, warnings...), "-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", "-x", "c", p)
		// A header as the main file: an unused inline function or the guard is no fault.
		args = append(args, "-Wno-unused-function")
		if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", p, err, out)
		}
	}
}

// TestThreads runs a producer and a consumer over the same memory under every
// tool that looks for races and faults.
func TestThreads(t *testing.T) {
	const source = "test/threads.c"
	check := func(t *testing.T, args ...string) {
		if out := run(t, nil, args[0], args[1:]...); len(out) < 3 || out[:3] != "ok " {
			t.Errorf("%v: %s", args, out)
		}
	}
	for _, cc := range []string{"gcc", "clang"} {
		t.Run(cc, func(t *testing.T) { check(t, compile(t, cc, source, "-std=c11", "-O2"), "1000000") })
		for _, s := range []string{"address,undefined", "thread"} {
			t.Run(cc+" "+s, func(t *testing.T) {
				check(t, compile(t, cc, source, "-std=c11", "-g", "-O1", "-fno-sanitize-recover=all", "-fsanitize="+s), "100000")
			})
		}
	}
	t.Run("valgrind", func(t *testing.T) {
		v := tool(t, "valgrind")
		out := run(t, nil, v, "-q", "--leak-check=full", "--error-exitcode=9", compile(t, "gcc", source, "-std=c11", "-g", "-O1"), "20000")
		if len(out) < 3 {
			t.Error(out)
		}
	})
	t.Run("arm64", func(t *testing.T) {
		if runtime.GOARCH == "arm64" {
			t.Skip("SKIPPED: this machine is arm64 itself, no emulation needed")
		}
		args := arm64(t, source)
		check(t, append(args, "50000")...)
	})
}
