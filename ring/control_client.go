package ring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// lease is the client's side of an attachment: the rings go when it closes.
type lease struct {
	conn  *net.UnixConn
	table *md.TableView
	unmap func() error
	dir   string // of the rings, for display

	wakeMode uint32 // how the client said it waits
	owed     bool   // the last answer was not waited for any longer: it comes before the next one
	spoilt   error  // why nothing can be asked any more; the connection is closed
}

func (l *lease) close() error {
	var err error
	if l.unmap != nil {
		err = l.unmap()
		l.unmap, l.table = nil, nil
	}
	if l.spoilt != nil {
		return err
	}
	return errors.Join(err, l.conn.Close())
}

// spoil ends a lease whose requests and answers are out of step: the rings end
// with it, so that whoever reads them hears of it.
func (l *lease) spoil(why error) {
	if l.spoilt == nil {
		l.spoilt = why
		l.conn.Close()
	}
}

// Attach asks the relay that listens on the control socket path for rings with
// the topics of req, and returns one Poller over them. Its Close gives them
// back. When the relay ends, Poll and Wait return a *GoneError once the ring is
// drained: Close, and Attach again, or let a Client do so. *AttachError if the
// relay refuses, ErrNotRunning if there is none. ctx bounds the attaching only.
func Attach(ctx context.Context, path string, req AttachRequest) (*Poller, error) {
	if code, err := req.validate(); err != nil && code != CodeBadTopic { // the relay knows the nearest topics
		return nil, fmt.Errorf("ring: attach: %w", err)
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("ring: attach: %w: nobody listens on %s; start the relay, or name its socket", ErrNotRunning, path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("ring: attach: %w; this user must be in the relay's group or in its allow list", err)
	case err != nil:
		return nil, fmt.Errorf("ring: attach: %w", err)
	}
	l := &lease{conn: c.(*net.UnixConn)}
	p := NewPoller()
	p.lease = l
	err = l.within(ctx, func() error { return p.attach(req) })
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("ring: attach to %s: %w", path, err)
	}
	return p, nil
}

// within runs one exchange on the connection, bounded by ctx and by time.
func (l *lease) within(ctx context.Context, exchange func() error) error {
	l.conn.SetDeadline(time.Now().Add(2 * answerWithin))
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		l.conn.SetDeadline(time.Unix(1, 0))
		close(cut)
	})
	err := exchange()
	if !stop() {
		<-cut
		if err != nil {
			err = errors.Join(ctx.Err(), err)
		}
	}
	l.conn.SetDeadline(time.Time{})
	return err
}

// attach fills an empty Poller with what the relay grants.
func (p *Poller) attach(req AttachRequest) error {
	if req.Version == 0 {
		req.Version = Version
	}
	ans, fds, err := p.lease.ask(wireRequest{"attach", req}, "attached")
	defer func() { closeAll(fds) }()
	if err != nil {
		return err
	}
	if ans.Version > Version {
		return fmt.Errorf("%w: the relay writes layout version %d, this program reads %d", ErrFormat, ans.Version, Version)
	}
	if ans.Table {
		if p.lease.table, p.lease.unmap, err = mapTable(fds[0], "instrument table"); err != nil {
			return err
		}
		unix.Close(fds[0])
		fds = fds[1:]
	}
	if ans.EventFD {
		fd := fds[0]
		fds = fds[1:]
		if p.wake, err = newWaker(fd); err != nil {
			return err
		}
	}
	p.lease.dir, p.lease.wakeMode = ans.Dir, waitsBlock
	switch req.Wake {
	case WakeSpin:
		p.lease.wakeMode = waitsSpin
	case WakeYield:
		p.lease.wakeMode = waitsYield
	}
	mine := fds
	fds = nil
	return p.add(ans.Rings, mine)
}

