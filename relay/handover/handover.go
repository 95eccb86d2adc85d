package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNone says that no gateway is there to take over from.
var ErrNone = errors.New("handover: no gateway is running")

const (
	// answerWithin bounds each step but the new gateway's making itself ready.
	answerWithin = 10 * time.Second
	// readyWithin bounds that.
	readyWithin = 2 * time.Minute
	maxLine     = 64
)

// Server offers a listening socket to whoever takes over.
type Server struct {
	// Listener is the socket. Serve closes it at its end.
	Listener *os.File
	// Retire is called once, when another process serves. The connection to it stays
	// open until Retire returns.
	Retire func(context.Context)
	// Log gets state changes.
	Log *slog.Logger
}

// Serve listens on path until ctx ends or another process has taken over, and in the
// latter case returns nil after Retire. A socket file that nobody listens on is replaced.
// What was created is removed, unless somebody else's has replaced it.
func (s *Server) Serve(ctx context.Context, path string) error {
	defer s.Listener.Close()
	l, err := listen(path)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				os.Remove(path)
				return nil
			}
			return fmt.Errorf("handover: %w", err)
		}
		if err := s.offer(ctx, c, func() { l.Close() }); err != nil {
			s.Log.Warn("take-over not done: this gateway goes on", "reason", err)
			c.Close()
			continue
		}
		c.Close()
		return nil
	}
}

func listen(path string) (*net.UnixListener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("handover: another gateway runs here, %s: stop it, or take over with --takeover", path)
	}
	// The name appears once somebody listens: one that is bound only looks dead.
	made := fmt.Sprintf("%s.%d", path, os.Getpid())
	os.Remove(made)
	old := unix.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	l.SetUnlinkOnClose(false) // by then it may be the next one's
	if err := os.Rename(made, path); err != nil {
		return nil, errors.Join(fmt.Errorf("handover: %w", err), l.Close(), os.Remove(made))
	}
	return l, nil
}

// offer serves one process. leave is called before the new one may take the path.
func (s *Server) offer(ctx context.Context, c *net.UnixConn, leave func()) error {
	if err := samePeer(c); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, maxLine)
	if err := expect(c, r, "takeover\n", answerWithin); err != nil {
		return err
	}
	if err := send(c, s.Listener); err != nil {
		return err
	}
	s.Log.Info("another gateway is about to take over")
	if err := expect(c, r, "ready\n", readyWithin); err != nil {
		return err
	}
	leave()
	s.Listener.Close()
	if _, err := c.Write([]byte("gone\n")); err != nil {
		return nil // it has the socket all the same
	}
	s.Retire(ctx)
	return nil
}

func samePeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	ctl := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(ctl, err); err != nil {
		return err
	}
	if cred.Uid != 0 && cred.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("process %d belongs to user %d", cred.Pid, cred.Uid)
	}
	return nil
}

// expect reads one line and wants it to be this one.
func expect(c *net.UnixConn, r *bufio.Reader, want string, within time.Duration) error {
	c.SetReadDeadline(time.Now().Add(within))
	got, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("waiting for %q: %w", want[:len(want)-1], err)
	}
	if string(got) != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

// send passes a descriptor. Not by os.File.Fd, which may make the socket block for
// everybody who holds it.
func send(c *net.UnixConn, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ctl := raw.Control(func(fd uintptr) {
		_, _, err = c.WriteMsgUnix([]byte("socket\n"), unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(ctl, err)
}

// Taken is a take-over under way.
type Taken struct {
	// Listener is the listening socket. The caller closes it.
	Listener *os.File

	conn *net.UnixConn
	r    *bufio.Reader
	once sync.Once
}

// Take asks the gateway at path for its listening socket. ErrNone if there is none.
func Take(ctx context.Context, path string) (*Taken, error) {
	d := net.Dialer{Timeout: answerWithin}
	nc, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: nobody listens on %s", ErrNone, path)
	}
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	c := nc.(*net.UnixConn)
	t := &Taken{conn: c, r: bufio.NewReaderSize(c, maxLine)}
	if t.Listener, err = ask(c); err != nil {
		c.Close()
		return nil, fmt.Errorf("handover: the gateway on %s: %w", path, err)
	}
	return t, nil
}

func ask(c *net.UnixConn) (*os.File, error) {
	c.SetDeadline(time.Now().Add(answerWithin))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write([]byte("takeover\n")); err != nil {
		return nil, err
	}
	buf, oob := make([]byte, maxLine), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		return nil, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 || string(buf[:n]) != "socket\n" {
		return nil, fmt.Errorf("answered %q without a socket: is it a gateway of this program?", buf[:n])
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.New("sent no socket")
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "listener"), nil
}

// Ready says that this process serves from now on. It returns when the old one has
// left the path and does not accept any more; an error says that the old one has died
// meanwhile, which changes nothing for this one.
func (t *Taken) Ready() error {
	t.conn.SetDeadline(time.Now().Add(answerWithin))
	defer t.conn.SetDeadline(time.Time{})
	if _, err := t.conn.Write([]byte("ready\n")); err != nil {
		return err
	}
	return expect(t.conn, t.r, "gone\n", answerWithin)
}

// Wait returns when the old gateway's last client has gone, or ctx ends.
func (t *Taken) Wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, t.Close)
	defer stop()
	t.conn.SetReadDeadline(time.Time{})
	_, _ = t.r.ReadByte()
}

// Close gives up: before Ready the old gateway goes on.
func (t *Taken) Close() { t.once.Do(func() { t.conn.Close() }) }
