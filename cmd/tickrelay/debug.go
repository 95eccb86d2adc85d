package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/trace"
	"strings"
	"sync"
	"time"
)

// checkDebugAddr wants a path, for a Unix socket, or an address of the loopback
// network: profiles show what is in memory, and whoever asks for them costs time.
func checkDebugAddr(addr string) error {
	if strings.HasPrefix(addr, "/") {
		return nil
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().Unmap().IsLoopback() {
		return usageError{fmt.Errorf("--debug %q: want an address of this host alone such as 127.0.0.1:6060, or the path of a Unix socket", addr)}
	}
	return nil
}

// debugServer answers with profiles and traces of the Go runtime.
type debugServer struct {
	l      net.Listener
	log    *slog.Logger
	flight flightRecorder
}

// newDebugServer listens; a path becomes a Unix socket of this user alone.
func newDebugServer(addr string, log *slog.Logger) (*debugServer, error) {
	d := &debugServer{log: log}
	var err error
	if !strings.HasPrefix(addr, "/") {
		d.l, err = net.Listen("tcp", addr)
	} else {
		d.l, err = listenPrivate(addr)
	}
	if err != nil {
		return nil, fmt.Errorf("debug: %w", err)
	}
	return d, nil
}

// listenPrivate opens a Unix socket that only this user and root can use. What a dead
// process left at path is replaced, a socket that somebody serves is not.
func listenPrivate(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s is in use", path)
	}
	if st, err := os.Lstat(path); err == nil {
		if st.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is no socket", path)
		}
		os.Remove(path)
	}
	// Made under another name, so that nobody can use it before its mode is set.
	hidden := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid()))
	os.Remove(hidden)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(hidden, 0o600); err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		l.Close()
		os.Remove(hidden)
		return nil, err
	}
	return &unixListener{l, path}, nil
}

// unixListener removes its path at the end.
type unixListener struct {
	net.Listener
	path string
}

func (u *unixListener) Close() error {
	os.Remove(u.path)
	return u.Listener.Close()
}

// run serves until ctx ends.
func (d *debugServer) run(ctx context.Context) error {
	s := http.Server{Handler: d.routes(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	defer d.flight.stop()
	d.log.Info("profiles are served", "addr", d.l.Addr().String())
	if err := s.Serve(d.l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (d *debugServer) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("POST /debug/flight/start", d.flight.serveStart)
	mux.HandleFunc("POST /debug/flight/stop", d.flight.serveStop)
	mux.HandleFunc("GET /debug/flight", d.flight.serve)
	return mux
}

// flightRecorder keeps the last seconds of the runtime's execution trace from start to
// stop, so that what came before an incident can be fetched after it.
type flightRecorder struct {
	mu sync.Mutex
	r  *trace.FlightRecorder // nil: stopped
}

func (f *flightRecorder) serveStart(w http.ResponseWriter, q *http.Request) {
	age := 10 * time.Second
	if text := q.FormValue("for"); text != "" {
		var err error
		if age, err = time.ParseDuration(text); err != nil || age < time.Second || age > 5*time.Minute {
			http.Error(w, fmt.Sprintf("for=%q: want a time from 1s to 5m", text), http.StatusBadRequest)
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.r != nil {
		http.Error(w, "the flight recorder runs already", http.StatusConflict)
		return
	}
	r := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: age, MaxBytes: 64 << 20})
	if err := r.Start(); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	f.r = r
	fmt.Fprintf(w, "the last %s are kept\n", age)
}

func (f *flightRecorder) serveStop(w http.ResponseWriter, _ *http.Request) {
	if !f.stop() {
		http.Error(w, "the flight recorder does not run", http.StatusConflict)
		return
	}
	fmt.Fprintln(w, "stopped")
}

func (f *flightRecorder) stop() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.r == nil {
		return false
	}
	f.r.Stop()
	f.r = nil
	return true
}

// serve sends what is kept; the recorder goes on.
func (f *flightRecorder) serve(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.r == nil {
		http.Error(w, "the flight recorder does not run: POST /debug/flight/start first", http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="flight.trace"`)
	_, _ = f.r.WriteTo(w)
}
