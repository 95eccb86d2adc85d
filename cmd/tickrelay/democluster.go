package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/relay/bus/natsserver"
	"tickrelay/ring"
)

const (
	clusterServers  = 3
	clusterIngests  = 2
	clusterGateways = 2
	clusterReady    = 60 * time.Second // for a member to say that it runs
	clusterStop     = 10 * time.Second // for a member to end by itself
	clusterRestart  = time.Second      // before a member that died is started again
)

// member is one process of the cluster: this program, called with args.
type member struct {
	name string
	args []string
	told string // prefix of the line of stdout that says that it runs

	mu  sync.Mutex
	cmd *exec.Cmd
}

// pid of the process that runs now, 0: none.
func (m *member) pid() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return 0
	}
	return m.cmd.Process.Pid
}

// cluster is NATS servers, ingests and gateways as processes of their own, so
// that each can really be killed. Whoever dies is started again.
type cluster struct {
	exe, dir string
	log      *slog.Logger
	stderr   io.Writer
	urls     string // of the servers
	members  []*member
	gateways []string // addresses
	lease    string
}

// newCluster finds ports and writes the configurations. feeds are those of both
// ingests. listen is the first gateway's address.
func newCluster(dir, listen string, feeds []feedConfig, log *slog.Logger, stderr io.Writer) (*cluster, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &cluster{exe: exe, dir: dir, log: log, stderr: stderr, lease: "3s"}
	ports, err := natsserver.FreePorts(2*clusterServers + clusterGateways)
	if err != nil {
		return nil, err
	}
	clients, peers, gws := ports[:clusterServers], ports[clusterServers:2*clusterServers], ports[2*clusterServers:]
	var urls, peerList []string
	for i := range clusterServers {
		urls = append(urls, "nats://127.0.0.1:"+strconv.Itoa(clients[i]))
		peerList = append(peerList, strconv.Itoa(peers[i]))
	}
	c.urls = strings.Join(urls, ",")
	for i := range clusterServers {
		name := "nats-" + strconv.Itoa(i+1)
		c.members = append(c.members, &member{name: name, told: "nats ", args: []string{"demo", "nats", "--name", name, "--dir", filepath.Join(dir, name),
			"--port", strconv.Itoa(clients[i]), "--cluster", strconv.Itoa(peers[i]), "--peers", strings.Join(peerList, ",")}})
	}
	base := "cluster-" + strconv.Itoa(os.Getpid())
	for i := range clusterIngests {
		name := "ingest-" + strconv.Itoa(i+1)
		if err := c.addRelay(base, name, c.ingest(feeds), "--feeds-only"); err != nil {
			return nil, err
		}
	}
	for i := range clusterGateways {
		name := "gateway-" + strconv.Itoa(i+1)
		if i > 0 || listen == "" {
			listen = "127.0.0.1:" + strconv.Itoa(gws[i])
		}
		c.gateways = append(c.gateways, listen)
		if err := c.addRelay(base, name, "listen: "+listen+"\n"+c.nats("    subscribe: ["+venuePatterns(feeds)+"]\n")); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func venuePatterns(feeds []feedConfig) string {
	var out []string
	for _, f := range feeds {
		out = append(out, `"`+f.Venue+`.>"`)
	}
	return strings.Join(out, ", ")
}

func (c *cluster) ingest(feeds []feedConfig) string {
	var b strings.Builder
	b.WriteString(c.nats(""))
	b.WriteString("feeds:\n")
	for _, f := range feeds {
		fmt.Fprintf(&b, "  - {venue: %s, url: %q, rest: %q, instruments: [%s], channels: [%s]}\n", f.Venue, f.URL, f.REST,
			strings.Join(f.Instruments, ", "), strings.Join(f.Channels, ", "))
	}
	return b.String()
}

func (c *cluster) nats(more string) string {
	return fmt.Sprintf("bus:\n  nats:\n    url: %q\n    stream: ticks\n    stream_memory: true\n    stream_bytes: 134217728\n    replicas: %d\n    lease: %s\n    keyframe: 10s\n%s",
		c.urls, clusterServers, c.lease, more)
}

// addRelay writes a relay's configuration and adds the process that runs it.
func (c *cluster) addRelay(base, name, config string, flags ...string) error {
	file := filepath.Join(c.dir, name+".yaml")
	text := fmt.Sprintf("relay: %s-%s\nsocket: %s\n%s", base, name, filepath.Join(c.dir, name+".sock"), config)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	c.members = append(c.members, &member{name: name, told: "socket ", args: append([]string{"run", "-c", file, "--log", "warn"}, flags...)})
	return nil
}

// run starts the members one after the other, has them run until ctx ends, and
// ends them in the reverse order. ready is called when all have said that they
// run.
func (c *cluster) run(ctx context.Context, ready func()) error {
	// The kernel ends the members with the thread that started them (PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	type death struct {
		m   *member
		err error
	}
	died := make(chan death, len(c.members))
	start := func(m *member) error {
		up, gone, err := c.start(m)
		if err != nil {
			return err
		}
		select {
		case <-up:
		case err := <-gone:
			return fmt.Errorf("%s ended at once: %w", m.name, errors.Join(err, errors.New("see its log above")))
		case <-ctx.Done():
		case <-time.After(clusterReady):
			return fmt.Errorf("%s does not run after %s", m.name, clusterReady)
		}
		go func() { died <- death{m, <-gone} }()
		return nil
	}
	defer c.stop()
	for _, m := range c.members {
		if err := start(m); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-died:
			c.log.Warn("a process of the cluster has ended: starting it again", "name", d.m.name, "err", d.err)
			pauseFor(ctx, clusterRestart)
			if ctx.Err() != nil {
				return nil
			}
			if err := start(d.m); err != nil {
				c.log.Error("not started again", "name", d.m.name, "err", err)
				died <- d
			}
		}
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// start starts a member. up is closed when it says that it runs, gone gets its
// end.
func (c *cluster) start(m *member) (up chan struct{}, gone chan error, err error) {
	cmd := exec.Command(c.exe, m.args...)
	cmd.Stderr = c.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.name, err)
	}
	m.mu.Lock()
	m.cmd = cmd
	m.mu.Unlock()
	up, gone = make(chan struct{}), make(chan error, 1)
	go func() {
		watchFor(out, m.told, up)
		err := cmd.Wait()
		m.mu.Lock()
		m.cmd = nil
		m.mu.Unlock()
		gone <- err
	}()
	return up, gone, nil
}

