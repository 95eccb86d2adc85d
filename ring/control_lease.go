package ring

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// session is the relay's side of one lease.
type session struct {
	conn   *net.UnixConn
	log    *slog.Logger
	grant  *Grant
	notify *notifier // nil unless asked for
	topics []string
}

// lease serves a connection that asks to attach, to its end.
func (c ServeConfig) lease(conn *net.UnixConn, br *bufio.Reader, req *wireRequest, who caller, handler LeaseHandler) {
	req.UID, req.GID, req.PID = who.uid, who.gid, who.pid
	code, err := CodeBadRequest, error(nil)
	if req.Op != "attach" {
		err = fmt.Errorf("op %q is not known; want attach", req.Op)
	} else {
		code, err = req.validate()
	}
	if err != nil {
		c.refuse(conn, c.Log, code, err)
		return
	}
	s := &session{conn: conn, topics: req.Topics}
	s.log = c.Log.With("strategy", req.Strategy, "uid", req.UID, "pid", req.PID)
	if s.grant, err = handler(req.AttachRequest); err != nil {
		c.refuse(conn, s.log, CodeRefused, err)
		return
	}
	defer s.end()
	if req.Wake == WakeEventFD {
		if s.notify, err = newNotifier(who.trusted); err != nil {
			c.refuse(conn, s.log, CodeRefused, err)
			return
		}
		s.notify.serve(s.grant.Segments)
	}
	conn.SetDeadline(time.Now().Add(answerWithin)) // the handler may have taken its time
	if err := s.answer(wireAnswer{Op: "attached", Version: Version}, s.grant.Segments); err != nil {
		c.refuse(conn, s.log, CodeRefused, err)
		return
	}
	s.log.Info("rings attached", "rings", len(s.grant.Segments), "topics", s.topics)
	conn.SetDeadline(time.Time{})
	for s.change(c, br) { // until the peer, or ctx, ends the lease
	}
	s.log.Info("rings detached")
}

// end gives everything back. The notifier goes last: until then a feed may
// write to it.
func (s *session) end() {
	if s.grant.End != nil {
		s.grant.End()
	}
	if err := s.notify.close(); err != nil {
		s.log.Warn("notifier not closed", "err", err)
	}
}

// change serves one change of the lease's topics; false when the lease ends.
func (s *session) change(c ServeConfig, br *bufio.Reader) bool {
	var req wireRequest
	if err := readLine(br, &req); err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, unix.ECONNRESET) {
			c.refuse(s.conn, s.log, CodeBadRequest, err)
		}
		return false
	}
	s.conn.SetWriteDeadline(time.Now().Add(answerWithin))
	topics, code, err := s.changed(&req)
	if err != nil {
		return c.refuse(s.conn, s.log, code, err)
	}
	added, err := s.grant.Change(topics)
	if err != nil {
		return c.refuse(s.conn, s.log, CodeRefused, err)
	}
	s.topics = topics
	if s.notify != nil {
		s.notify.serve(added)
	}
	if err := s.answer(wireAnswer{Op: "subscribed", Topics: topics}, added); err != nil {
		s.log.Warn("answer not sent", "err", err)
		return false
	}
	s.log.Info("topics changed", "topics", topics, "new_rings", len(added))
	return true
}

// changed is the lease's topics after a request.
func (s *session) changed(req *wireRequest) (topics []string, code string, err error) {
	if s.grant.Change == nil {
		return nil, CodeRefused, errors.New("the topics of this lease cannot change; attach again")
	}
	if len(req.Topics) == 0 || len(req.Topics) > maxPatterns {
		return nil, CodeBadRequest, fmt.Errorf("topics: want 1 to %d patterns, got %d", maxPatterns, len(req.Topics))
	}
	if code, err := checkPatterns(req.Topics); err != nil {
		return nil, code, err
	}
	topics = slices.Clone(s.topics)
	for _, t := range req.Topics {
		i := slices.Index(topics, t)
		switch {
		case req.Op == "subscribe" && i < 0:
			topics = append(topics, t)
		case req.Op == "subscribe":
		case req.Op != "unsubscribe":
			return nil, CodeBadRequest, fmt.Errorf("op %q is not known; want subscribe or unsubscribe", req.Op)
		case i < 0:
			return nil, CodeBadTopic, &TopicError{Topic: t, Nearest: s.topics}
		default:
			topics = slices.Delete(topics, i, i+1)
		}
	}
	if len(topics) > maxPatterns {
		return nil, CodeBadRequest, fmt.Errorf("topics: a lease has at most %d patterns", maxPatterns)
	}
	return topics, "", nil
}

// lists reports whether lists say who may attach.
func (c ServeConfig) lists() bool { return len(c.AllowUIDs)+len(c.AllowGIDs) > 0 }

