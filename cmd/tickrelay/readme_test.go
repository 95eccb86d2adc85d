package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// block is a fenced block of a page.
type block struct {
	lang string
	line int
	text string
}

func (b block) name() string {
	first, _, _ := strings.Cut(b.text, "\n")
	return b.lang + " " + first
}

func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repoRoot, page))
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	var open *block
	for i, l := range strings.Split(string(data), "\n") {
		fence, is := strings.CutPrefix(l, "```")
		switch {
		case is && open == nil:
			open = &block{lang: strings.TrimSpace(fence), line: i + 2}
		case is:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += l + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: a block without an end", page, open.line)
	}
	return out
}

// readmeBlocks are the README's blocks, by language and first line, and what runs
// them. A block that is not here fails the test.
var readmeBlocks = []struct {
	begins string
	run    func(t *testing.T, b block) // nil: nothing can be run, see why
	why    string
}{
	{"exchanges ══", nil, "a picture"},
	{"sh go run ./cmd/tickrelay demo", readmeDemo, ""},
	{"sh go test ./...", readmeTests, "the gate runs it; here it would run itself"},
	{"yaml # tickrelay.yaml", readmeConfig, ""},
	{"sh tickrelay check", readmeConfigCommands, ""},
	{"go c, err := ring.Open", readmeGo, ""},
	{"cpp #include \"tickrelay.hpp\"", readmeCPP, ""},
	{"python import tickrelay", readmePython, "ring/python has its own tests against a real relay; here the lines are compiled and the call exists"},
	{"js const ws", readmeJS, ""},
	{`{"type":"book"`, nil, "an answer, shortened"},
}

// TestReadme runs every block of README.md as it is written.
func TestReadme(t *testing.T) {
	used := map[string]bool{}
	for _, b := range blocksOf(t, "README.md") {
		found := false
		for _, k := range readmeBlocks {
			if !strings.HasPrefix(strings.TrimSpace(b.name()), strings.TrimSpace(k.begins)) {
				continue
			}
			found, used[k.begins] = true, true
			t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
				if k.run == nil {
					t.Skip(k.why)
				}
				k.run(t, b)
			})
			break
		}
		if !found {
			t.Errorf("README.md:%d: this block is run by no test; add it to readmeBlocks:\n%s", b.line, b.text)
		}
	}
}

// shellLines are the commands of a block without their comments.
func shellLines(b block) []string {
	var out []string
	for l := range strings.Lines(b.text) {
		l, _, _ = strings.Cut(l, " #")
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			out = append(out, l)
		}
	}
	return out
}

// freshCopy is a copy of the files that git knows, as somebody has who cloned it. That
// compiles everything once more, so it is made if TICKRELAY_README_FRESH is set only.
func freshCopy(t *testing.T) string {
	t.Helper()
	if os.Getenv("TICKRELAY_README_FRESH") == "" {
		return repoRoot
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", `git ls-files -z | xargs -0 tar cf - | tar xf - -C "$1"`, "sh", dir)
	cmd.Dir = repoRoot
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("no git checkout to copy: %v: %s", err, out)
	}
	return dir
}

// readmeDemo starts the demo from a fresh copy, waits for its page and the commands that
// it prints, and interrupts it.
func readmeDemo(t *testing.T, b block) {
	cmd := exec.Command("sh", "-c", strings.TrimSpace(b.text))
	cmd.Dir = freshCopy(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run and what it runs get the interrupt, as at a terminal
	p := startCommand(t, cmd)
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	page := waitLine(t, p, "page ", 3*time.Minute)
	dir := filepath.Dir(p.line("ring "))
	waitFlowing(t, page)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		t.Fatal("still there 30 s after Ctrl-C")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("Ctrl-C left %s (%v)", dir, err)
	}
}

// waitLine is process.line with patience for a compiler.
func waitLine(t *testing.T, p *process, prefix string, patience time.Duration) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case l, ok := <-p.stdout:
			if !ok {
				t.Fatalf("ended without a line %q\n%s", prefix, p.errors())
			}
			if rest, ok := strings.CutPrefix(strings.TrimSpace(l), prefix); ok {
				return strings.TrimSpace(rest)
			}
		case <-timeout:
			t.Fatalf("no line %q in %s\n%s", prefix, patience, p.errors())
		}
	}
}