// stop ends the members, the last ones first, and waits for them.
func (c *cluster) stop() {
	for i := len(c.members) - 1; i >= 0; i-- {
		m := c.members[i]
		if pid := m.pid(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		for end := time.Now().Add(clusterStop); m.pid() != 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				c.log.Warn("killed: it did not end by itself", "name", m.name)
				_ = syscall.Kill(m.pid(), syscall.SIGKILL)
				end = time.Now().Add(clusterStop)
			}
		}
	}
}

// natsCommand is one server of the cluster's; demo --cluster starts it.
func natsCommand() *cobra.Command {
	var cfg natsserver.Config
	c := &cobra.Command{
		Use: "nats", Short: "A NATS server of demo --cluster, which starts it", Hidden: true, Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := natsserver.Start(cfg)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "nats %s\n", s.URL())
			<-c.Context().Done()
			s.Stop()
			return nil
		},
	}
	c.Flags().StringVar(&cfg.Name, "name", "", "name of the server")
	c.Flags().StringVar(&cfg.Dir, "dir", "", "folder of JetStream")
	c.Flags().IntVar(&cfg.Port, "port", 0, "port of clients")
	c.Flags().IntVar(&cfg.Cluster, "cluster", 0, "port of the other servers")
	c.Flags().IntSliceVar(&cfg.Peers, "peers", nil, "cluster ports of all servers")
	return c
}

// demoCluster runs the simulated exchanges and the cluster on them.
func demoCluster(ctx context.Context, o demoOptions, log *slog.Logger, out, stderr io.Writer) error {
	reclaim(ring.DefaultBase, log)
	dir, err := os.MkdirTemp("", "tickrelay-cluster")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	feeds, stop, err := demoExchanges(ctx, o, log)
	if err != nil {
		return err
	}
	defer stop()
	listen := o.listen
	if l, err := net.Listen("tcp", listen); err == nil {
		listen = l.Addr().String() // a port of 0 is one for good
		l.Close()
	} else if o.listenGiven {
		return fmt.Errorf("listen: %w", err)
	} else {
		listen = ""
	}
	c, err := newCluster(dir, listen, feeds, log, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "tickrelay demo --cluster: starting %d NATS servers, %d ingests, %d gateways, each a process\n\n", clusterServers, clusterIngests, clusterGateways)
	return c.run(ctx, func() { c.welcome(out) })
}

func (c *cluster) welcome(out io.Writer) {
	for i, a := range c.gateways {
		fmt.Fprintf(out, "  page       http://%s/   (gateway-%d)\n", a, i+1)
	}
	fmt.Fprintf(out, "  nats       %s\n\n", c.urls)
	for _, m := range c.members {
		fmt.Fprintf(out, "  process    %-9s  pid %d\n", m.name, m.pid())
	}
	fmt.Fprintf(out, `
Kill any of them (kill -9 PID) and watch a page: what is lost is a gap, then the
books are right again. It is started again after a second.

Ctrl-C stops all and leaves nothing behind.
`)
}

// watchFor closes up when r has a line that begins with told, and reads r to its
// end.
func watchFor(r io.Reader, told string, up chan struct{}) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if up != nil && strings.HasPrefix(lines.Text(), told) {
			close(up)
			up = nil
		}
	}
}
