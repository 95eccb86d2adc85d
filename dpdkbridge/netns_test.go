//go:build dpdk

package dpdkbridge

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// roles are what the test binary does when it runs itself in a namespace: the
// name is in the environment, the arguments are JSON.
var roles = map[string]func(args []byte) (any, error){
	"wire": wireRole, "talk": talkRole, "open": openRole, "hold": holdRole, "echo": echoRole, "shared": sharedRole,
	"send": sendRole, "fetch": fetchRole, "names": namesRole, "look": lookRole,
	"syns": synsRole, "flooded": floodedRole, "greet": greetRole, "speak": speakRole, "follow": followRole,
	"too big": tooBigRole, "redial": redialRole,
}

const roleEnv, roleArgs = "TICKRELAY_DPDK_ROLE", "TICKRELAY_DPDK_ARGS"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		out, err := roles[role]([]byte(os.Getenv(roleArgs)))
		if err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		_ = json.NewEncoder(os.Stdout).Encode(out)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// role prepares this binary to play a role in a namespace ("" for this one).
func role(t testing.TB, ns, name string, args any) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{exe, "-test.run=^$"}
	if ns != "" {
		argv = append([]string{"ip", "netns", "exec", ns}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+name, roleArgs+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

// program is a role that runs.
type program struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	in    io.Closer
	lines chan string // of its output
}

// start starts a role; it is killed with the test at the latest.
func start(t *testing.T, ns, name string, args any) *program {
	t.Helper()
	p := &program{t: t, name: name, cmd: role(t, ns, name, args), lines: make(chan string, 1<<16)}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// serve starts a role that prints "serving" when it does.
func serve(t *testing.T, ns, name string) *program {
	t.Helper()
	p := start(t, ns, name, nil)
	p.until("serving", 1)
	return p
}

// until waits for n more lines of this text.
func (p *program) until(text string, n int) {
	p.t.Helper()
	for late := time.After(60 * time.Second); n > 0; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%s ended", p.name)
			}
			if line == text {
				n--
			}
		case <-late:
			p.t.Fatalf("%s: %d times %q are missing after a minute", p.name, n, text)
		}
	}
}

// drain forgets what was printed before.
func (p *program) drain() {
	for len(p.lines) > 0 {
		<-p.lines
	}
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// stop ends the role's input and with it the role.
func (p *program) stop() {
	p.t.Helper()
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Error(p.name, err)
	}
}

// needRoot skips where namespaces cannot be made.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and packet sockets")
	}
	for _, tool := range []string{"ip", "ethtool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
}

// run runs a command that must succeed.
func run(t testing.TB, line string, args ...any) {
	t.Helper()
	f := strings.Fields(fmt.Sprintf(line, args...))
	if out, err := exec.Command(f[0], f[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(f, " "), err, out)
	}
}

// namespaces numbers them.
var namespaces atomic.Int32

// namespace makes an empty network namespace that ends with the test.
func namespace(t testing.TB, name string) string {
	t.Helper()
	ns := fmt.Sprintf("dpdk-%s-%d-%d", name, os.Getpid(), namespaces.Add(1))
	run(t, "ip netns add %s", ns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	run(t, "ip -n %s link set lo up", ns)
	return ns
}

// hosts are two namespaces with a cable between them: ve with 10.4.0.1 and
// fd00:4::1 in the first, vfx without an address in the second.
func hosts(t testing.TB) (a, b string) {
	t.Helper()
	needRoot(t)
	a, b = namespace(t, "a"), namespace(t, "b")
	cable(t, a, "ve", "10.4.0.1/24 fd00:4::1/64", b, "vfx", "")
	return a, b
}

// cable joins two namespaces by a veth pair without offloads. An address of ""
// leaves that end bare.
func cable(t testing.TB, nsA, a, addrA, nsB, b, addrB string) {
	t.Helper()
	run(t, "ip link add %s netns %s type veth peer name %s netns %s", a, nsA, b, nsB)
	for _, end := range [][3]string{{nsA, a, addrA}, {nsB, b, addrB}} {
		run(t, "ip netns exec %s sysctl -qw net.ipv6.conf.%s.accept_dad=0", end[0], end[1])
		run(t, "ip netns exec %s ethtool -K %s tx off tso off gso off gro off", end[0], end[1])
		for addr := range strings.FieldsSeq(end[2]) {
			run(t, "ip -n %s addr add %s dev %s", end[0], addr, end[1])
		}
		run(t, "ip -n %s link set %s up", end[0], end[1])
	}
}
