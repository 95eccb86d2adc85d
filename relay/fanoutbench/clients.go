package fanoutbench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gobwas/ws"

	"tickrelay/nettune"
)

// upgrade is every subscriber's handshake; the key is RFC 6455's example, so that the
// floor need not compute an answer.
const upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// dialAhead is how many connections are being set up at a time.
const dialAhead = 128

// crowd is a process full of subscribers of one server.
type crowd struct {
	poller nettune.Poller
	addr   netip.AddrPort
	tls    *tls.Config
	greet  []byte // frames to send after the handshake
	await  int    // answers to them
	want   int
	dialed int
	tally  tally
	hist   *hdrhistogram.Histogram
	buf    []byte
}

// Clients is the process of subscribers. Arguments: the address, how many, the file of
// the certificate to trust ("" for plain sockets), and messages to send after the
// handshake, each of which is answered by one. It reads commands, one a line: "begin"
// starts counting afresh, "report" prints the counts as one line of JSON. It ends with its input.
func Clients(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	c, err := newCrowd(args)
	if err != nil {
		return err
	}
	defer c.poller.Close()
	commands := make(chan string, 1)
	go func() {
		for sc := bufio.NewScanner(in); sc.Scan(); c.poller.Wake() {
			commands <- sc.Text()
		}
		close(commands)
		c.poller.Wake()
	}()
	stop := context.AfterFunc(ctx, c.poller.Wake)
	defer stop()
	var events []nettune.Event
	for ctx.Err() == nil {
		if err := c.dial(); err != nil {
			return err
		}
		if events, err = c.poller.Poll(events[:0], -1); err != nil {
			return err
		}
		for i := range events {
			c.event(&events[i])
		}
		select {
		case line, ok := <-commands:
			if !ok {
				return nil
			}
			if err := c.command(line, out); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

func newCrowd(args []string) (*crowd, error) {
	if len(args) < 3 {
		return nil, errors.New("fanoutbench: clients: want ADDR N CA [MESSAGE…]")
	}
	c := &crowd{hist: newHistogram(), buf: make([]byte, 512<<10), await: len(args) - 3}
	var err error
	if c.addr, err = netip.ParseAddrPort(args[0]); err != nil {
		return nil, fmt.Errorf("fanoutbench: clients: %w", err)
	}
	if c.want, err = strconv.Atoi(args[1]); err != nil {
		return nil, fmt.Errorf("fanoutbench: clients: %w", err)
	}
	if args[2] != "" {
		pem, err := os.ReadFile(args[2])
		if err != nil {
			return nil, fmt.Errorf("fanoutbench: clients: %w", err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		c.tls = nettune.ClientConfig(&tls.Config{RootCAs: pool}, "localhost")
	}
	for _, m := range args[3:] {
		f, err := ws.CompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(m))))
		if err != nil {
			return nil, fmt.Errorf("fanoutbench: clients: %w", err)
		}
		c.greet = append(c.greet, f...)
	}
	c.poller, err = nettune.KernelTransport().NewPoller(nettune.PollerConfig{})
	return c, err
}

func (c *crowd) dial() error {
	for c.dialed < c.want && c.dialed-c.tally.Ready-c.tally.Lost < dialAhead {
		st, err := c.poller.Dial(nettune.DialOptions{Addr: c.addr, Options: nettune.Options{NoDelay: true}, Timeout: time.Minute})
		if err == nil && c.tls != nil {
			st, err = nettune.TLSClient(st, c.poller, c.tls, time.Now().Add(time.Minute))
		}
		if err != nil {
			return fmt.Errorf("fanoutbench: subscriber %d: %w", c.dialed, err)
		}
		st.SetData(&subscriber{stream: st, await: c.await})
		c.dialed++
	}
	return nil
}

func (c *crowd) event(e *nettune.Event) {
	s, _ := e.Stream.Data().(*subscriber)
	if s == nil {
		return
	}
	var err error
	switch {
	case e.Flags&nettune.Closed != 0:
		err = e.Err
	case e.Flags&nettune.Connected != 0:
		_, err = s.stream.Write([]byte(upgrade))
	}
	if err == nil && e.Flags&nettune.Readable != 0 {
		err = c.read(s)
	}
	if err != nil {
		c.tally.Lost++
		s.stream.SetData(nil)
		s.stream.Close()
	}
}

func (c *crowd) read(s *subscriber) error {
	held := copy(c.buf, s.left)
	n, rx, err := s.stream.Read(c.buf[held:])
	if errors.Is(err, nettune.ErrWouldBlock) {
		err = nil
	}
	if n == 0 {
		return err
	}
	if bad := s.input(&c.tally, c.hist, c.greet, c.buf[:held+n], rx); bad != nil {
		return bad
	}
	return err
}

func (c *crowd) command(line string, out io.Writer) error {
	switch line {
	case "begin":
		c.tally = tally{Ready: c.tally.Ready, Lost: c.tally.Lost}
		c.hist.Reset()
	case "report":
	default:
		return fmt.Errorf("fanoutbench: clients: unknown command %q", line)
	}
	c.tally.Latency = c.hist.Export()
	return json.NewEncoder(out).Encode(&c.tally)
}
