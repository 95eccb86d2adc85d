package ring

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// AttachHandler makes the rings for a request: shared ones, already attached to
// their feeds. detach is called once, when the lease ends. Handlers run
// concurrently.
type AttachHandler func(AttachRequest) (segments []*Segment, detach func(), err error)

// Grant is what a lease holds. Its functions are called by one goroutine.
type Grant struct {
	// Segments are the rings: shared ones, already attached to their feeds.
	Segments []*Segment
	// Change makes topics the lease's patterns, and returns the rings that are
	// new; on an error nothing changed. nil: a lease cannot change.
	Change func(topics []string) (added []*Segment, err error)
	// End is called once, when the lease ends. nil: nothing to do.
	End func()
}

// LeaseHandler answers a request for rings. Handlers run concurrently.
type LeaseHandler func(AttachRequest) (*Grant, error)

// ServeConfig configures the control socket. The zero value works.
type ServeConfig struct {
	// Group, if not 0, is the id of a group whose members may attach; the socket
	// is then 0660. 0: only this user and root, 0600.
	Group int
	// AllowUIDs and AllowGIDs name further users, and groups whose members, may
	// attach, as the kernel knows the peer (SO_PEERCRED and SO_PEERGROUPS,
	// unix(7)). With any of them the socket is 0666 and the lists decide.
	AllowUIDs, AllowGIDs []int
	// Nearest, if not nil, returns topics that exist and are similar to one that
	// is no pattern at all, for the refusal. Any goroutine.
	Nearest func(topic string) []string
	// Commands are what the socket does besides attach, by op. Who may attach may
	// send them; a handler may want more.
	Commands map[string]CommandHandler
	// Refused, if not nil, is told of each refusal with its code, for counting. Any
	// goroutine.
	Refused func(code string)
	// Log gets one line per lease and refusal. nil: none.
	Log *slog.Logger
}

// Serve listens on the Unix socket path and hands rings out until ctx ends; it
// returns nil then, after every lease was detached.
func Serve(ctx context.Context, path string, handler AttachHandler) error {
	return ServeConfig{}.Serve(ctx, path, handler)
}

// Serve is the function Serve with a configuration.
func (c ServeConfig) Serve(ctx context.Context, path string, handler AttachHandler) error {
	return c.ServeLeases(ctx, path, func(req AttachRequest) (*Grant, error) {
		segs, detach, err := handler(req)
		return &Grant{Segments: segs, End: detach}, err
	})
}

// ServeLeases is Serve with leases whose topics can change. It starts one
// goroutine per connection and waits for all of them.
func (c ServeConfig) ServeLeases(ctx context.Context, path string, handler LeaseHandler) error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l, err := c.listen(path)
	if err != nil {
		return fmt.Errorf("ring: listen on %s: %w", path, err)
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	door := newDoor()
	for {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("ring: accept on %s: %w", path, err)
		}
		if err != nil { // out of descriptors: others may become free
			c.Log.Warn("control socket cannot accept", "err", err)
			sleep(ctx, 100*time.Millisecond)
			continue
		}
		who, err := c.identify(conn)
		code := CodeDenied
		if err == nil {
			err, code = door.knock(who.uid, who.trusted), CodeBusy
		}
		if err != nil {
			c.refuse(conn, c.Log, code, err)
			conn.Close()
			continue
		}
		wg.Go(func() {
			unhook := context.AfterFunc(ctx, func() { conn.Close() })
			defer unhook()
			defer conn.Close()
			c.serve(conn, who, door, handler)
		})
	}
}

// serve hears what a connection wants and does it.
func (c ServeConfig) serve(conn *net.UnixConn, who caller, door *door, handler LeaseHandler) {
	conn.SetDeadline(time.Now().Add(answerWithin))
	br := bufio.NewReaderSize(conn, maxRequest)
	var req wireRequest
	err := readLine(br, &req)
	door.speak(who.uid)
	switch {
	case errors.Is(err, io.EOF):
		return
	case err != nil:
		c.refuse(conn, c.Log, CodeBadRequest, err)
		return
	case !who.admitted:
		c.refuse(conn, c.Log, CodeDenied, fmt.Errorf("user %d, group %d may not attach to this relay", who.uid, who.gid))
		return
	}
	if err := door.enter(who.uid, who.trusted); err != nil {
		c.refuse(conn, c.Log, CodeBusy, err)
		return
	}
	defer door.leave(who.uid)
	if command := c.Commands[req.Op]; command != nil {
		c.command(conn, &req, who, command)
		return
	}
	c.lease(conn, br, &req, who, handler)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// listen takes the path over from a relay that died, never from a living one.
func (c ServeConfig) listen(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%w: a relay answers there", ErrBusy)
	} else if st, e := os.Lstat(path); errors.Is(err, unix.ECONNREFUSED) && e == nil && st.Mode()&os.ModeSocket != 0 {
		os.Remove(path) // other files refuse connections too
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	mode := os.FileMode(0o600)
	if c.Group != 0 {
		mode = 0o660
		err = os.Lchown(path, -1, c.Group)
	}
	if c.lists() {
		mode = 0o666
	}
	if err = errors.Join(err, os.Chmod(path, mode)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
