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

// ServeConfig configures the control socket. The zero value works.
type ServeConfig struct {
	// Group, if not 0, is the id of a group whose members may attach; the socket
	// is then 0660. 0: only this user and root, 0600.
	Group int
	// Log gets one line per lease and refusal. nil: none.
	Log *slog.Logger
}

// Serve listens on the Unix socket path and hands rings out until ctx ends; it
// returns nil then, after every lease was detached.
func Serve(ctx context.Context, path string, handler AttachHandler) error {
	return ServeConfig{}.Serve(ctx, path, handler)
}

// Serve is the function Serve with a configuration. It starts one goroutine per
// connection and waits for all of them.
func (c ServeConfig) Serve(ctx context.Context, path string, handler AttachHandler) error {
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
	free := make(chan struct{}, maxLeases)
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
		select {
		case free <- struct{}{}:
		default:
			c.refuse(conn, CodeBusy, fmt.Errorf("%d leases are out", maxLeases))
			conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-free }()
			unhook := context.AfterFunc(ctx, func() { conn.Close() })
			defer unhook()
			defer conn.Close()
			c.lease(conn, handler)
		})
	}
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
	} else if errors.Is(err, unix.ECONNREFUSED) {
		os.Remove(path)
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
	if err = errors.Join(err, os.Chmod(path, mode)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// lease serves one connection from its request to its end.
func (c ServeConfig) lease(conn *net.UnixConn, handler AttachHandler) {
	conn.SetDeadline(time.Now().Add(answerWithin))
	br := bufio.NewReaderSize(conn, maxRequest)
	var req wireRequest
	if err := readLine(br, &req); err != nil {
		if !errors.Is(err, io.EOF) {
			c.refuse(conn, CodeBadRequest, err)
		}
		return
	}
	if code, err := c.judge(conn, &req); err != nil {
		c.refuse(conn, code, err)
		return
	}
	segs, detach, err := handler(req.AttachRequest)
	if err != nil {
		c.refuse(conn, CodeRefused, err)
		return
	}
	if detach != nil {
		defer detach()
	}
	conn.SetDeadline(time.Now().Add(answerWithin)) // the handler may have taken its time
	if err := send(conn, segs); err != nil {
		c.refuse(conn, CodeRefused, err)
		return
	}
	log := c.Log.With("strategy", req.Strategy, "uid", req.UID, "pid", req.PID)
	log.Info("rings attached", "rings", len(segs), "topics", req.Topics)
	conn.SetDeadline(time.Time{})
	io.Copy(io.Discard, br) // until the peer, or ctx, ends the lease
	log.Info("rings detached", "rings", len(segs))
}

// judge fills in who asks and returns why the request is refused, if it is.
func (c ServeConfig) judge(conn *net.UnixConn, req *wireRequest) (code string, err error) {
	if req.Op != "attach" {
		return CodeBadRequest, fmt.Errorf("op %q is not known; want attach", req.Op)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return CodeDenied, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, credErr); err != nil {
		return CodeDenied, err
	}
	req.UID, req.GID, req.PID = cred.Uid, cred.Gid, cred.Pid
	// With a group the socket's mode decides, and the kernel has judged it.
	if c.Group == 0 && cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return CodeDenied, fmt.Errorf("user %d may not attach to this relay", cred.Uid)
	}
	return req.validate()
}

// refuse sends an error answer; if that fails the peer is gone anyhow.
func (c ServeConfig) refuse(conn *net.UnixConn, code string, why error) {
	c.Log.Info("attach refused", "code", code, "err", why)
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	conn.Write(line(wireAnswer{Op: "error", Code: code, Message: why.Error()}))
}

// send answers with the rings' descriptors: fresh opens, because a lock belongs
// to an open file description and ours must end with this process alone.
func send(conn *net.UnixConn, segs []*Segment) error {
	ans := wireAnswer{Op: "attached"}
	if len(segs) > maxRings {
		return fmt.Errorf("%d rings, at most %d go over the socket", len(segs), maxRings)
	}
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for i, s := range segs {
		if s.shm == nil {
			return fmt.Errorf("ring %s lies on the heap", s.Name())
		}
		if i == 0 {
			ans.Dir, ans.Relay = s.shm.dir, text(s.hdr.relay[:])
			if fd, err := unix.Open(filepath.Join(s.shm.dir, tableName), unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
				fds, ans.Table = append(fds, fd), true
			}
		}
		for _, o := range []struct {
			d     *descriptor
			flags int
		}{{s.shm.dataFD, unix.O_RDONLY}, {s.shm.ctlFD, unix.O_RDWR}} {
			fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", o.d.fd), o.flags|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("ring %s: %w", s.Name(), err)
			}
			fds = append(fds, fd)
		}
		ans.Rings = append(ans.Rings, wireRing{Name: s.Name(), Capacity: s.Capacity()})
	}
	msg := line(ans)
	n, _, err := conn.WriteMsgUnix(msg, unix.UnixRights(fds...), nil)
	if err == nil && n < len(msg) {
		_, err = conn.Write(msg[n:])
	}
	return err
}