// readmeTests wants the gate to run the line: run here it would run this test.
func readmeTests(t *testing.T, b block) {
	gate, err := os.ReadFile(filepath.Join(repoRoot, ".ci/run"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(b.text) != "go test ./..." || !bytes.Contains(gate, []byte(`go test -p 2 "$@" "${packages[@]}"`)) {
		t.Errorf("%q is not what .ci/run runs", b.text)
	}
}

func runIn(t *testing.T, dir, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// readmeConfig is checked as it is written.
func readmeConfig(t *testing.T, b block) {
	out, errs, code := tickrelay(t, "check", "-c", writeFile(t, "tickrelay.yaml", b.text))
	if code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// readmeConfigCommands runs the commands on the page's own configuration, with the
// exchanges simulated and a port that is free.
func readmeConfigCommands(t *testing.T, b block) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, y := range blocksOf(t, "README.md") {
		if y.lang == "yaml" {
			text = y.text
		}
	}
	sim := exchange(t, 200)
	text = strings.Replace(text, "127.0.0.1:8080", freePort(t), 1)
	text = regexp.MustCompile(`relay: \w+`).ReplaceAllString(text, fmt.Sprintf("relay: readme-%d\nsocket: %s", os.Getpid(), filepath.Join(t.TempDir(), "s")))
	text = strings.Replace(text, "  - venue: binance\n", fmt.Sprintf("  - venue: binance\n    url: %s\n    rest: %s\n", sim.URL(), sim.REST()), 1)
	text = regexp.MustCompile(`(?s)  - venue: okx.*?rings:`).ReplaceAllString(text, "rings:")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tickrelay.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range shellLines(b) {
		cmd := exec.Command("sh", "-c", "exec "+line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
		if !strings.Contains(line, " run ") {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			continue
		}
		p := startCommand(t, cmd)
		page := p.line("page ")
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if list := feedsOf(t, page); len(list) == 1 && list[0].Records > 50 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no records: %+v", feedsOf(t, page))
			}
		}
		if code := p.stop(); code != 0 {
			t.Errorf("%s: exit %d\n%s", line, code, p.errors())
		}
	}
}

// readmeGo compiles and vets the lines as a program of this module.
func readmeGo(t *testing.T, b block) {
	dir, err := os.MkdirTemp(".", "readme")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := "package main\nimport (\n\"fmt\"\n\"log\"\n\"time\"\n\"tickrelay/ring\"\n\"tickrelay/ring/book\"\n\"tickrelay/ring/md\"\n)\nfunc main() {\n" + b.text + "}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	runIn(t, dir, "go vet . && go build -o /dev/null .")
}

// readmeCPP compiles the lines as a program.
func readmeCPP(t *testing.T, b block) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++ here")
	}
	head, rest, _ := strings.Cut(b.text, "\n")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.cpp"), []byte(head+"\nint main() {\n"+rest+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	include, err := filepath.Abs(filepath.Join(repoRoot, "ring", "c"))
	if err != nil {
		t.Fatal(err)
	}
	runIn(t, dir, "g++ -std=c++17 -Wall -Werror -I "+include+" -o main main.cpp")
}

func readmePython(t *testing.T, b block) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3 here")
	}
	f := filepath.Join(t.TempDir(), "strategy.py")
	if err := os.WriteFile(f, []byte(b.text), 0o600); err != nil {
		t.Fatal(err)
	}
	runIn(t, repoRoot, "python3 -m py_compile "+f+" && grep -rq 'def attach' ring/python")
}

// readmeJS runs the lines in Node against a demo.
func readmeJS(t *testing.T, b block) {
	if out, err := exec.Command("node", "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 3)").CombinedOutput(); err != nil {
		t.Skipf("no Node with WebSocket here: %v %s", err, out)
	}
	d := start(t, "demo", "--listen", "127.0.0.1:0")
	page := d.line("page ")
	waitFlowing(t, page)
	addr := strings.TrimSuffix(strings.TrimPrefix(page, "http://"), "/")
	script := strings.Replace(b.text, "127.0.0.1:8080", addr, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "-e", script)
	var out bytes.Buffer
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for !bytes.Contains(out.Bytes(), []byte("binance.book.BTC-USDT")) || !bytes.Contains(out.Bytes(), []byte(".trades.BTC-USDT")) {
		n, err := pipe.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			t.Fatalf("ended: %v\n%.2000s", err, out.String())
		}
	}
	cancel()
	cmd.Wait()
	if code := d.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}
