package raw

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const (
	dialWithin  = 10 * time.Second
	writeWithin = 5 * time.Second
	// silence is how long the venue may say nothing at all: all of them ping, or answer
	// pings, more often.
	silence    = 60 * time.Second
	maxFrame   = 16 << 20
	frameQueue = 1024 // messages between reader and Hub; beyond it TCP holds the venue back
)

// upstream is one connection to the venue. Its reader is a goroutine; writing is the
// Hub's.
type upstream struct {
	conn   net.Conn // nil while dialled
	events chan upEvent
	cancel context.CancelFunc
}

// upEvent is what the connection has to say; the last one has err.
type upEvent struct {
	conn  net.Conn // connected
	op    ws.OpCode
	frame []byte
	err   error
}

// dial connects in a goroutine, which then reads.
func (h *Hub) dial(ctx context.Context) *upstream {
	ctx, cancel := context.WithCancel(ctx)
	u := &upstream{events: make(chan upEvent, frameQueue), cancel: cancel}
	h.wg.Go(func() {
		defer cancel()
		err := u.run(ctx, ws.Dialer{Timeout: dialWithin, TLSConfig: h.cfg.TLS}, h.cfg.URL)
		select {
		case u.events <- upEvent{err: err}:
		case <-ctx.Done():
		}
	})
	return u
}

func (u *upstream) run(ctx context.Context, d ws.Dialer, url string) error {
	conn, br, _, err := d.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	u.post(ctx, upEvent{conn: conn})
	var src io.Reader = conn
	if br != nil {
		src = io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn)
	}
	buf := bufio.NewReaderSize(src, 64<<10)
	r := wsutil.Reader{Source: buf, State: ws.StateClientSide, MaxFrameSize: maxFrame}
	r.OnIntermediate = func(hdr ws.Header, body io.Reader) error { return u.control(ctx, hdr, body) }
	for {
		conn.SetReadDeadline(time.Now().Add(silence))
		hdr, err := r.NextFrame()
		if err != nil {
			return err
		}
		if hdr.OpCode.IsControl() {
			if err := u.control(ctx, hdr, &r); err != nil {
				return err
			}
			continue
		}
		p, err := io.ReadAll(io.LimitReader(&r, maxFrame+1))
		if err != nil {
			return err
		}
		if len(p) > maxFrame {
			return errors.New("message too large")
		}
		u.post(ctx, upEvent{op: hdr.OpCode, frame: p})
	}
}

func (u *upstream) post(ctx context.Context, e upEvent) {
	select {
	case u.events <- e:
	case <-ctx.Done():
	}
}

func (u *upstream) control(ctx context.Context, hdr ws.Header, body io.Reader) error {
	p, err := io.ReadAll(io.LimitReader(body, ws.MaxControlFramePayloadSize))
	if err != nil {
		return err
	}
	if hdr.OpCode == ws.OpClose {
		code, reason := ws.ParseCloseFrameData(p)
		return fmt.Errorf("the venue closed: %d %s", code, reason)
	}
	if hdr.OpCode == ws.OpPing {
		u.post(ctx, upEvent{op: ws.OpPing, frame: p})
	}
	return nil
}

func (u *upstream) write(op ws.OpCode, p []byte) error {
	u.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	return wsutil.WriteClientMessage(u.conn, op, p)
}
