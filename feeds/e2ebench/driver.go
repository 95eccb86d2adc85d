package e2ebench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Sizes of the baseline's ring, as in baseline.c.
const (
	slots    = 1024
	slotSize = 256
	headSize = 4096
)

// maxNs bounds what the histograms hold.
const maxNs = int64(10 * time.Second)

// answerWait is how long a frame may take to come back.
const answerWait = time.Minute

// subject is who is measured: it takes a frame and something appears in a ring.
type subject interface {
	// send hands one frame to the socket.
	send(frame []byte) error
	// arrived reports whether what frame id makes is in the ring.
	arrived(id uint64) (bool, error)
	// close ends it and returns what it has to tell.
	close() (string, error)
}

// measure sends n trades one at a time, at least gap apart, and records how long
// each takes to appear.
func measure(ctx context.Context, s subject, first uint64, n int, gap time.Duration, h *hdrhistogram.Histogram) error {
	for i := range n {
		id := first + uint64(i)
		frame := tradeFrame(id)
		start := time.Now()
		if err := s.send(frame); err != nil {
			return err
		}
		for spins := 0; ; spins++ {
			ok, err := s.arrived(id)
			if err != nil {
				return err
			}
			if ok {
				break
			}
			if spins&1023 == 1023 && time.Since(start) > answerWait {
				return fmt.Errorf("e2ebench: trade %d did not appear within %s", id, answerWait)
			}
		}
		took := time.Since(start)
		_ = h.RecordValue(min(int64(took), maxNs))
		if i%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for time.Since(start) < gap {
			runtime.Gosched() // the other threads of both processes share this processor
		}
	}
	return nil
}

// tradeFrame is a push of OKX with one trade, as a WebSocket frame.
func tradeFrame(id uint64) []byte {
	return textFrame(fmt.Appendf(nil, `{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"64123.4","sz":"0.00123","side":"buy","ts":"%d","count":"1","source":"0","seqId":%d}]}`,
		id, time.Now().UnixMilli(), id))
}

// bookFrame is a snapshot of OKX with n levels a side.
func bookFrame(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[`)
	for i := range n {
		fmt.Fprintf(&b, `["%d.5","1.25","0","3"],`, 70000+i)
	}
	b.Truncate(b.Len() - 1)
	b.WriteString(`],"bids":[`)
	for i := range n {
		fmt.Fprintf(&b, `["%d.5","1.25","0","3"],`, 69999-i)
	}
	b.Truncate(b.Len() - 1)
	fmt.Fprintf(&b, `],"ts":"%d","checksum":0,"seqId":7,"prevSeqId":-1}]}`, time.Now().UnixMilli())
	return textFrame(b.Bytes())
}

func textFrame(payload []byte) []byte {
	var b bytes.Buffer
	_ = ws.WriteHeader(&b, ws.Header{Fin: true, OpCode: ws.OpText, Length: int64(len(payload))})
	b.Write(payload)
	return b.Bytes()
}

// writer sends without Go's network poller between.
type writer struct {
	conn net.Conn
	fd   int // -1 where TLS is between
}

func newWriter(conn net.Conn) (*writer, error) {
	w := &writer{conn: conn, fd: -1}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return w, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return w, raw.Control(func(fd uintptr) { w.fd = int(fd) })
}

func (w *writer) send(frame []byte) error {
	if w.fd < 0 {
		_, err := w.conn.Write(frame)
		return err
	}
	for len(frame) > 0 {
		n, err := unix.Write(w.fd, frame)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return err
		}
		frame = frame[max(n, 0):]
	}
	return nil
}

// feedSubject is a feed in a process of its own.
type feedSubject struct {
	*writer
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	ring *ring.Consumer
	recs []md.Record
}

// startFeed starts the feed process and waits until it has connected.
func startFeed(c Config, dir string, secure *tls.Config, busy, load bool) (s *feedSubject, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	scheme := "ws"
	if secure != nil {
		scheme = "wss"
	}
	s = &feedSubject{recs: make([]md.Record, 256)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.cmd = c.Peer(PeerConfig{URL: scheme + "://" + l.Addr().String() + "/ws/v5/public", Dir: dir, CPU: c.cpu(1), Busy: busy, Load: load})
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err = s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewScanner(stdout)
	if !s.out.Scan() || s.out.Text() != "ready" {
		return nil, fmt.Errorf("e2ebench: the feed process said %q", s.out.Text())
	}
	if s.ring, err = ring.Open(dir, ringFile); err != nil {
		return nil, err
	}
	conn, err := accept(l, secure)
	if err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(conn); err != nil {
		return nil, err
	}
	if load {
		return s, s.send(bookFrame(bookLevels / 2))
	}
	return s, nil
}

// accept takes the feed's connection and its subscription.
func accept(l net.Listener, secure *tls.Config) (net.Conn, error) {
	l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	if secure != nil {
		conn = tls.Server(conn, secure)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := ws.Upgrade(conn); err != nil {
		return nil, err
	}
	h, err := ws.ReadHeader(conn)
	if err == nil {
		_, err = io.CopyN(io.Discard, conn, h.Length)
	}
	if err != nil {
		return nil, fmt.Errorf("e2ebench: no subscription: %w", err)
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

func (s *feedSubject) arrived(id uint64) (bool, error) {
	n, err := s.ring.Poll(s.recs)
	for i := range s.recs[:n] {
		if r := &s.recs[i]; r.Kind == md.KindTrade && r.ID == id {
			return true, nil
		}
	}
	return false, err
}

func (s *feedSubject) close() (told string, err error) {
	if s.in != nil {
		s.in.Close()
	}
	for s.out != nil && s.out.Scan() {
		told = s.out.Text()
	}
	if s.writer != nil {
		s.conn.Close()
	}
	if s.cmd != nil && s.cmd.Process != nil {
		err = s.cmd.Wait()
	}
	if s.ring != nil {
		s.ring.Close()
	}
	return told, err
}

// bareSubject is the C program.
type bareSubject struct {
	*writer
	cmd  *exec.Cmd
	mem  []byte
	seen uint64
}

func startBare(c Config, program, dir string) (s *bareSubject, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	file := filepath.Join(dir, "bare")
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(headSize + slots*slotSize); err != nil {
		return nil, err
	}
	s = &bareSubject{}
	if s.mem, err = unix.Mmap(int(f.Fd()), 0, headSize+slots*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	s.cmd = exec.Command(program, port, file, strconv.Itoa(max(0, c.cpu(1))))
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	conn, err := l.Accept()
	if err == nil {
		s.writer, err = newWriter(conn)
	}
	if err != nil {
		s.close()
	}
	return s, err
}

func (s *bareSubject) arrived(uint64) (bool, error) {
	if head := atomic.LoadUint64((*uint64)(unsafe.Pointer(&s.mem[0]))); head == s.seen {
		return false, nil
	}
	s.seen++
	return true, nil
}

func (s *bareSubject) close() (string, error) {
	if s.writer != nil {
		s.conn.Close()
	}
	s.cmd.Process.Kill()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return "", errors.Join(err, unix.Munmap(s.mem))
}

// parsePauses reads what Peer says at its end.
func parsePauses(told string) (p50, p99, longest float64, n int) {
	f := strings.Fields(told)
	if len(f) != 5 || f[0] != "pauses" {
		return 0, 0, 0, 0
	}
	v := [4]float64{}
	for i := range v {
		v[i], _ = strconv.ParseFloat(f[i+1], 64)
	}
	return v[0], v[1], v[2], int(v[3])
}
