package ring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// lease is the client's side of an attachment: the rings go when it closes.
type lease struct {
	conn  *net.UnixConn
	table *md.TableView
	unmap func() error
}

func (l *lease) close() error {
	var err error
	if l.unmap != nil {
		err = l.unmap()
		l.unmap, l.table = nil, nil
	}
	return errors.Join(err, l.conn.Close())
}

// Attach asks the relay that listens on the control socket path for rings with
// the topics of req, and returns one Poller over them. Its Close gives them
// back. When the relay ends, Poll and Wait return a *GoneError once the ring is
// drained: Close, and Attach again. *AttachError if the relay refuses. ctx
// bounds the attaching only.
func Attach(ctx context.Context, path string, req AttachRequest) (*Poller, error) {
	if _, err := req.validate(); err != nil {
		return nil, fmt.Errorf("ring: attach: %w", err)
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("ring: attach: %w; is the relay running?", err)
	}
	conn := c.(*net.UnixConn)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	p, err := attach(conn, req)
	if !stop() && err == nil {
		err = errors.Join(ctx.Err(), p.Close())
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("ring: attach to %s: %w", path, err)
	}
	return p, nil
}

func attach(conn *net.UnixConn, req AttachRequest) (*Poller, error) {
	conn.SetDeadline(time.Now().Add(2 * answerWithin))
	if _, err := conn.Write(line(wireRequest{"attach", req})); err != nil {
		return nil, err
	}
	ans, fds, err := receive(conn)
	taken := 0
	defer func() {
		for _, fd := range fds[taken:] {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return nil, err
	}
	if ans.Op == "error" {
		return nil, &AttachError{ans.Code, ans.Message}
	}
	want := 2 * len(ans.Rings)
	if ans.Table {
		want++
	}
	if ans.Op != "attached" || len(fds) != want {
		return nil, fmt.Errorf("%w: answer %q with %d descriptors, want %d", ErrFormat, ans.Op, len(fds), want)
	}
	conn.SetDeadline(time.Time{})
	l := &lease{conn: conn}
	if ans.Table {
		if l.table, l.unmap, err = mapTable(fds[0], "instrument table"); err != nil {
			return nil, err
		}
		unix.Close(fds[0])
		taken++
	}
	var cs []*Consumer
	for _, r := range ans.Rings {
		f := &shmFiles{dir: ans.Dir, name: r.Name, dataFD: &descriptor{fds[taken]}, ctlFD: &descriptor{fds[taken+1]}}
		taken += 2
		c, err := f.consumer()
		if err != nil {
			for _, c := range cs {
				c.Close()
			}
			l.close()
			return nil, err
		}
		cs = append(cs, c)
	}
	p := NewPoller(cs...)
	p.lease = l
	return p, nil
}

// consumer opens the read end of descriptors that came over the socket; it owns
// them whatever happens.
func (f *shmFiles) consumer() (*Consumer, error) {
	s, err := f.mapOpened(true)
	if err != nil {
		f.close(false)
		return nil, fmt.Errorf("ring %s: %w", f.name, err)
	}
	return ownConsumer(s)
}

// receive reads one answer line and the descriptors that came with it.
func receive(conn *net.UnixConn) (ans wireAnswer, fds []int, err error) {
	buf := make([]byte, 0, maxAnswer)
	oob := make([]byte, unix.CmsgSpace(4*(2*maxRings+1)))
	for {
		n, oobn, _, _, err := conn.ReadMsgUnix(buf[len(buf):cap(buf)], oob)
		got, errRights := rights(oob[:oobn])
		fds = append(fds, got...)
		if err = errors.Join(err, errRights); err != nil {
			return ans, fds, err
		}
		if n == 0 {
			return ans, fds, fmt.Errorf("%w: the relay hung up", ErrFormat)
		}
		buf = buf[:len(buf)+n]
		if i := bytes.IndexByte(buf, '\n'); i >= 0 {
			return ans, fds, json.Unmarshal(buf[:i], &ans)
		}
		if len(buf) == cap(buf) {
			return ans, fds, fmt.Errorf("%w: answer longer than %d bytes", ErrFormat, maxAnswer)
		}
	}
}

// rights returns the descriptors in a control message; net opens them
// close-on-exec.
func rights(oob []byte) (fds []int, err error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}
