package natsserver

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Config describes one server. The zero value is a server on a free port
// without JetStream.
type Config struct {
	Name string // unique in its cluster
	Port int    // of clients; 0: a free one
	// Cluster is the port on which other servers connect; 0: no cluster. Peers are
	// the cluster ports of all of them.
	Cluster int
	Peers   []int
	// Dir turns JetStream on and is where it keeps its files.
	Dir string
	// Change, if not nil, may change the library's options before the start.
	Change func(*server.Options)
}

// startWithin bounds the start of a server.
const startWithin = 20 * time.Second

// Server is a running NATS server.
type Server struct{ s *server.Server }

// Start starts a server and waits until it takes clients.
func Start(c Config) (*Server, error) {
	o := &server.Options{ServerName: c.Name, Host: "127.0.0.1", Port: c.Port, NoSigs: true, NoLog: true, MaxPayload: 1 << 20,
		WriteDeadline: 5 * time.Second}
	if c.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	if c.Dir != "" {
		o.JetStream, o.StoreDir = true, c.Dir
		o.JetStreamMaxMemory, o.JetStreamMaxStore = 1<<30, 8<<30
	}
	if c.Cluster != 0 {
		o.Cluster = server.ClusterOpts{Name: "tickrelay", Host: "127.0.0.1", Port: c.Cluster}
		for _, p := range c.Peers {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(p))})
		}
	}
	if c.Change != nil {
		c.Change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("nats server %s: %w", c.Name, err)
	}
	s.Start()
	if !s.ReadyForConnections(startWithin) {
		s.Shutdown()
		return nil, fmt.Errorf("nats server %s: not ready within %s", c.Name, startWithin)
	}
	return &Server{s}, nil
}

// URL is the address for clients.
func (s *Server) URL() string { return s.s.ClientURL() }

// Stop ends the server and waits for it.
func (s *Server) Stop() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}

// FreePorts finds TCP ports on the loopback address that nobody listens on now.
func FreePorts(n int) ([]int, error) {
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them are held until all are found
		a, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("nats server: no TCP port")
		}
		out = append(out, a.Port)
	}
	return out, nil
}