// caller is who connected, as the kernel says.
type caller struct {
	uid, gid uint32
	pid      int32
	trusted  bool // could stop this process anyhow: root, or the same user
	admitted bool // may attach
}

// identify asks who connected, and whether the socket's mode or a list lets it in.
func (c ServeConfig) identify(conn *net.UnixConn) (who caller, err error) {
	cred, groups, err := peer(conn)
	if err != nil {
		return who, err
	}
	trusted := cred.Uid == 0 || int(cred.Uid) == os.Geteuid()
	return caller{cred.Uid, cred.Gid, cred.Pid, trusted, trusted || c.allows(cred, groups)}, nil
}

func (c ServeConfig) allows(cred *unix.Ucred, groups []uint32) bool {
	if !c.lists() {
		return c.Group != 0 // the socket's mode decided, and the kernel has judged it
	}
	gids := c.AllowGIDs
	if c.Group != 0 {
		gids = append(slices.Clone(gids), c.Group)
	}
	for _, g := range append(groups, cred.Gid) {
		if slices.Contains(gids, int(g)) {
			return true
		}
	}
	return slices.Contains(c.AllowUIDs, int(cred.Uid))
}

// peer asks the kernel who connected, and in which groups it is.
func peer(conn *net.UnixConn) (cred *unix.Ucred, groups []uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var errCred error
	err = raw.Control(func(fd uintptr) {
		cred, errCred = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		groups = peerGroups(int(fd))
	})
	return cred, groups, errors.Join(err, errCred)
}

// refuse sends an error answer and reports whether it went out.
func (c ServeConfig) refuse(conn *net.UnixConn, log *slog.Logger, code string, why error) bool {
	ans := wireAnswer{Op: "error", Code: code, Message: why.Error()}
	var topic *TopicError
	switch {
	case errors.As(why, &topic):
		if topic.Why != nil && topic.Nearest == nil && c.Nearest != nil {
			topic.Nearest = c.Nearest(topic.Topic)
			ans.Message = topic.Error()
		}
		ans.Code, ans.Nearest = CodeBadTopic, topic.Nearest
	case errors.Is(why, ErrNoSpace):
		ans.Code = CodeNoSpace
	}
	log.Info("request refused", "code", ans.Code, "err", why)
	if c.Refused != nil {
		c.Refused(ans.Code)
	}
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, err := conn.Write(line(ans))
	return err == nil
}

// answer sends descriptors with a line: fresh opens, because a lock belongs to
// an open file description and ours must end with this process alone.
func (s *session) answer(ans wireAnswer, segs []*Segment) error {
	if len(segs) > maxRings {
		return fmt.Errorf("%d rings, at most %d go over the socket", len(segs), maxRings)
	}
	var fds, opened []int
	defer func() {
		for _, fd := range opened {
			unix.Close(fd)
		}
	}()
	open := func(path string, flags int) error {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err == nil {
			fds, opened = append(fds, fd), append(opened, fd)
		}
		return err
	}
	if ans.Op == "attached" {
		if len(segs) > 0 && segs[0].shm != nil {
			ans.Dir, ans.Relay = segs[0].shm.dir, text(segs[0].hdr.relay[:])
			ans.Table = open(filepath.Join(ans.Dir, tableName), unix.O_RDONLY) == nil
		}
		if s.notify != nil {
			fds, ans.EventFD = append(fds, s.notify.read.fd), true
		}
	}
	for _, seg := range segs {
		if seg.shm == nil {
			return fmt.Errorf("ring %s lies on the heap", seg.Name())
		}
		err := errors.Join(
			open(fmt.Sprintf("/proc/self/fd/%d", seg.shm.dataFD.fd), unix.O_RDONLY),
			open(fmt.Sprintf("/proc/self/fd/%d", seg.shm.ctlFD.fd), unix.O_RDWR))
		if err != nil {
			return fmt.Errorf("ring %s: %w", seg.Name(), err)
		}
		ans.Rings = append(ans.Rings, wireRing{Name: seg.Name(), Capacity: seg.Capacity()})
	}
	return send(s.conn, line(ans), fds)
}

// send writes a line whose first bytes carry the descriptors, as many each as the
// kernel takes.
func send(conn *net.UnixConn, msg []byte, fds []int) error {
	for len(fds) > 0 {
		now, n := min(len(fds), maxPassed), len(msg)
		if now < len(fds) {
			n = 1
		}
		sent, _, err := conn.WriteMsgUnix(msg[:n], unix.UnixRights(fds[:now]...), nil)
		if err != nil {
			return err
		}
		msg, fds = msg[sent:], fds[now:]
	}
	if len(msg) == 0 {
		return nil
	}
	_, err := conn.Write(msg)
	return err
}