// add opens the rings of an answer; it owns their descriptors.
func (p *Poller) add(rings []wireRing, fds []int) error {
	for i, r := range rings {
		f := &shmFiles{dir: p.lease.dir, name: r.Name, dataFD: &descriptor{fds[2*i]}, ctlFD: &descriptor{fds[2*i+1]}}
		c, err := f.consumer()
		if err != nil {
			closeAll(fds[2*i+2:])
			return err
		}
		if p.wake != nil {
			c.wakeVia(p.wake)
		} else {
			atomic.StoreUint32(&c.seg.ctl.wakeMode, p.lease.wakeMode)
		}
		p.cs = append(p.cs, c)
		p.words = slices.Grow(p.words, len(p.cs))
	}
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// Subscribe adds patterns to an attached Poller's topics while it runs; feeds
// that did not serve it before add rings. Records of new topics may come
// before it returns: each begins with its heartbeat and state, as after Attach.
// *AttachError, and nothing changed, if the relay refuses. It waits for the
// relay; if ctx ends before, the relay may still do it, and Poll and Wait take
// up the rings that come of it. Only the reading goroutine.
func (p *Poller) Subscribe(ctx context.Context, topics ...string) error {
	return p.changeTopics(ctx, "subscribe", topics)
}

// Unsubscribe takes patterns away, each as it was given. Records that the
// relay wrote before it heard of it still come. Only the reading goroutine.
func (p *Poller) Unsubscribe(ctx context.Context, topics ...string) error {
	return p.changeTopics(ctx, "unsubscribe", topics)
}

func (p *Poller) changeTopics(ctx context.Context, op string, topics []string) error {
	if p.lease == nil {
		return fmt.Errorf("ring: %s: these rings were not attached over a control socket", op)
	}
	err := p.lease.within(ctx, func() error {
		if p.lease.owed {
			if err := p.collect(); err != nil {
				return err
			}
		}
		ans, fds, err := p.lease.ask(wireRequest{op, AttachRequest{Topics: topics}}, "subscribed")
		return p.changed(ans, fds, err)
	})
	if err != nil {
		return fmt.Errorf("ring: %s: %w", op, err)
	}
	return nil
}

// changed takes up the answer to a change of topics. New rings that cannot all be
// opened spoil the lease: the relay believes that they are read.
func (p *Poller) changed(ans wireAnswer, fds []int, err error) error {
	if err != nil {
		closeAll(fds)
		return err
	}
	if err = p.add(ans.Rings, fds); err != nil {
		p.lease.spoil(err)
	}
	return err
}

// collect waits for the answer that is owed. A refusal changed nothing, and its
// caller does not wait for it any more.
func (p *Poller) collect() error {
	err := p.changed(p.lease.hear("subscribed"))
	var refused *AttachError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// late takes up an answer that is owed once it is there. What goes wrong with it
// ends the rings, which their readers notice.
func (p *Poller) late() {
	if p.lease.answered() {
		_ = p.lease.within(context.Background(), p.collect)
	}
}

// answered reports whether something can be read from the connection.
func (l *lease) answered() bool {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return false
	}
	var b [1]byte
	_ = raw.Control(func(fd uintptr) {
		_, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil
}

// ask sends one request and returns the answer with the descriptors it names.
func (l *lease) ask(req wireRequest, wantOp string) (ans wireAnswer, fds []int, err error) {
	if l.spoilt != nil {
		return ans, nil, fmt.Errorf("this lease has ended: %w", l.spoilt)
	}
	n, err := l.conn.Write(line(req))
	if err != nil && !errors.Is(err, unix.EPIPE) { // then it may have said why before it hung up
		if n > 0 { // half a request
			l.spoil(err)
		}
		return ans, nil, err
	}
	return l.hear(wantOp)
}

// errLate: nothing of an answer came in time.
var errLate = errors.New("the relay has not answered yet")

// hear reads the answer to the last request. One that is late stays owed; one
// that came in part, or makes no sense, spoils the lease.
func (l *lease) hear(wantOp string) (ans wireAnswer, fds []int, err error) {
	ans, fds, err = receive(l.conn)
	if l.owed = errors.Is(err, errLate); l.owed {
		return ans, fds, err
	}
	want := 2 * len(ans.Rings)
	if ans.Table {
		want++
	}
	if ans.EventFD {
		want++
	}
	switch {
	case err != nil:
	case ans.Op == "error":
		return ans, fds, &AttachError{ans.Code, ans.Message, ans.Nearest}
	case ans.Op != wantOp || len(fds) != want:
		err = fmt.Errorf("%w: answer %q with %d descriptors, want %q with %d", ErrFormat, ans.Op, len(fds), wantOp, want)
	}
	if err != nil {
		l.spoil(err)
	}
	return ans, fds, err
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
	oob := make([]byte, unix.CmsgSpace(4*maxPassed))
	for {
		n, oobn, _, _, err := conn.ReadMsgUnix(buf[len(buf):cap(buf)], oob)
		got, errRights := rights(oob[:oobn])
		fds = append(fds, got...)
		if errors.Is(err, os.ErrDeadlineExceeded) && len(buf)+len(fds) == 0 {
			return ans, nil, fmt.Errorf("%w: %w", errLate, err)
		}
		if err = errors.Join(err, errRights); err != nil {
			return ans, fds, err
		}
		if n == 0 {
			return ans, fds, fmt.Errorf("the relay hung up: %w", io.ErrUnexpectedEOF)
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
